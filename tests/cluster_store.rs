//! A node in a cluster whose store hangs.
#![cfg(feature = "warp")]

mod support;

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use keywire::auth::RawKey;
use keywire::cluster::{Backplane, BackplaneError, Cluster, Event, MemoryBackplane, Topic};
use keywire::limits::SessionPolicy;
use keywire::session::{Group, JoinError};
use keywire::store::{Counts, Inserted, MemoryStore, Order, Recipients, Removed, StoreError};
use keywire::{Config, Delivery, Hub, Session, SessionStore, async_trait};
use support::{Server, events};
use tokio::sync::mpsc::UnboundedSender;

/// A store whose removals take effect and then never return.
#[derive(Default)]
struct Hanging(MemoryStore);

#[async_trait]
impl SessionStore for Hanging {
    async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Inserted, StoreError> {
        self.0.insert(session, policy).await
    }

    async fn remove(&self, session: &Session) -> Removed {
        self.0.remove(session).await;
        pending().await
    }

    async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
        self.0.dispatch(to, order).await
    }

    async fn sessions(&self, of: &Recipients) -> Vec<Session> {
        self.0.sessions(of).await
    }

    async fn join(&self, session: &Session, group: &Group) -> Result<keywire::session::Joined, JoinError> {
        self.0.join(session, group).await
    }

    async fn members(&self, group: &Group) -> usize {
        self.0.members(group).await
    }

    async fn counts(&self) -> Counts {
        self.0.counts().await
    }
}

/// A backplane that tells which subscriptions end.
struct Watched(MemoryBackplane, UnboundedSender<Topic>);

#[async_trait]
impl Backplane for Watched {
    async fn publish(&self, topic: &Topic, message: Bytes) -> Result<(), BackplaneError> {
        self.0.publish(topic, message).await
    }

    async fn subscribe(&self, topic: &Topic) -> Result<(), BackplaneError> {
        self.0.subscribe(topic).await
    }

    async fn unsubscribe(&self, topic: &Topic) {
        self.0.unsubscribe(topic).await;
        let _ = self.1.send(topic.clone());
    }

    async fn next(&self) -> Event {
        self.0.next().await
    }
}

#[tokio::test]
async fn a_removal_that_hangs_leaves_no_subscription() {
    let (tell, mut ended) = events();
    let config = Config { store_timeout: Duration::from_millis(100), ..Config::default() };
    let cluster = Cluster::new(Watched(MemoryBackplane::new(), tell));
    let hub = Hub::builder(RawKey::from_path()).config(config).store(Hanging::default()).cluster(cluster);
    let server = Server::start(hub.build()).await;
    let alice = server.client("alice").await;
    server.hub.sessions("alice").await[0].join("room").await.expect("a member");
    drop(alice);
    let mut topics = [ended.next("a topic").await, ended.next("a topic").await];
    topics.sort();
    assert_eq!(topics.map(|topic| topic.to_string()), ["g:room", "k:alice"]);
}

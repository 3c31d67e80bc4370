//! Several nodes over real sockets, on a backplane in memory.
#![cfg(feature = "warp")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use keywire::auth::RawKey;
use keywire::cluster::{Backplane, BackplaneError, Cluster, Event, MemoryBackplane, Outage, Topic};
use keywire::limits::SessionPolicy;
use keywire::log::MemoryLog;
use keywire::store::{Recipients, Remote};
use keywire::{Config, Hub, Push, async_trait};
use serde_json::json;
use support::{Client, Server};

/// Nodes of one cluster.
async fn nodes<const N: usize>(config: Config) -> (MemoryBackplane, [Server; N]) {
    let backplane = MemoryBackplane::new();
    let mut servers = Vec::new();
    for _ in 0..N {
        servers.push(node(&backplane, config.clone(), |cluster| cluster).await);
    }
    (backplane, servers.try_into().ok().expect("as many nodes"))
}

async fn node(backplane: &MemoryBackplane, config: Config, set: impl FnOnce(Cluster) -> Cluster) -> Server {
    let cluster = set(Cluster::from(backplane.join()));
    let hub = Hub::builder(RawKey::from_path()).config(config).cluster(cluster).build();
    let server = Server::start(hub).await;
    until(&server, |is_connected| is_connected).await;
    server
}

async fn until(server: &Server, good: impl Fn(bool) -> bool) {
    while !good(server.hub.health().is_good()) {
        tokio::task::yield_now().await;
    }
}

/// Nothing was queued for the client so far: the next message is this one.
async fn assert_nothing(server: &Server, client: &mut Client) {
    let id = server.hub.sessions("alice").await[0].clone();
    id.send(Push::message("nothing so far"));
    assert_eq!(client.next().await["msg"], "nothing so far");
}

#[tokio::test]
async fn a_push_reaches_the_tabs_on_all_nodes_once() {
    let (_, [one, other, third]) = nodes(Config::default()).await;
    let mut tabs = [one.client("alice").await, other.client("alice").await, other.client("alice").await];
    let mut bob = third.client("bob").await;
    for server in [&one, &other, &third] {
        let delivery = server.hub.send_to("alice", Push::message("paid")).await;
        let here = server.hub.sessions("alice").await.len();
        assert_eq!((delivery.delivered, delivery.remote), (here, Remote::Published));
        for tab in &mut tabs {
            assert_eq!(tab.next().await["msg"], "paid");
        }
    }
    one.hub.broadcast(Push::message("all")).await;
    for client in tabs.iter_mut().chain([&mut bob]) {
        assert_eq!(client.next().await["msg"], "all", "nothing twice, and nothing of others");
    }
    let health = third.hub.health().cluster.unwrap();
    assert_eq!((health.received, health.unreadable), (1, 0), "a key's push reaches no node without that key");
}

#[tokio::test]
async fn one_session_and_all_but_one_and_several_keys_are_found_on_any_node() {
    let (_, [one, other]) = nodes(Config::default()).await;
    let (mut here, mut there) = (one.client("alice").await, other.client("alice").await);
    let mut bob = other.client("bob").await;
    let session = other.hub.sessions("alice").await.remove(0);
    one.hub.send(&Recipients::session(&session), Push::message("there")).await;
    assert_eq!(there.next().await["msg"], "there");
    let all_but = Recipients::key("alice".parse().unwrap()).except(&session);
    other.hub.send(&all_but, Push::message("here")).await;
    assert_eq!(here.next().await["msg"], "here");
    let both = Recipients::keys(["bob".parse().unwrap(), "alice".parse().unwrap(), "bob".parse().unwrap()]);
    let delivery = one.hub.send(&both, Push::message("both")).await;
    assert_eq!((delivery.delivered, delivery.remote), (1, Remote::Published));
    for client in [&mut here, &mut there, &mut bob] {
        assert_eq!(client.next().await["msg"], "both");
    }
}

#[tokio::test]
async fn a_key_is_subscribed_from_its_first_session_to_its_last() {
    let (_, [one, other]) = nodes(Config::default()).await;
    let received = || other.hub.health().cluster.unwrap().received;
    for round in 0..3 {
        let (mut first, mut second) = (other.client("alice").await, other.client("alice").await);
        one.hub.send_to("alice", Push::message("a")).await;
        for client in [&mut first, &mut second] {
            assert_eq!(client.next().await["msg"], "a");
        }
        drop(first);
        while other.hub.counts().await.sessions > 1 {
            tokio::task::yield_now().await;
        }
        one.hub.send_to("alice", Push::message("b")).await;
        assert_eq!(second.next().await["msg"], "b");
        assert_eq!(received(), 2 * (round + 1));
        drop(second);
        while other.hub.counts().await.sessions > 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut bob = other.client("bob").await;
    one.hub.send_to("alice", Push::message("for nobody")).await;
    one.hub.send_to("bob", Push::message("for bob")).await;
    assert_eq!(bob.next().await["msg"], "for bob");
    assert_eq!(received(), 7);
}

#[tokio::test]
async fn sessions_are_closed_on_all_nodes() {
    let (_, [one, other]) = nodes(Config::default()).await;
    let (mut here, mut there) = (one.client("alice").await, other.client("alice").await);
    let mut bob = other.client("bob").await;
    one.hub.disconnect("alice").await;
    for client in [&mut here, &mut there] {
        assert_eq!(client.end().await.code, 4505);
    }
    one.hub.send_to("bob", Push::message("still here")).await;
    assert_eq!(bob.next().await["msg"], "still here");
}

#[tokio::test]
async fn the_newest_session_replaces_the_others_on_all_nodes() {
    let config = Config { policy: SessionPolicy::Replace, ..Config::default() };
    let (_, [one, other, third]) = nodes(config).await;
    let mut first = one.client("alice").await;
    let mut second = other.client("alice").await;
    assert_eq!(first.end().await.code, 4504);
    let mut third_tab = third.client("alice").await;
    assert_eq!(second.end().await.code, 4504);
    assert_nothing(&third, &mut third_tab).await;
}

/// A backplane whose messages wait until both nodes have something to publish.
struct Held(MemoryBackplane, Arc<tokio::sync::Barrier>);

#[async_trait]
impl Backplane for Held {
    async fn publish(&self, topic: &Topic, message: Bytes) -> Result<(), BackplaneError> {
        self.1.wait().await;
        self.0.publish(topic, message).await
    }

    async fn subscribe(&self, topic: &Topic) -> Result<(), BackplaneError> {
        self.0.subscribe(topic).await
    }

    async fn unsubscribe(&self, topic: &Topic) {
        self.0.unsubscribe(topic).await;
    }

    async fn next(&self) -> Event {
        self.0.next().await
    }
}

/// What two nodes tell each other at the same moment leaves exactly one session.
#[tokio::test]
async fn of_sessions_that_open_at_once_on_two_nodes_one_remains() {
    let config = Config { policy: SessionPolicy::Replace, ..Config::default() };
    for _ in 0..20 {
        let (backplane, both) = (MemoryBackplane::new(), Arc::new(tokio::sync::Barrier::new(2)));
        let node = async || {
            let cluster = Cluster::new(Held(backplane.join(), both.clone()));
            let hub = Hub::builder(RawKey::from_path()).config(config.clone()).cluster(cluster).build();
            let server = Server::start(hub).await;
            until(&server, |is_connected| is_connected).await;
            server
        };
        let (one, other) = (node().await, node().await);
        let (mut here, mut there) =
            tokio::join!(one.open("/websocket/alice"), other.open("/websocket/alice"));
        let closed = tokio::select! {
            end = here.end() => end.code,
            end = there.end() => end.code,
        };
        assert_eq!(closed, 4504);
        let counts = async || one.hub.counts().await.sessions + other.hub.counts().await.sessions;
        let received =
            |server: &Server| server.hub.health().cluster.is_some_and(|cluster| cluster.received == 1);
        support::until("one session", async || match (counts().await, received(&one) && received(&other)) {
            (1, true) => Ok(()),
            state => Err(format!("{state:?}")),
        })
        .await;
    }
}

#[tokio::test]
async fn groups_reach_over_nodes_while_they_have_members() {
    let (_, [one, other, third]) = nodes(Config::default()).await;
    let (mut alice, mut bob) = (one.client("alice").await, other.client("bob").await);
    let mut carol = third.client("carol").await;
    let session = async |server: &Server, key: &str| server.hub.sessions(key).await.remove(0);
    let (a, b) = (session(&one, "alice").await, session(&other, "bob").await);
    for session in [&a, &b] {
        session.join("room").await.unwrap();
    }
    third.hub.send_to_group("room", Push::message("hello")).await;
    for client in [&mut alice, &mut bob] {
        let push = client.next().await;
        assert_eq!((&push["msg"], &push["group"]), (&json!("hello"), &json!("room")));
    }
    let others = Recipients::group("room".parse().unwrap()).except(&a);
    other.hub.send(&others, Push::message("to others")).await;
    assert_eq!(bob.next().await["msg"], "to others");
    let received = |server: &Server| server.hub.health().cluster.unwrap().received;
    a.leave("room").await;
    drop(bob);
    let mut dave = other.client("dave").await;
    // The session leaves the store first, and the node its topic a moment later.
    loop {
        let before = (received(&one), received(&other));
        third.hub.send_to_group("room", Push::message("for nobody")).await;
        third.hub.broadcast(Push::message("for all")).await;
        for client in [&mut alice, &mut carol, &mut dave] {
            assert_eq!(client.next().await["msg"], "for all");
        }
        match (received(&one) - before.0, received(&other) - before.1) {
            (1, 1) => return,
            (1, 2) => {}
            counts => panic!("a node without members got {counts:?} messages"),
        }
    }
}

#[tokio::test]
async fn kept_pushes_are_followed_on_any_node() {
    let backplane = MemoryBackplane::new();
    let log = MemoryLog::new().shared_in_process();
    let log = Arc::new(log);
    let one = node(&backplane, Config::default(), |cluster| cluster.log(log.clone())).await;
    let other = node(&backplane, Config::default(), |cluster| cluster.log(log.clone())).await;
    let mut page = other
        .open_with("/websocket/alice", &[("sec-websocket-protocol", "keywire.v1, from.keywire.now")])
        .await;
    assert_eq!(page.next().await["flag"], "kw:from");
    for number in 0..50 {
        let server = if number % 2 == 0 { &one } else { &other };
        assert!(server.hub.send_to("alice", Push::data(number).kept()).await.kept.at().is_some());
    }
    for number in 0..50 {
        let push = page.next().await;
        assert_eq!((&push["data"], push["at"].is_string()), (&json!(number), true));
    }
    backplane.set_available(false);
    until(&other, |is_good| !is_good).await;
    let delivery = one.hub.send_to("alice", Push::data(50).kept()).await;
    assert_eq!(delivery.remote, Remote::Failed);
    backplane.set_available(true);
    assert_eq!(page.next().await["data"], 50, "read when the cluster is back");
}

#[tokio::test]
async fn an_outage_is_told_and_local_delivery_goes_on() {
    let backplane = MemoryBackplane::new();
    let told = Outage::Tell { lost: Push::message("lost"), restored: Push::message("restored") };
    let one =
        node(&backplane, Config::default(), |cluster| cluster.outage_delay(Duration::ZERO).on_outage(told))
            .await;
    let closing = |cluster: Cluster| cluster.outage_delay(Duration::ZERO).on_outage(Outage::Close);
    let other = node(&backplane, Config::default(), closing).await;
    let mut alice = one.client("alice").await;
    let mut bob = other.open_with("/websocket/bob", &[("sec-websocket-protocol", "keywire.v1")]).await;
    bob.ping().await;
    backplane.set_available(false);
    assert_eq!(alice.next().await["msg"], "lost");
    assert_eq!(bob.end().await.code, 4005);
    let delivery = one.hub.send_to("alice", Push::message("here")).await;
    assert_eq!((delivery.delivered, delivery.remote), (1, Remote::Failed));
    assert_eq!(alice.next().await["msg"], "here");
    assert!(!one.hub.health().is_good());
    let mut late = other.client("late").await;
    backplane.set_available(true);
    assert_eq!(alice.next().await["msg"], "restored");
    until(&other, |is_good| is_good).await;
    one.hub.send_to("late", Push::message("reached")).await;
    assert_eq!(late.next().await["msg"], "reached", "a key that came during the outage");
    assert_eq!(one.hub.health().cluster.unwrap().interruptions, 1);
}

#[tokio::test]
async fn a_hub_that_is_dropped_leaves_the_cluster() {
    let backplane = MemoryBackplane::new();
    let hub = Hub::builder(RawKey::from_path()).cluster(backplane.join()).build();
    let weak = Arc::new(());
    let strong = weak.clone();
    tokio::spawn(async move {
        hub.broadcast(Push::message("")).await;
        drop((hub, strong));
    })
    .await
    .unwrap();
    assert_eq!(Arc::strong_count(&weak), 1);
}

#[tokio::test]
#[should_panic(expected = "must be shared")]
async fn a_log_of_one_node_is_refused_in_a_cluster() {
    let _hub =
        Hub::builder(RawKey::from_path()).log(MemoryLog::new()).cluster(MemoryBackplane::new()).build();
}

//! Presence after an outage of the engine that is longer than the leases: keys that were online all the time have not left.
#![cfg(all(feature = "warp", feature = "redis", feature = "nats"))]

mod support;

use std::time::Duration;

use keywire::auth::RawKey;
use keywire::cluster::presence::{Changes, Presence, PresenceTiming};
use keywire::cluster::{Cluster, Nats, NodeId, Redis};
use keywire::{Hub, Key};
use support::redis::RedisServer;
use support::{NatsServer, Server, until, within};

/// Nodes come back to the engine within eight seconds of each other: five until they try to connect, and a third of the lease.
const TIMING: PresenceTiming = PresenceTiming { delay: Duration::ZERO, lease: Duration::from_secs(10) };

async fn node(cluster: impl Into<Cluster>) -> Server {
    Server::start(Hub::builder(RawKey::from_path()).cluster(cluster).presence_timing(TIMING).build()).await
}

async fn next(changes: &mut Changes) -> (String, bool) {
    let change = within("a change", changes.next()).await.expect("a hub").expect("all changes");
    (change.key.to_string(), change.is_online)
}

/// A server that can be killed.
trait Engine {
    fn kill(&mut self);

    /// Starts it again, with its data.
    async fn revive(&mut self);
}

impl Engine for RedisServer {
    fn kill(&mut self) {
        RedisServer::kill(self);
    }

    async fn revive(&mut self) {
        self.start_again().await;
    }
}

impl Engine for NatsServer {
    fn kill(&mut self) {
        NatsServer::kill(self);
    }

    async fn revive(&mut self) {
        self.start_again();
    }
}

/// Each node has a key, and a third node has one too, which is killed during the outage.
async fn scenario(nodes: [Server; 2], record: impl Presence, engine: &mut impl Engine) {
    let [one, other] = nodes;
    let (mut at_one, mut at_other) = (one.hub.presence_changes(), other.hub.presence_changes());
    let (_alice, _bob) = (one.client("alice").await, other.client("bob").await);
    assert_eq!(next(&mut at_one).await, ("alice".to_owned(), true));
    assert_eq!(next(&mut at_other).await, ("bob".to_owned(), true));
    let killed = NodeId::random();
    record.renew(killed, TIMING.lease).await.expect("a lease");
    record.update(killed, &[(Key::new("carol").expect("a key"), 1)]).await.expect("recorded");

    engine.kill();
    // All leases end, while nobody can renew them.
    tokio::time::sleep(TIMING.lease).await;
    engine.revive().await;
    // The one change that follows, on either node.
    let change = tokio::select! {
        change = next(&mut at_one) => change,
        change = next(&mut at_other) => change,
    };
    assert_eq!(change, ("carol".to_owned(), false), "the killed node is swept, and nobody else");
    assert!(
        one.hub.online("alice").await.expect("an answer") && one.hub.online("bob").await.expect("an answer")
    );
    let (_dave, _erin) = (one.client("dave").await, other.client("erin").await);
    assert_eq!(next(&mut at_one).await, ("dave".to_owned(), true), "nothing was reported in between");
    assert_eq!(next(&mut at_other).await, ("erin".to_owned(), true), "nothing was reported in between");
    until("the counts", async || match one.hub.cluster_counts().await {
        Ok(counts) if (counts.nodes, counts.keys, counts.sessions) == (2, 4, 4) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[tokio::test]
async fn on_redis() {
    let mut server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let redis = async || Redis::connect(server.url()).await.expect("a connection");
    let (nodes, record) = ([node(redis().await).await, node(redis().await).await], redis().await);
    scenario(nodes, record, &mut server).await;
}

#[tokio::test]
async fn on_nats() {
    let mut server = NatsServer::start("presence-outage");
    let nats = async || Nats::connect(&server.url()).await.expect("a connection");
    let (nodes, record) = ([node(nats().await).await, node(nats().await).await], nats().await);
    scenario(nodes, record.presence().expect("presence"), &mut server).await;
}

//! Two nodes with real connections on each engine: the same scenario, and the suites of the contracts.
#![cfg(all(feature = "warp", feature = "testing", feature = "redis", feature = "nats"))]

mod support;

use keywire::auth::RawKey;
use keywire::cluster::{Backplane, Cluster, MemoryBackplane, Nats, Redis};
use keywire::log::Kept;
use keywire::store::Remote;
use keywire::{Hub, Push, testing};
use support::redis::RedisServer;
use support::{Client, NatsServer, Server, until};

async fn node(cluster: impl Into<Cluster>) -> Server {
    Server::start(Hub::builder(RawKey::from_path()).cluster(cluster).build()).await
}

async fn is_good(server: &Server, expected: bool) {
    until("the health of a node", async || match server.hub.health() {
        health if health.is_good() == expected => Ok(()),
        health => Err(format!("{health:?}")),
    })
    .await;
}

/// A page of alice's that follows her log.
async fn follow(server: &Server) -> Client {
    let headers = [("sec-websocket-protocol", "keywire.v1, from.keywire.now")];
    let mut page = server.open_with("/websocket/alice", &headers).await;
    assert_eq!(page.next().await["flag"], "kw:from");
    page
}

async fn keep(server: &Server, number: usize) -> Kept {
    let push = Push::data(number).kept().once(number.to_string());
    server.hub.send_to("alice", push).await.kept
}

/// Repeats a kept push until it is in the log. Its id sees to it that it is there once.
async fn keep_at_last(server: &Server, number: usize) {
    until("a kept push", async || match keep(server, number).await {
        Kept::At(_) | Kept::Again(_) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// The next kept pushes of a page: these numbers, in this order, each with its position.
async fn assert_kept(page: &mut Client, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let push = page.next().await;
        assert_eq!((push["data"].as_u64(), push["at"].is_string()), (Some(number as u64), true), "{push}");
    }
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

/// What holds on every engine, while it is there, is away, and is back with its data.
async fn scenario(nodes: [Server; 2], mut engine: impl Engine) {
    let [one, other] = nodes;
    for server in [&one, &other] {
        is_good(server, true).await;
    }
    let (mut here, mut there) = (follow(&one).await, follow(&other).await);
    let mut plain = other.client("alice").await;
    assert_eq!(one.hub.send_to("alice", Push::message("not kept")).await.remote, Remote::Published);
    for client in [&mut here, &mut there, &mut plain] {
        let push = client.next().await;
        assert_eq!((&push["msg"], push.get("at")), (&"not kept".into(), None));
    }
    for number in 0..40 {
        let server = if number % 2 == 0 { &one } else { &other };
        assert!(matches!(keep(server, number).await, Kept::At(_)), "{number}");
    }
    assert!(matches!(keep(&other, 0).await, Kept::Again(_)), "the id is known on every node");
    assert_kept(&mut here, 0..40).await;
    assert_kept(&mut there, 0..40).await;
    for number in 0..40_u64 {
        let push = plain.next().await;
        assert_eq!((push["data"].as_u64(), push.get("at")), (Some(number), None), "once, as any other push");
    }

    for session in [one.hub.sessions("alice").await, other.hub.sessions("alice").await].concat() {
        session.join("room").await.expect("a member");
    }
    let members = one.hub.cluster_members("room", 10).await;
    assert_eq!(
        (members.sessions, members.keys, members.answered),
        (3, vec!["alice".parse().expect("a key")], 2)
    );

    engine.kill();
    is_good(&one, false).await;
    is_good(&other, false).await;
    let delivery = one.hub.send_to("alice", Push::message("here")).await;
    assert_eq!((delivery.delivered, delivery.remote), (1, Remote::Failed), "local delivery goes on");
    assert_eq!(here.next().await["msg"], "here");
    let kept = keep(&other, 40).await;
    assert!(matches!(kept, Kept::Failed | Kept::Unknown), "{kept:?}");
    let mut late = one.client("late").await;

    engine.revive().await;
    keep_at_last(&other, 40).await;
    keep_at_last(&one, 41).await;
    assert_kept(&mut here, 40..42).await;
    assert_kept(&mut there, 40..42).await;
    for server in [&one, &other] {
        is_good(server, true).await;
    }
    other.hub.send_to("late", Push::message("reached")).await;
    assert_eq!(late.next().await["msg"], "reached", "a key that came during the outage");
    assert!(other.hub.health().cluster.is_some_and(|cluster| cluster.unreadable == 0));
}

async fn contract(one: &dyn Backplane, other: &dyn Backplane) {
    testing::backplane::all(one, other).await;
}

#[tokio::test]
async fn a_backplane_in_memory_keeps_the_contract() {
    let backplane = MemoryBackplane::new();
    contract(&backplane, &backplane.join()).await;
}

async fn redis(server: &RedisServer) -> Redis {
    Redis::connect(server.url()).await.expect("a connection")
}

#[tokio::test]
async fn redis_keeps_the_contract_of_a_backplane() {
    let server = RedisServer::start().await;
    contract(&redis(&server).await, &redis(&server).await).await;
}

#[tokio::test]
async fn two_nodes_on_redis() {
    let server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let nodes = [node(redis(&server).await).await, node(redis(&server).await).await];
    scenario(nodes, server).await;
}

async fn nats(server: &NatsServer) -> Nats {
    Nats::connect(&server.url()).await.expect("a connection")
}

#[tokio::test]
async fn nats_keeps_the_contract_of_a_backplane() {
    let server = NatsServer::start("contract-of-a-backplane");
    contract(&nats(&server).await, &nats(&server).await).await;
}

#[tokio::test]
async fn nats_keeps_the_contract_of_presence() {
    let server = NatsServer::start("contract-of-presence");
    let nats = nats(&server).await;
    testing::presence::all(&nats.presence().expect("presence")).await;
}

#[tokio::test]
async fn two_nodes_on_nats() {
    let server = NatsServer::start("two-nodes");
    let nodes = [node(nats(&server).await).await, node(nats(&server).await).await];
    scenario(nodes, server).await;
}

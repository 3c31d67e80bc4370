//! Two nodes with real connections on each engine: the same scenario, and the suites of the contracts.
#![cfg(all(feature = "warp", feature = "testing", feature = "redis", feature = "nats"))]

mod support;

use std::time::Duration;

use keywire::auth::RawKey;
use keywire::cluster::{Backplane, Cluster, MemoryBackplane, Nats, Redis};
use keywire::log::Kept;
use keywire::session::Answers;
use keywire::store::Remote;
use keywire::{Hub, Key, Push, testing};
use serde_json::json;
use support::redis::RedisServer;
use support::{Client, NatsServer, Server, until, within};

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

/// A page of alice's that follows her log and answers requests.
async fn follow(server: &Server) -> Client {
    let headers = [("sec-websocket-protocol", "keywire.v1, answers.keywire, from.keywire.now")];
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

async fn ask(server: &Server) -> Answers {
    let question = Push::message("").with_flag("visible");
    let alice = "alice".parse::<Key>().expect("a key");
    let asked = server.hub.request(alice, question, Duration::from_secs(600));
    within("a request", asked).await.expect("a stream")
}

async fn answer(page: &mut Client) {
    let request = page.next().await;
    page.send(json!({ "flag": "kw:answer", "id": request["id"], "body": 1 })).await;
}

/// All sessions that were asked have answered: this many.
async fn assert_answered(mut answers: Answers, sessions: usize, skipped: usize, remote: Remote) {
    let mut good = 0;
    while let Some(answered) = within("the answers", answers.next()).await {
        good += usize::from(answered.answer.is_ok());
    }
    let counted = (answers.asked(), answers.skipped(), answers.remote());
    assert_eq!((good, counted), (sessions, (sessions, skipped, Some(remote))));
}

/// A server that can be killed.
trait Engine {
    fn kill(&mut self);

    /// Starts it again, with its data.
    async fn revive(&mut self);

    /// Its process stops, and all connections stay.
    async fn stop(&self);

    async fn go_on(&self);
}

impl Engine for RedisServer {
    fn kill(&mut self) {
        RedisServer::kill(self);
    }

    async fn revive(&mut self) {
        self.start_again().await;
    }

    async fn stop(&self) {
        self.signal("STOP").await;
    }

    async fn go_on(&self) {
        self.signal("CONT").await;
    }
}

impl Engine for NatsServer {
    fn kill(&mut self) {
        NatsServer::kill(self);
    }

    async fn revive(&mut self) {
        self.start_again();
    }

    async fn stop(&self) {
        self.freeze();
    }

    async fn go_on(&self) {
        self.thaw();
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

    for server in [&one, &other] {
        let answers = ask(server).await;
        answer(&mut there).await;
        answer(&mut here).await;
        assert_answered(answers, 2, 1, Remote::Published).await;
    }

    engine.kill();
    is_good(&one, false).await;
    is_good(&other, false).await;
    let delivery = one.hub.send_to("alice", Push::message("here")).await;
    assert_eq!((delivery.delivered, delivery.remote), (1, Remote::Failed), "local delivery goes on");
    assert_eq!(here.next().await["msg"], "here");
    let answers = ask(&one).await;
    answer(&mut here).await;
    assert_answered(answers, 1, 0, Remote::Failed).await;
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

/// Everything that an application calls, while the engine says nothing. Each call ends, and what this node can do alone is done.
async fn call_everything(server: &Server, page: &mut Client) {
    let hub = &server.hub;
    let delivery = within("a push", hub.send_to("alice", Push::message("here"))).await;
    assert_eq!((delivery.delivered, delivery.remote), (1, Remote::Failed));
    assert_eq!(page.next().await["msg"], "here");
    let kept = within("a kept push", keep(server, 1)).await;
    assert!(matches!(kept, Kept::Failed | Kept::Unknown), "{kept:?}");
    within("presence", hub.online("alice")).await.expect_err("no answer");
    let members = within("the members", hub.cluster_members("room", 1)).await;
    assert!(!members.is_complete() && members.answered == 1, "{members:?}");
    let answers = ask(server).await;
    answer(page).await;
    assert_answered(answers, 1, 0, Remote::Failed).await;
    let mut late = within("a session", server.client("late")).await;
    assert_eq!(within("a push", hub.send_to("late", Push::message("you"))).await.delivered, 1);
    assert_eq!(late.next().await["msg"], "you");
    within("a session's end", hub.disconnect("late")).await;
}

/// The engine's process is stopped, as by a machine that pages: connections stay and nobody answers.
async fn a_stopped_engine_holds_up_nobody(nodes: [Server; 2], engine: impl Engine) {
    let [one, other] = nodes;
    for server in [&one, &other] {
        is_good(server, true).await;
    }
    let (mut page, mut there) = (follow(&one).await, follow(&other).await);
    keep_at_last(&one, 0).await;
    assert_kept(&mut page, 0..1).await;
    assert_kept(&mut there, 0..1).await;

    engine.stop().await;
    call_everything(&one, &mut page).await;
    is_good(&one, false).await;
    is_good(&other, false).await;
    call_everything(&one, &mut page).await;

    engine.go_on().await;
    keep_at_last(&one, 1).await;
    keep_at_last(&other, 2).await;
    for server in [&one, &other] {
        is_good(server, true).await;
    }
    assert_kept(&mut page, 1..3).await;
    assert_kept(&mut there, 1..3).await;
    for (from, to) in [(&one, &mut there), (&other, &mut page)] {
        assert_eq!(from.hub.send_to("alice", Push::message("again")).await.remote, Remote::Published);
        while to.next().await["msg"] != "again" {}
    }
    until("presence", async || match one.hub.presence("alice").await {
        Ok(nodes) if nodes.len() == 2 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
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

#[tokio::test]
async fn redis_that_is_stopped_holds_up_nobody() {
    let server = RedisServer::start().await;
    let second = Duration::from_secs(1);
    let join = async || {
        let options = Redis::options().response_timeout(second).probe_interval(second);
        node(options.connect(server.url()).await.expect("a connection")).await
    };
    let nodes = [join().await, join().await];
    a_stopped_engine_holds_up_nobody(nodes, server).await;
}

#[tokio::test]
async fn nats_that_is_stopped_holds_up_nobody() {
    let server = NatsServer::start("stopped");
    let join = async || {
        let options = Nats::options().timeout(Duration::from_secs(1));
        node(options.connect(&server.url()).await.expect("a connection")).await
    };
    let nodes = [join().await, join().await];
    a_stopped_engine_holds_up_nobody(nodes, server).await;
}

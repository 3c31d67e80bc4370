//! What happens when a key that has a session opens another.
#![cfg(feature = "warp")]

mod support;

use std::num::NonZeroUsize;
use std::time::Duration;

use keywire::adapter::Handshake;
use keywire::auth::RawKey;
use keywire::limits::SessionPolicy;
use keywire::store::{Counts, Inserted, MemoryStore, Order, Recipients, Removed, StoreError};
use keywire::{Config, Delivery, Hub, Push, Session, SessionStore, async_trait};
use serde_json::json;
use support::{Client, Server};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const V1: (&str, &str) = ("Sec-WebSocket-Protocol", "keywire.v1");

async fn server(policy: SessionPolicy) -> Server {
    let config = Config { policy, ..Config::default() };
    Server::start(Hub::builder(RawKey::from_path()).config(config).build()).await
}

/// A client that reads, and so answers pings, until it is needed again.
struct Living {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Client>,
}

impl Living {
    fn new(mut client: Client) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            tokio::select! {
                message = client.receive() => panic!("nothing was sent: {message:?}"),
                _ = &mut stopped => client,
            }
        });
        Self { stop, task }
    }

    async fn back(self) -> Client {
        let _ = self.stop.send(());
        self.task.await.expect("no panic")
    }
}

/// By a status, or by a close code who can read that only. Waiting does not help.
async fn assert_turned_away(server: &Server) {
    let refusal = server.refusal("/websocket/alice", &[]).await;
    assert_eq!((refusal.status, refusal.json()), (429, json!({ "error": "too_many" })));
    assert_eq!(refusal.header("retry-after"), None);
    let end = server.open_with("/websocket/alice", &[V1]).await.end().await;
    assert_eq!((end.code, &*end.reason), (4506, "too_many"));
}

#[tokio::test]
async fn many_live_up_to_the_cap() {
    let server = server(SessionPolicy::Many { cap: NonZeroUsize::new(3).unwrap() }).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Living::new(server.client("alice").await));
    }
    assert_turned_away(&server).await;
    // Another key has its own cap.
    let mut bob = server.client("bob").await;
    assert_eq!(server.hub.counts().await, Counts { sessions: 4, keys: 2 });
    bob.ping().await;

    // A place that becomes free is free.
    clients.remove(0).back().await.close(1000, "").await;
    let mut rest = Vec::new();
    for client in clients {
        let mut client = client.back().await;
        client.ping().await;
        rest.push(client);
    }
    let mut next = server.client("alice").await;
    assert_eq!(server.hub.send_to("alice", Push::message("x")).await.delivered, 3);
    assert_eq!(next.next().await["msg"], "x");
}

#[tokio::test]
async fn the_newest_replaces_the_older_ones() {
    let server = server(SessionPolicy::Replace).await;
    let mut bob = server.client("bob").await;
    let mut former = server.client("alice").await;
    for _ in 0..3 {
        let mut newer = server.client("alice").await;
        assert_eq!(former.end().await.code, 4504);
        assert_eq!(server.hub.counts().await, Counts { sessions: 2, keys: 2 });
        newer.ping().await;
        former = newer;
    }
    assert_eq!(server.hub.send_to("alice", Push::message("x")).await.delivered, 1);
    assert_eq!(former.next().await["msg"], "x");
    bob.ping().await;
}

#[tokio::test]
async fn the_oldest_lives_and_newer_ones_are_turned_away() {
    let server = server(SessionPolicy::Reject).await;
    let oldest = Living::new(server.client("alice").await);
    for _ in 0..3 {
        assert_turned_away(&server).await;
    }
    assert_eq!(server.hub.counts().await, Counts { sessions: 1, keys: 1 });
    let mut oldest = oldest.back().await;
    oldest.ping().await;

    oldest.close(1000, "").await;
    server.client("alice").await;
}

/// Many at the same moment: one is let in, whichever it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_has_one_winner() {
    for policy in [SessionPolicy::Reject, SessionPolicy::Replace] {
        let server = server(policy).await;
        let lost = if policy == SessionPolicy::Reject { 4506 } else { 4504 };
        let (tell, mut ends) = support::events();
        let addr = server.addr;
        for _ in 0..20 {
            let tell = tell.clone();
            tokio::spawn(async move {
                let client = Client::connect(addr, "/websocket/alice", &[V1]).await;
                let end = client.expect("an upgrade").end().await;
                let _ = tell.send(end.code);
            });
        }
        for _ in 0..19 {
            assert_eq!(ends.next("a loser's end").await, lost);
        }
        assert_eq!(server.hub.counts().await, Counts { sessions: 1, keys: 1 });
        server.hub.disconnect("alice").await;
        assert_eq!(ends.next("the winner's end").await, 4505);
    }
}

/// A store in which nobody can be seen beforehand, as if all came at the same moment.
#[derive(Default)]
struct Blind(MemoryStore);

#[async_trait]
impl SessionStore for Blind {
    async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Inserted, StoreError> {
        self.0.insert(session, policy).await
    }

    async fn remove(&self, session: &Session) -> Removed {
        self.0.remove(session).await
    }

    async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
        self.0.dispatch(to, order).await
    }

    async fn sessions(&self, _: &Recipients) -> Vec<Session> {
        Vec::new()
    }

    async fn counts(&self) -> Counts {
        self.0.counts().await
    }
}

/// What is asked before the upgrade is for the status only.
#[tokio::test]
async fn the_store_has_the_last_word() {
    let config = Config { policy: SessionPolicy::Reject, ..Config::default() };
    let hub = Hub::builder(RawKey::from_path()).config(config).store(Blind::default()).build();
    let server = Server::start(hub).await;
    let mut first = server.client("alice").await;
    for headers in [&[][..], &[V1]] {
        let end = server.open_with("/websocket/alice", headers).await.end().await;
        assert_eq!((end.code, &*end.reason), (4506, "too_many"));
    }
    assert_eq!(server.hub.counts().await, Counts { sessions: 1, keys: 1 });
    first.ping().await;
}

/// A session whose line is silent, and what a new opening of its key is told. Time moves by itself.
async fn told_beside_a_ghost(hub: &Hub) -> (u16, u16) {
    let open = async |headers: &[(&'static str, &str)]| {
        let head = support::request(([127, 0, 0, 1], 1).into(), "/", headers);
        hub.upgrade(Handshake::new(head).with_path_key(keywire::adapter::PathKey::decoded("alice"))).await
    };
    let plain = open(&[]).await.response;
    assert_eq!(plain.headers().contains_key("retry-after"), plain.status() == 503);
    let connection = open(&[V1]).await.connection.expect("an upgrade");
    let code = Client::over_pipe(connection).await.end().await.code;
    (plain.status().as_u16(), code)
}

/// One's own ghost is not a reason to stay away for good: it is gone in a moment.
#[tokio::test(start_paused = true)]
async fn who_is_kept_out_by_a_silent_line_is_asked_to_come_back() {
    let cap = NonZeroUsize::new(2).unwrap();
    for policy in [SessionPolicy::Reject, SessionPolicy::Many { cap }] {
        let config = Config { policy, ..Config::default() };
        let (lifetime, hub) = (
            config.ping_interval.unwrap() + config.pong_timeout,
            Hub::builder(RawKey::from_path()).config(config).build(),
        );
        let start = tokio::time::Instant::now();
        // It says something, and then its line breaks without a word.
        let mut ghost = Client::piped(&hub, "alice").await;
        ghost.ping().await;
        let other = match policy {
            SessionPolicy::Reject => None,
            _ => {
                let mut other = Client::piped(&hub, "alice").await;
                other.ping().await;
                Some(tokio::spawn(async move { other.pings().await }))
            }
        };
        let mut refused = 0;
        loop {
            // Just now, and after a while, and when it has been pinged in vain.
            if hub.sessions("alice").await.len() < cap.get().min(1 + usize::from(other.is_some())) {
                break;
            }
            assert_eq!(
                told_beside_a_ghost(&hub).await,
                (503, 1013),
                "{policy:?} after {:?}",
                start.elapsed()
            );
            refused += 1;
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        assert!(refused > 2, "{refused}");
        assert!(start.elapsed() <= lifetime + Duration::from_secs(10), "{:?}", start.elapsed());
        Client::piped(&hub, "alice").await.ping().await;
        assert_eq!(ghost.end().await.code, 4002);
    }
}

/// A ping at a time, however many ask.
#[tokio::test(start_paused = true)]
async fn those_who_ask_whether_a_session_lives_share_the_answer() {
    let config = Config { policy: SessionPolicy::Reject, ..Config::default() };
    let hub = Hub::builder(RawKey::from_path()).config(config).build();
    let mut raw = Client::piped(&hub, "alice").await;
    raw.ping().await;
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let hub = hub.clone();
            let head = support::request(([127, 0, 0, 1], 1).into(), "/", &[]);
            let handshake = Handshake::new(head).with_path_key(keywire::adapter::PathKey::decoded("alice"));
            tokio::spawn(async move { hub.upgrade(handshake).await.response.status().as_u16() })
        })
        .collect();
    // Time goes on only when nothing else does: all of them have asked by then.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let pings = tokio::spawn(async move { raw.pings().await });
    for asked in asking {
        assert_eq!(asked.await.expect("no panic"), 429);
    }
    hub.disconnect("alice").await;
    assert_eq!(pings.await.expect("no panic"), 1, "pings");
}

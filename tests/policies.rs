//! What happens when a key that has a session opens another.
#![cfg(feature = "warp")]

mod support;

use std::num::NonZeroUsize;

use keywire::{
    Config, Counts, Delivery, Hub, Key, MemoryStore, Order, Push, RawKey, Recipients, Session, SessionPolicy,
    SessionStore, StoreError, async_trait,
};
use serde_json::json;
use support::Server;

const V1: (&str, &str) = ("Sec-WebSocket-Protocol", "keywire.v1");

async fn server(policy: SessionPolicy) -> Server {
    let config = Config { policy, ..Config::default() };
    Server::start(Hub::builder().keys(RawKey::from_path()).config(config).build()).await
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
        clients.push(server.client("alice").await);
    }
    assert_turned_away(&server).await;
    // Another key has its own cap.
    let mut bob = server.client("bob").await;
    assert_eq!(server.hub.counts().await, Counts { sessions: 4, keys: 2 });
    for client in &mut clients {
        client.ping().await;
    }
    bob.ping().await;

    // A place that becomes free is free.
    clients.remove(0).close(1000, "").await;
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
    let mut oldest = server.client("alice").await;
    for _ in 0..3 {
        assert_turned_away(&server).await;
    }
    assert_eq!(server.hub.counts().await, Counts { sessions: 1, keys: 1 });
    oldest.ping().await;

    oldest.close(1000, "").await;
    server.client("alice").await;
}

/// Many at the same moment: one is let in, whichever it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_has_one_winner() {
    for policy in [SessionPolicy::Reject, SessionPolicy::Replace] {
        let server = server(policy).await;
        let open = |_| server.open_with("/websocket/alice", &[V1]);
        let opened = futures_util::future::join_all((0..20).map(open)).await;
        let lost = if policy == SessionPolicy::Reject { 4506 } else { 4504 };
        let (tell, mut ends) = support::events();
        for mut client in opened {
            let tell = tell.clone();
            tokio::spawn(async move {
                let end = client.end().await;
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
    async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Vec<Session>, StoreError> {
        self.0.insert(session, policy).await
    }

    async fn remove(&self, session: &Session) {
        self.0.remove(session).await;
    }

    async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
        self.0.dispatch(to, order).await
    }

    async fn sessions(&self, _: &Key) -> Vec<Session> {
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
    let hub = Hub::builder().keys(RawKey::from_path()).config(config).store(Blind::default()).build();
    let server = Server::start(hub).await;
    let mut first = server.client("alice").await;
    for headers in [&[][..], &[V1]] {
        let end = server.open_with("/websocket/alice", headers).await.end().await;
        assert_eq!((end.code, &*end.reason), (4506, "too_many"));
    }
    assert_eq!(server.hub.counts().await, Counts { sessions: 1, keys: 1 });
    first.ping().await;
}

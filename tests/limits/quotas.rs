//! How many, and how fast.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Request;
use keywire::adapter::Handshake;
use keywire::auth::{Rejection, extract_fn};
use keywire::limits::Limits;
use keywire::{Identity, Key};

use crate::support::Server;
use crate::{asking, free_again, hub, open_from, refused, times};

#[tokio::test]
async fn openings_of_an_address_are_limited() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let keys = extract_fn(move |_: Handshake| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Err::<Identity, _>(Rejection::Invalid) }
    });
    let server =
        Server::start(asking(keys, Limits { handshakes_per_address: times(3), ..Limits::default() })).await;
    // What is no opening does not count, and neither does what has become of one.
    let mut raw = server.raw().await;
    raw.write(b"GET /websocket/alice HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(raw.head().await.status, 426);
    for _ in 0..3 {
        assert_eq!(server.refusal("/websocket/alice", &[]).await.status, 401);
    }
    for _ in 0..3 {
        refused(&server, "127.0.0.1", 429, "throttled").await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3, "who comes too often is not asked who they are");
    let (head, _) = open_from(&server, "127.0.0.2", &[]).await;
    assert_eq!(head.status, 401, "another address has openings of its own");
}

#[tokio::test]
async fn sessions_of_an_address_are_limited() {
    let server = Server::start(hub(Limits { sessions_per_address: Some(2), ..Limits::default() })).await;
    let first = server.raw_session("alice").await;
    let _second = server.raw_session("bob").await;
    for _ in 0..3 {
        refused(&server, "127.0.0.1", 429, "throttled").await;
    }
    let (head, _third) = open_from(&server, "127.0.0.2", &[]).await;
    assert_eq!(head.status, 101);
    drop(first);
    free_again(&server).await;
}

#[tokio::test]
async fn sessions_in_all_are_limited() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let keys = extract_fn(move |_: Handshake| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Key::new("alice").map(Identity::new).map_err(|_| Rejection::Malformed) }
    });
    let server = Server::start(asking(keys, Limits { sessions: 2, ..Limits::default() })).await;
    let first = server.raw_session("alice").await;
    let (_, _second) = open_from(&server, "127.0.0.2", &[]).await;
    for address in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
        refused(&server, address, 503, "unavailable").await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2, "a credential is not looked at in vain");
    drop(first);
    free_again(&server).await;
}

/// A refusal by a close code costs a connection, so their number is bounded.
#[tokio::test]
async fn refusals_by_a_close_code_are_limited() {
    let keys = extract_fn(|_: Handshake| async { Err::<Identity, _>(Rejection::Invalid) });
    let hub = asking(keys, Limits::default());
    let opening = || {
        let request = Request::get("/websocket")
            .header("host", "localhost")
            .header("upgrade", "websocket")
            .header("connection", "upgrade")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-protocol", "keywire.v1");
        Handshake::new(request.body(()).expect("a request"))
    };
    let mut refused = Vec::new();
    for _ in 0..1024 {
        let upgrade = hub.upgrade(opening()).await;
        assert_eq!(upgrade.response.status(), 101);
        refused.push(upgrade.connection);
    }
    let upgrade = hub.upgrade(opening()).await;
    assert_eq!((upgrade.response.status().as_u16(), upgrade.connection.is_some()), (401, false));
    refused.pop();
    assert_eq!(hub.upgrade(opening()).await.response.status(), 101);
}

//! A session leaves the store however its connection ends, and the handler learns how.
#![cfg(feature = "warp")]

mod support;

use std::time::Duration;

use keywire::auth::RawKey;
use keywire::session::{Closed, ClosedBy};
use keywire::store::Counts;
use keywire::{Config, Envelope, HandlerResult, Hub, Push, Session};
use serde_json::json;
use support::{Events, Server, masked, telling_ends};

async fn panics(_: Session, _: Envelope) -> HandlerResult {
    panic!("a handler's bug")
}

async fn server() -> (Server, Events<(Session, Closed)>) {
    let (switch, ends) = telling_ends();
    let switch = switch.command(panics).failed(|_, _| async {});
    (Server::start(Hub::builder(RawKey::from_path()).handler(switch).build()).await, ends)
}

/// The end as the handler was told it. The store has forgotten the session by then.
async fn told(server: &Server, ends: &mut Events<(Session, Closed)>) -> (u16, String, ClosedBy) {
    let (session, closed) = ends.next("the end of a session").await;
    assert_eq!(session.key().as_str(), "alice");
    assert_eq!(server.hub.sessions("alice").await, []);
    assert_eq!(server.hub.counts().await, Counts { sessions: 1, keys: 1 });
    assert!(server.hub.send_to("alice", Push::message("")).await.is_absent());
    assert_eq!(ends.rest(), [], "told twice");
    (closed.code.into(), closed.reason.into(), closed.by)
}

#[tokio::test]
async fn by_a_close_frame_of_the_client_which_is_echoed() {
    let (server, mut ends) = server().await;
    let mut bystander = server.client("bob").await;
    for (code, reason) in [(1000, "done"), (1001, ""), (3000, "zoë"), (4999, "x")] {
        let mut alice = server.client("alice").await;
        let echo = alice.close(code, reason).await;
        assert_eq!(echo.code, code);
        assert_eq!(told(&server, &mut ends).await, (code, reason.to_owned(), ClosedBy::Peer));
    }
    bystander.ping().await;
}

#[tokio::test]
async fn by_a_close_frame_without_a_code() {
    let (server, mut ends) = server().await;
    let _bystander = server.client("bob").await;
    let mut alice = server.raw_session("alice").await;
    alice.write(&masked(8, b"")).await;
    let echo = alice.frame().await.unwrap();
    assert_eq!((echo.opcode, &*echo.payload), (8, &b""[..]));
    assert!(alice.frame().await.is_none());
    assert_eq!(told(&server, &mut ends).await, (1005, String::new(), ClosedBy::Peer));
}

#[tokio::test]
async fn by_a_connection_that_breaks() {
    let (server, mut ends) = server().await;
    let _bystander = server.client("bob").await;
    let lost = (1006, String::new(), ClosedBy::Network);

    drop(server.client("alice").await);
    assert_eq!(told(&server, &mut ends).await, lost);
    server.client("alice").await.reset();
    assert_eq!(told(&server, &mut ends).await, lost);
    // Within a frame.
    let mut alice = server.raw_session("alice").await;
    alice.write(&masked(1, br#"{"flag":"inform"}"#)[..9]).await;
    drop(alice);
    assert_eq!(told(&server, &mut ends).await, lost);
}

#[tokio::test]
async fn by_a_panic_of_its_handler() {
    let (server, mut ends) = server().await;
    let mut bystander = server.client("bob").await;
    let mut alice = server.client("alice").await;
    alice.send(json!({ "flag": "command" })).await;
    assert_eq!(alice.end().await.code, 1011);
    let (code, _, by) = told(&server, &mut ends).await;
    assert_eq!((code, by), (1011, ClosedBy::Server));
    bystander.ping().await;
}

#[tokio::test]
async fn by_the_servers_will() {
    let (server, mut ends) = server().await;
    let _bystander = server.client("bob").await;
    let mut alice = server.client("alice").await;
    server.hub.disconnect("alice").await;
    // At once, before the client has answered or even read the close frame.
    let (code, _, by) = told(&server, &mut ends).await;
    assert_eq!((code, by), (4505, ClosedBy::Server));
    assert_eq!(alice.end().await.code, 4505);
}

#[tokio::test]
async fn by_a_violation_of_the_protocol() {
    let (server, mut ends) = server().await;
    let _bystander = server.client("bob").await;
    let mut alice = server.raw_session("alice").await;
    alice.write(&support::frame(1, b"unmasked", None)).await;
    assert_eq!(alice.frame().await.unwrap().close_code(), 1002);
    let (code, _, by) = told(&server, &mut ends).await;
    assert_eq!((code, by), (1002, ClosedBy::Server));
}

#[tokio::test]
async fn by_a_panic_of_the_hook_that_opens_it() {
    let (switch, mut ends) = telling_ends();
    let switch = switch.failed(|_, _| async {}).opened(|session: Session| async move {
        assert_ne!(session.key().as_str(), "alice", "a hook's bug");
        Ok(())
    });
    let server = Server::start(Hub::builder(RawKey::from_path()).handler(switch).build()).await;
    let _bystander = server.client("bob").await;
    assert_eq!(server.open("/websocket/alice").await.end().await.code, 1011);
    assert_eq!(told(&server, &mut ends).await.0, 1011);
}

/// A session whose beginning failed is not the one that the application meant it to be.
#[tokio::test]
async fn by_an_error_of_the_hook_that_opens_it() {
    let (switch, mut ends) = telling_ends();
    let switch = switch.failed(|_, _| async {}).opened(|session: Session| async move {
        match session.key().as_str() {
            "alice" => Err(keywire::handler::HandlerError::msg("no profile")),
            _ => Ok(()),
        }
    });
    let server = Server::start(Hub::builder(RawKey::from_path()).handler(switch).build()).await;
    let _bystander = server.client("bob").await;
    assert_eq!(server.open("/websocket/alice").await.end().await.code, 1011);
    assert_eq!(told(&server, &mut ends).await.0, 1011);
}

#[tokio::test]
async fn by_a_hook_that_turns_it_away() {
    let (switch, mut ends) = telling_ends();
    let switch = switch.opened(|session: Session| async move {
        if session.key().as_str() == "alice" {
            session.send(Push::message("sorry"));
            session.close(keywire::session::CloseCode::FORBIDDEN, "not today");
        }
        Ok(())
    });
    let server = Server::start(Hub::builder(RawKey::from_path()).handler(switch).build()).await;
    let _bystander = server.client("bob").await;
    let (pushes, end) = server.open("/websocket/alice").await.rest().await;
    assert_eq!((pushes.len(), end.code, &*end.reason), (1, 4503, "not today"));
    assert_eq!(told(&server, &mut ends).await.0, 4503);
}

/// A panic in `closed`, the last of all calls, must not cut the end of the connection short.
#[tokio::test]
async fn even_if_the_hook_that_is_told_panics() {
    let (tell, mut ends) = support::events();
    let switch = keywire::Switch::new().closed(move |_, closed: Closed| {
        let _ = tell.send(closed);
        async { panic!("a hook's bug") }
    });
    let config = Config { close_timeout: Duration::MAX, ..Config::default() };
    let hub = Hub::builder(RawKey::from_path()).handler(switch).config(config).build();
    let server = Server::start(hub).await;
    let mut alice = server.raw_session("alice").await;
    server.hub.disconnect("alice").await;
    // More than the sockets hold: somebody has to read it, or it would be answered with a reset.
    alice.write(&masked(2, &[0; 60_000]).repeat(100)).await;
    alice.write(&masked(8, &4505u16.to_be_bytes())).await;
    assert_eq!(alice.frame().await.unwrap().close_code(), 4505);
    assert!(alice.frame().await.is_none());
    ends.next("the end").await;
    assert_eq!(server.hub.counts().await, Counts::default());
    // Nobody would wait for it any more.
    drop(alice);
    assert_eq!(support::within("the last connection", server.hub.shutdown(Duration::MAX)).await, 0);
}

/// So it is with `failed`, which comes before the close frame.
#[tokio::test]
async fn even_if_the_hook_for_failures_panics() {
    let (switch, mut ends) = telling_ends();
    let switch = switch.command(panics).failed(|_, _| async { panic!("a hook's bug") });
    let server = Server::start(Hub::builder(RawKey::from_path()).handler(switch).build()).await;
    let _bystander = server.client("bob").await;
    let mut alice = server.client("alice").await;
    alice.send(json!({ "flag": "command" })).await;
    assert_eq!(alice.end().await.code, 1011);
    assert_eq!(told(&server, &mut ends).await.0, 1011);
}

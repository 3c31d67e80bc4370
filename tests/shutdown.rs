//! A server that goes down: everybody is told, and nobody's work is cut off.
#![cfg(feature = "warp")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use keywire::adapter::Handshake;
use keywire::auth::{RawKey, extract_fn};
use keywire::limits::SessionPolicy;
use keywire::store::{Counts, Inserted, Order, Recipients, Removed, StoreError};
use keywire::{Config, Delivery, Envelope, Hub, Identity, Key, Session, SessionStore, Switch, async_trait};
use serde_json::json;
use support::{Client, Server, events, opening, within};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

const WINDOW: Duration = Duration::from_secs(30);
const V1: (&str, &str) = ("sec-websocket-protocol", "keywire.v1");

/// Reads to the end and lets the connection go.
async fn end(mut client: Client) -> (u16, String) {
    let end = client.end().await;
    (end.code, end.reason)
}

#[tokio::test]
async fn every_client_is_told_in_words_that_it_understands() {
    let server = Server::start(Hub::builder(RawKey::from_path()).build()).await;
    let plain = server.client("alice").await;
    let mut other = server.raw().await;
    other.write(opening("/websocket/bob", &[("sec-websocket-protocol", "chat")]).as_bytes()).await;
    assert_eq!(other.head().await.status, 101);
    let mut v1 = server.open_with("/websocket/alice", &[V1]).await;
    v1.ping().await;

    let other = async move { other.frame().await.map(|frame| frame.close_code()) };
    let (left, plain, other, v1) =
        tokio::join!(within("the shutdown", server.hub.shutdown(WINDOW)), end(plain), other, end(v1));
    assert_eq!(plain, (1001, String::new()));
    assert_eq!(other, Some(1001));
    assert_eq!(v1, (4005, "30".to_owned()), "three sessions, and 10 ms for each");
    assert_eq!(left, 0);
    assert_eq!(server.hub.counts().await, Counts::default());
}

#[tokio::test]
async fn nobody_is_let_in_any_more() {
    let server = Server::start(Hub::builder(RawKey::from_path()).build()).await;
    assert_eq!(server.hub.shutdown(WINDOW).await, 0);
    let refusal = server.refusal("/websocket/alice", &[]).await;
    assert_eq!((refusal.status, refusal.json()), (503, json!({ "error": "unavailable" })));
    let mut v1 = server.open_with("/websocket/alice", &[V1]).await;
    assert_eq!(v1.end().await.code, 1013);
    assert_eq!(server.hub.counts().await, Counts::default());
}

#[tokio::test]
async fn who_was_just_coming_in_is_sent_away() {
    let decide = Arc::new(Notify::new());
    let (tell, mut asked) = events();
    let decision = decide.clone();
    let keys = extract_fn(move |_: Handshake| {
        let (decision, tell) = (decision.clone(), tell.clone());
        async move {
            let _ = tell.send(());
            decision.notified().await;
            Ok(Identity::new(Key::new("alice").map_err(|_| keywire::auth::Rejection::Malformed)?))
        }
    });
    let server = Server::start(Hub::builder(keys).build()).await;
    let coming = async { server.open("/websocket").await.end().await };
    let going = async {
        asked.next("the extractor").await;
        server.hub.shutdown(WINDOW).await;
        decide.notify_one();
    };
    let (end, ()) = tokio::join!(coming, going);
    assert_eq!(end.code, 1001);
    assert_eq!(server.hub.counts().await, Counts::default());
}

/// A hub whose commands wait for the test, and then say that they are done.
fn waiting() -> (Hub, Arc<Notify>, support::Events<&'static str>) {
    let release = Arc::new(Notify::new());
    let (tell, calls) = events();
    let (wait, on_close) = (release.clone(), tell.clone());
    let switch = Switch::new()
        .command(move |_: Session, _: Envelope| {
            let (wait, tell) = (wait.clone(), tell.clone());
            async move {
                let _ = tell.send("begun");
                wait.notified().await;
                let _ = tell.send("done");
                Ok(())
            }
        })
        .closed(move |_, _| {
            let _ = on_close.send("closed");
            async {}
        });
    (Hub::builder(RawKey::from_path()).handler(switch).build(), release, calls)
}

#[tokio::test]
async fn work_at_hand_is_waited_for() {
    let (hub, release, mut calls) = waiting();
    let server = Server::start(hub).await;
    let mut alice = server.client("alice").await;
    alice.send(json!({ "flag": "command" })).await;
    calls.next("the handler").await;

    let hub = server.hub.clone();
    let down = tokio::spawn(async move { hub.shutdown(WINDOW).await });
    assert_eq!(end(alice).await.0, 1001);
    // Time enough to go down without waiting: other work goes there and back.
    for _ in 0..10 {
        assert_eq!(server.refusal("/websocket/alice", &[]).await.status, 503);
    }
    assert!(!down.is_finished());
    release.notify_one();
    assert_eq!(within("the shutdown", down).await.unwrap(), 0);
    assert_eq!(calls.rest(), ["done", "closed"]);
}

/// Tells when it is dropped.
struct Guard(UnboundedSender<&'static str>);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

/// A hub whose commands never return, and what becomes of them.
fn stuck() -> (Hub, support::Events<&'static str>) {
    let (tell, calls) = events();
    let on_close = tell.clone();
    let switch = Switch::new()
        .command(move |_: Session, _: Envelope| {
            let guard = Guard(tell.clone());
            async move {
                let _ = guard.0.send("begun");
                std::future::pending::<()>().await;
                Ok(())
            }
        })
        .closed(move |_, _| {
            let _ = on_close.send("closed");
            async {}
        });
    (Hub::builder(RawKey::from_path()).handler(switch).build(), calls)
}

#[tokio::test]
async fn but_not_for_ever() {
    let (hub, mut calls) = stuck();
    let server = Server::start(hub).await;
    let mut stuck = server.client("stuck").await;
    stuck.send(json!({ "flag": "command" })).await;
    calls.next("the handler").await;
    let alice = server.client("alice").await;
    let session = server.hub.sessions("stuck").await.pop().expect("a session");

    let down = within("the shutdown", server.hub.shutdown(Duration::from_millis(50)));
    let (left, alice, stuck) = tokio::join!(down, end(alice), end(stuck));
    assert_eq!((left, alice.0, stuck.0), (1, 1001, 1001));
    assert_eq!(calls.rest(), ["closed", "dropped"], "alice is done, the other's handler is cut");
    assert_eq!(server.hub.counts().await, Counts::default());
    assert!(!session.is_open());
    assert_eq!(server.hub.shutdown(WINDOW).await, 0, "nothing is left to wait for");
}

/// Nothing but a shutdown ends a wait for the client.
fn patient() -> Config {
    Config { close_timeout: Duration::MAX, ..Config::default() }
}

#[tokio::test]
async fn who_does_not_answer_the_close_frame_is_cut() {
    let server = Server::start(Hub::builder(RawKey::from_path()).config(patient()).build()).await;
    let mut mute = server.raw_session("mute").await;
    let left = within("the shutdown", server.hub.shutdown(Duration::from_millis(50))).await;
    assert_eq!(left, 1);
    assert_eq!(mute.frame().await.map(|frame| frame.close_code()), Some(1001));
    mute.gone().await;
    assert_eq!(server.hub.counts().await, Counts::default());
}

#[tokio::test]
async fn without_time_everybody_is_told_and_cut() {
    let server = Server::start(Hub::builder(RawKey::from_path()).config(patient()).build()).await;
    let mut clients = Vec::new();
    for _ in 0..200 {
        clients.push(server.raw_session("alice").await);
    }
    let left = within("the shutdown", server.hub.shutdown(Duration::ZERO)).await;
    assert_eq!(left, clients.len());
    assert_eq!(server.hub.counts().await, Counts::default());
    for mut client in clients {
        assert_eq!(client.frame().await.map(|frame| frame.close_code()), Some(1001));
        client.gone().await;
    }
}

#[tokio::test]
async fn another_shutdown_ends_one_that_takes_too_long() {
    let (hub, mut calls) = stuck();
    let server = Server::start(hub).await;
    let mut stuck = server.client("stuck").await;
    stuck.send(json!({ "flag": "command" })).await;
    calls.next("the handler").await;

    let hub = server.hub.clone();
    let patient = tokio::spawn(async move { hub.shutdown(Duration::MAX).await });
    assert_eq!(end(stuck).await.0, 1001);
    assert!(!patient.is_finished());
    assert_eq!(within("the second", server.hub.shutdown(Duration::ZERO)).await, 1);
    assert_eq!(within("the first", patient).await.unwrap(), 0);
    assert_eq!(calls.rest(), ["dropped"]);
}

#[tokio::test]
async fn who_is_being_refused_is_cut_as_well() {
    let keys = extract_fn(|_: Handshake| async { Err(keywire::auth::Rejection::Invalid) });
    let server = Server::start(Hub::builder(keys).config(patient()).build()).await;
    let mut raw = server.raw().await;
    raw.write(opening("/websocket", &[V1]).as_bytes()).await;
    assert_eq!(raw.head().await.status, 101);
    assert_eq!(raw.frame().await.map(|frame| frame.close_code()), Some(4501));
    assert_eq!(within("the shutdown", server.hub.shutdown(Duration::ZERO)).await, 1);
    raw.gone().await;
}

/// A store that lets nobody in, and does not say so.
struct Undecided(UnboundedSender<()>);

#[async_trait]
impl SessionStore for Undecided {
    async fn insert(&self, _: Session, _: SessionPolicy) -> Result<Inserted, StoreError> {
        let _ = self.0.send(());
        std::future::pending().await
    }

    async fn remove(&self, _: &Session) -> Removed {
        Removed::default()
    }

    async fn dispatch(&self, _: &Recipients, _: &Order) -> Delivery {
        Delivery::default()
    }

    async fn sessions(&self, _: &Recipients) -> Vec<Session> {
        Vec::new()
    }

    async fn counts(&self) -> Counts {
        Counts::default()
    }
}

#[tokio::test]
async fn who_waits_for_the_store_is_cut_as_well() {
    let (tell, mut asked) = events();
    let server = Server::start(Hub::builder(RawKey::from_path()).store(Undecided(tell)).build()).await;
    let mut raw = server.raw().await;
    raw.write(opening("/websocket/alice", &[]).as_bytes()).await;
    assert_eq!(raw.head().await.status, 101);
    asked.next("the store").await;
    assert_eq!(within("the shutdown", server.hub.shutdown(Duration::ZERO)).await, 1);
    raw.gone().await;
}

//! Between the decision about an opening and the entry of its session: what changes in that time counts, however long the
//! client stretches it.
#![cfg(feature = "warp")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use keywire::adapter::{Connection, Handshake};
use keywire::auth::{RawKey, extract_fn};
use keywire::limits::SessionPolicy;
use keywire::store::{Counts, Inserted, MemoryStore, Order, Recipients, Removed, StoreError};
use keywire::{
    Config, Delivery, Hub, HubBuilder, Identity, Key, KeyExtractor, Push, Session, SessionStore, Switch,
    async_trait,
};
use support::{Client, End, Events, events, request, until, within};
use tokio::io::DuplexStream;
use tokio::sync::{Notify, mpsc::UnboundedSender};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

const V1: (&str, &str) = ("Sec-WebSocket-Protocol", "keywire.v1");

/// Tells of each session whose beginning the handler is told of.
fn hub() -> (HubBuilder, Events<String>) {
    hub_of(RawKey::from_path())
}

fn hub_of(keys: impl KeyExtractor) -> (HubBuilder, Events<String>) {
    let (tell, opened) = events();
    let switch = Switch::new().opened(move |session: Session| {
        let _ = tell.send(session.key().to_string());
        async { Ok(()) }
    });
    (Hub::builder(keys).handler(switch), opened)
}

fn handshake(key: &str) -> Handshake {
    Handshake::new(request(([127, 0, 0, 1], 1).into(), "/", &[V1]))
        .with_path_key(keywire::adapter::PathKey::decoded(key))
}

/// A client that was promised a connection and has not taken it.
async fn promised(hub: &Hub, key: &str) -> Connection {
    let upgrade = hub.upgrade(handshake(key)).await;
    assert_eq!(upgrade.response.status(), 101);
    upgrade.connection.expect("a connection")
}

/// Takes it now.
async fn take(connection: Connection) -> WebSocketStream<DuplexStream> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(connection.run(near, Bytes::new()));
    WebSocketStream::from_raw_socket(far, Role::Client, None).await
}

async fn end(connection: Connection) -> End {
    use futures_util::StreamExt as _;
    let mut socket = take(connection).await;
    match within("the end", socket.next()).await {
        Some(Ok(Message::Close(Some(frame)))) => {
            End { code: frame.code.into(), reason: frame.reason.as_str().to_owned() }
        }
        other => panic!("not the end: {other:?}"),
    }
}

#[tokio::test]
async fn who_is_disconnected_on_the_way_in_does_not_enter() {
    let (builder, mut opened) = hub();
    let hub = builder.build();
    let (alice, bob) = (promised(&hub, "alice").await, promised(&hub, "bob").await);
    assert_eq!(hub.disconnect("alice").await.delivered, 1);
    assert_eq!(end(alice).await, End { code: 4505, reason: "disconnected".into() });
    assert_eq!(hub.counts().await, Counts::default());
    assert_eq!(opened.rest(), [""; 0], "the handler knows nothing of it");
    // The next is another matter.
    let (_bob, _alice) = (take(bob).await, Client::piped(&hub, "alice").await);
    let mut both = [opened.next("bob").await, opened.next("alice").await];
    both.sort_unstable();
    assert_eq!(both, ["alice", "bob"]);
}

#[tokio::test]
async fn whatever_ends_the_sessions_of_some_ends_those_on_their_way_in() {
    let hub = hub().0.build();
    let code = keywire::session::CloseCode::new(4321).expect("a code");
    let alice = Client::piped(&hub, "alice").await;
    let mut ends = Vec::new();
    until("alice", async || hub.sessions("alice").await.pop().ok_or_else(String::new)).await;
    let inside = hub.sessions("alice").await.remove(0);
    for to in [
        Recipients::everyone(),
        Recipients::key(Key::new("alice").expect("a key")),
        Recipients::everyone().except(&inside),
        Recipients::key(Key::new("bob").expect("a key")),
        Recipients::session(&inside),
    ] {
        let connection = promised(&hub, "alice").await;
        hub.close_sessions(&to, code, "the application's reason").await;
        let mut socket = take(connection).await;
        use futures_util::{SinkExt as _, StreamExt as _};
        socket.send(Message::text(r#"{"flag":"kw:ping"}"#)).await.expect("room");
        ends.push(matches!(within("an answer", socket.next()).await, Some(Ok(Message::Close(Some(frame)))) if u16::from(frame.code) == 4321));
    }
    assert_eq!(ends, [true, true, true, false, false]);
    drop(alice);
}

#[tokio::test]
async fn a_message_is_for_sessions_that_are_there() {
    let hub = hub().0.build();
    let alice = promised(&hub, "alice").await;
    assert!(hub.send_to("alice", Push::message("too early")).await.is_absent());
    hub.disconnect("alice").await;
    assert_eq!(end(alice).await.code, 4505);
}

#[tokio::test]
async fn a_shutdown_tells_those_on_their_way_in_and_waits_for_them() {
    let (builder, mut opened) = hub();
    let hub = builder.build();
    let alice = promised(&hub, "alice").await;
    let down = tokio::spawn({
        let hub = hub.clone();
        async move { hub.shutdown(Duration::from_secs(20)).await }
    });
    until("the shutdown", async || {
        let plain = Handshake::new(request(([127, 0, 0, 1], 1).into(), "/", &[]))
            .with_path_key(keywire::adapter::PathKey::decoded("bob"));
        match hub.upgrade(plain).await.response.status().as_u16() {
            503 => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await;
    let told = end(alice).await;
    assert_eq!((told.code, &*told.reason), (4005, "10"));
    assert_eq!(within("the end of the shutdown", down).await.expect("no panic"), 0);
    assert_eq!(opened.rest(), [""; 0]);
}

/// Lets everybody in until this moment.
fn until_then(end: SystemTime) -> impl KeyExtractor {
    extract_fn(move |_: Handshake| async move {
        Ok(Identity::new(Key::new("alice").expect("a key")).expiring_at(end))
    })
}

#[tokio::test]
async fn a_credential_that_expires_on_the_way_in_opens_nothing() {
    let end_of_it = SystemTime::now() + Duration::from_millis(200);
    let (builder, mut opened) = hub_of(until_then(end_of_it));
    let hub = builder.build();
    let alice = promised(&hub, "alice").await;
    until("its end", async || if SystemTime::now() > end_of_it { Ok(()) } else { Err("not yet".into()) })
        .await;
    assert_eq!(end(alice).await, End { code: 4001, reason: "expired".into() });
    assert_eq!(opened.rest(), [""; 0]);

    // One that has expired before is refused, whoever says that it is good.
    let upgrade = hub.upgrade(handshake("alice")).await;
    assert_eq!(end(upgrade.connection.expect("a connection")).await.code, 4001);
}

#[tokio::test(start_paused = true)]
async fn a_promise_is_kept_for_a_while() {
    let (builder, mut opened) = hub();
    let config = Config { upgrade_timeout: Duration::from_secs(7), ..Config::default() };
    let hub = builder.config(config).build();
    let (soon, late) = (promised(&hub, "soon").await, promised(&hub, "late").await);
    tokio::time::advance(Duration::from_secs(7)).await;
    let _soon = take(soon).await;
    assert_eq!(opened.next("one in time").await, "soon");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(end(late).await, End { code: 1013, reason: "unavailable".into() });
    assert_eq!(opened.rest(), [""; 0]);
}

/// An extractor that has looked at something, and looks at something else for as long as it is told to.
fn slow() -> (HubBuilder, Arc<Notify>, Events<()>) {
    let (asked, told) = events();
    let go = Arc::new(Notify::new());
    let goes = go.clone();
    let keys = extract_fn(move |handshake: Handshake| {
        let (goes, asked): (_, UnboundedSender<()>) = (goes.clone(), asked.clone());
        async move {
            let key = handshake.path_key()?.map(|key| key.into_owned()).unwrap_or_default();
            let wait = goes.notified();
            let _ = asked.send(());
            wait.await;
            Ok(Identity::new(Key::new(key).expect("a key")))
        }
    });
    (Hub::builder(keys), go, told)
}

#[tokio::test]
async fn who_is_disconnected_while_the_extractor_works_does_not_enter() {
    let (builder, go, mut asked) = slow();
    let hub = builder.build();
    let begin = |key: &'static str| {
        let hub = hub.clone();
        tokio::spawn(async move { hub.upgrade(handshake(key)).await.connection.expect("a connection") })
    };
    let (alice, bob) = (begin("alice"), begin("bob"));
    for _ in 0..2 {
        asked.next("the extractor").await;
    }
    hub.disconnect("alice").await;
    let later = begin("alice");
    asked.next("the extractor").await;
    go.notify_waiters();
    assert_eq!(end(alice.await.expect("no panic")).await.code, 4505);
    let (_bob, _later) =
        (take(bob.await.expect("no panic")).await, take(later.await.expect("no panic")).await);
    until("both others", async || match hub.counts().await.sessions {
        2 => Ok(()),
        other => Err(other.to_string()),
    })
    .await;
}

/// What is remembered is bounded, and who may have been meant by what is forgotten comes again.
#[tokio::test]
async fn too_many_closes_to_remember_let_nobody_in() {
    let (builder, go, mut asked) = slow();
    let hub = builder.build();
    let alice = tokio::spawn({
        let hub = hub.clone();
        async move { hub.upgrade(handshake("alice")).await.connection.expect("a connection") }
    });
    asked.next("the extractor").await;
    hub.disconnect("alice").await;
    for number in 0..5_000 {
        hub.disconnect(number.to_string()).await;
    }
    go.notify_waiters();
    assert_eq!(end(alice.await.expect("no panic")).await.code, 1013);
}

#[tokio::test]
async fn a_shutdown_while_the_extractor_works_lets_nobody_in() {
    let (builder, go, mut asked) = slow();
    let hub = builder.build();
    let alice = tokio::spawn({
        let hub = hub.clone();
        async move { hub.upgrade(handshake("alice")).await.connection.expect("a connection") }
    });
    asked.next("the extractor").await;
    assert_eq!(hub.shutdown(Duration::from_secs(20)).await, 0);
    go.notify_waiters();
    assert_eq!(end(alice.await.expect("no panic")).await.code, 4005);
    assert_eq!(hub.counts().await, Counts::default());
}

/// The newest is the one whose opening began last, not the one that held its entry back.
#[tokio::test]
async fn an_opening_that_was_held_back_does_not_replace_a_newer_session() {
    let config = || Config { policy: SessionPolicy::Replace, ..Config::default() };
    let (builder, mut opened) = hub();
    let hub = builder.config(config()).build();
    let held = promised(&hub, "alice").await;
    let mut newer = Client::piped(&hub, "alice").await;
    newer.ping().await;
    assert_eq!(end(held).await.code, 4504);
    newer.ping().await;
    assert_eq!((opened.rest().len(), hub.counts().await.sessions), (1, 1));

    // The same if the extractor held it back: the page has given that attempt up long ago.
    let (builder, go, mut asked) = slow();
    let hub = builder.config(config()).build();
    let begin = || {
        let hub = hub.clone();
        tokio::spawn(async move { hub.upgrade(handshake("alice")).await.connection.expect("a connection") })
    };
    let first = begin();
    asked.next("the extractor").await;
    let second = begin();
    asked.next("the extractor").await;
    second.abort();
    go.notify_waiters();
    let first = first.await.expect("no panic");
    let third = begin();
    asked.next("the extractor").await;
    go.notify_waiters();
    let _third = take(third.await.expect("no panic")).await;
    until("the third", async || match hub.counts().await.sessions {
        1 => Ok(()),
        _ => Err(String::new()),
    })
    .await;
    assert_eq!(end(first).await.code, 4504);
}

/// A store that has the session before it says so.
#[derive(Default)]
struct Slow {
    store: MemoryStore,
    tell: Mutex<Option<UnboundedSender<()>>>,
    go: Arc<Notify>,
}

#[async_trait]
impl SessionStore for Slow {
    async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Inserted, StoreError> {
        let go = self.go.notified();
        if let Some(tell) = self.tell.lock().expect("no panic").as_ref() {
            let _ = tell.send(());
        }
        go.await;
        self.store.insert(session, policy).await
    }

    async fn remove(&self, session: &Session) -> Removed {
        self.store.remove(session).await
    }

    async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
        self.store.dispatch(to, order).await
    }

    async fn sessions(&self, of: &Recipients) -> Vec<Session> {
        self.store.sessions(of).await
    }

    async fn counts(&self) -> Counts {
        self.store.counts().await
    }
}

#[tokio::test]
async fn who_is_disconnected_while_the_store_works_does_not_stay() {
    let (tell, mut told) = events();
    let go = Arc::new(Notify::new());
    let store = Slow { tell: Mutex::new(Some(tell)), go: go.clone(), ..Slow::default() };
    let (builder, mut opened) = hub();
    let hub = builder.store(store).build();
    let alice = promised(&hub, "alice").await;
    let ended = tokio::spawn(end(alice));
    told.next("the store").await;
    assert_eq!(hub.disconnect("alice").await.delivered, 1);
    go.notify_one();
    assert_eq!(within("the end", ended).await.expect("no panic").code, 4505);
    assert_eq!((hub.counts().await, opened.rest()), (Counts::default(), vec![]));
}

//! A crate that is not keywire's: each trait implemented by hand, swapped in, and the same talk through all.
#![cfg(all(feature = "warp", feature = "jwt"))]

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keywire::adapter::Handshake;
use keywire::auth::{JwtKey, RawKey, Rejection};
use keywire::limits::SessionPolicy;
use keywire::message::{Code, Flag};
use keywire::session::Closed;
use keywire::store::{Counts, Inserted, MemoryStore, Order, Recipients, Removed, StoreError};
use keywire::{
    Config, Delivery, Envelope, HandlerResult, Hub, HubBuilder, Identity, Key, KeyExtractor, MessageHandler,
    Push, Reply, Session, SessionStore, Switch, async_trait,
};
use serde_json::json;
use support::{Events, ListStore, Server, events};
use tokio::sync::mpsc::UnboundedSender;

/// Lets in whoever has an API key from a table.
struct ApiKeys(HashMap<&'static str, Key>);

#[async_trait]
impl KeyExtractor for ApiKeys {
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
        let api_key = handshake.header("x-api-key")?.ok_or(Rejection::Missing)?;
        let key = self.0.get(api_key).ok_or(Rejection::Invalid)?;
        Ok(Identity::new(key.clone()))
    }
}

fn api_keys() -> ApiKeys {
    let key = |name: &str| Key::new(name).expect("a key");
    ApiKeys(HashMap::from([("key-of-alice", key("alice")), ("key-of-bob", key("bob"))]))
}

/// Passes messages on, and tells who left.
struct Relay(UnboundedSender<String>);

#[async_trait]
impl MessageHandler for Relay {
    async fn opened(&self, session: &Session) -> HandlerResult {
        Ok(Reply::ok(format!("hello {}", session.key())))
    }

    async fn inform(&self, session: &Session, envelope: Envelope) -> HandlerResult {
        let Some(to) = &envelope.reception else {
            return Ok(Reply::error(Code::MALFORMED, "to whom?"));
        };
        let push = Push::data(&envelope.body).with_flag(Flag::INFORM).with_sender(&envelope.sender);
        match session.hub().send_to(to, push).await.delivered {
            0 => Ok(Reply::error(Code::ABSENT, format!("{to} is not connected"))),
            _ => Ok(Reply::none()),
        }
    }

    async fn closed(&self, session: &Session, closed: &Closed) {
        let _ = self.0.send(format!("{} left with {}", session.key(), closed.code));
    }
}

/// The same out of closures.
fn switch(tell: UnboundedSender<String>) -> Switch {
    Switch::new()
        .opened(|session: Session| async move { Ok(Reply::ok(format!("hello {}", session.key()))) })
        .inform(|session: Session, envelope: Envelope| async move {
            let relay = Relay(events().0);
            relay.inform(&session, envelope).await
        })
        .closed(move |session: Session, closed: Closed| {
            let _ = tell.send(format!("{} left with {}", session.key(), closed.code));
            async {}
        })
}

/// Counts what goes through another store, and takes a turn of the runtime for everything it does.
struct Counting<S> {
    inner: S,
    calls: Arc<AtomicUsize>,
}

impl<S> Counting<S> {
    async fn count(&self) {
        tokio::task::yield_now().await;
        self.calls.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl<S: SessionStore> SessionStore for Counting<S> {
    async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Inserted, StoreError> {
        self.count().await;
        self.inner.insert(session, policy).await
    }

    async fn remove(&self, session: &Session) -> Removed {
        self.count().await;
        self.inner.remove(session).await
    }

    async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
        self.count().await;
        self.inner.dispatch(to, order).await
    }

    async fn sessions(&self, of: &Recipients) -> Vec<Session> {
        self.inner.sessions(of).await
    }

    async fn counts(&self) -> Counts {
        self.inner.counts().await
    }
}

/// How alice and bob get in: the path and headers of each.
type Ways = [(String, Vec<(&'static str, &'static str)>); 2];

fn raw_ways() -> Ways {
    ["alice", "bob"].map(|key| (format!("/websocket/{key}"), vec![]))
}

/// The same talk, whatever the parts are.
async fn talk(hub: HubBuilder, ways: Ways, mut left: Events<String>) {
    let config = Config { policy: SessionPolicy::Replace, ..Config::default() };
    let server = Server::start(hub.config(config).build()).await;
    let [(alices, alice_headers), (bobs, bob_headers)] = &ways;
    let mut alice = server.open_with(alices, alice_headers).await;
    assert_eq!(alice.next().await, json!({ "code": "00", "msg": "hello alice" }));

    let to_bob = json!({ "flag": "inform", "reception": "bob", "body": [1], "sender": "eve", "id": 1 });
    let answer = alice.ask(to_bob.clone()).await;
    assert_eq!(answer, json!({ "code": "45", "msg": "bob is not connected", "id": 1 }));

    let mut bob = server.open_with(bobs, bob_headers).await;
    assert_eq!(bob.next().await["msg"], "hello bob");
    alice.send(to_bob).await;
    let expected = json!({ "code": "01", "msg": "", "data": [1], "flag": "inform", "sender": "alice" });
    assert_eq!(bob.next().await, expected);
    assert_eq!(alice.ask(json!({ "flag": "command", "id": 2 })).await["code"], "44");

    assert_eq!(server.hub.counts().await, Counts { sessions: 2, keys: 2 });
    assert_eq!(server.hub.broadcast(Push::message("all")).await.delivered, 2);
    assert_eq!(alice.next().await["msg"], "all");
    assert_eq!(bob.next().await["msg"], "all");

    let mut newer = server.open_with(alices, alice_headers).await;
    assert_eq!(newer.next().await["msg"], "hello alice");
    assert_eq!(alice.end().await.code, 4504);
    assert_eq!(left.next("the replaced one's end").await, "alice left with 4504");
    drop(bob);
    assert_eq!(left.next("bob's end").await, "bob left with 1006");
    server.hub.disconnect("alice").await;
    assert_eq!(newer.end().await.code, 4505);
    assert_eq!(left.next("alice's end").await, "alice left with 4505");
    assert_eq!(server.hub.counts().await, Counts::default());
}

#[tokio::test]
async fn with_what_keywire_brings() {
    let (tell, left) = events();
    talk(Hub::builder(RawKey::from_path()).handler(switch(tell)), raw_ways(), left).await;
}

#[tokio::test]
async fn with_an_extractor_by_hand() {
    let (tell, left) = events();
    let ways = ["key-of-alice", "key-of-bob"].map(|key| ("/websocket".into(), vec![("X-Api-Key", key)]));
    talk(Hub::builder(api_keys()).handler(switch(tell)), ways, left).await;
}

#[tokio::test]
async fn with_a_handler_by_hand() {
    let (tell, left) = events();
    talk(Hub::builder(RawKey::from_path()).handler(Relay(tell)), raw_ways(), left).await;
}

#[tokio::test]
async fn with_a_store_by_hand() {
    let (tell, left) = events();
    let hub = Hub::builder(RawKey::from_path()).handler(switch(tell)).store(ListStore::default());
    talk(hub, raw_ways(), left).await;
}

#[tokio::test]
async fn with_a_store_around_a_store() {
    let (tell, left) = events();
    let calls = Arc::new(AtomicUsize::new(0));
    let store = Counting { inner: MemoryStore::new(), calls: calls.clone() };
    talk(Hub::builder(RawKey::from_path()).handler(Relay(tell)).store(store), raw_ways(), left).await;
    // Three came and went, and there were four pushes, calls and kicks.
    assert!(calls.load(Ordering::SeqCst) >= 10);
}

/// In place of raw keys, tokens: one line.
#[tokio::test]
async fn with_tokens() {
    let (tell, left) = events();
    let secret = b"the secret of the tests, longer than 32 bytes";
    let hub = Hub::builder(JwtKey::hs256(secret)).handler(Relay(tell));
    let ways = ["alice", "bob"].map(|sub| {
        let claims = json!({ "sub": sub, "exp": 32_503_680_000_u64 });
        let key = jsonwebtoken::EncodingKey::from_secret(secret);
        let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key);
        (format!("/websocket/{}", token.expect("a token")), vec![])
    });
    talk(hub, ways, left).await;
}

/// Parts that are chosen at run time are parts too.
#[tokio::test]
async fn with_everything_by_hand_and_behind_pointers() {
    let (tell, left) = events();
    let keys: Arc<dyn KeyExtractor> = Arc::new(api_keys().or(RawKey::from_path()));
    let handler: Arc<dyn MessageHandler> = Arc::new(Relay(tell));
    let store: Arc<dyn SessionStore> = Arc::new(ListStore::default());
    talk(Hub::builder(keys).handler(handler).store(store), raw_ways(), left).await;
}

/// A store that cannot decide sends clients away until it can.
#[tokio::test]
async fn a_store_that_fails_lets_nobody_in() {
    struct Down;

    #[async_trait]
    impl SessionStore for Down {
        async fn insert(&self, _: Session, _: SessionPolicy) -> Result<Inserted, StoreError> {
            Err(StoreError::Unavailable("no route to the registry".into()))
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
    let server = Server::start(Hub::builder(RawKey::from_path()).store(Down).build()).await;
    let end = server.open("/websocket/alice").await.end().await;
    assert_eq!((end.code, &*end.reason), (1013, "unavailable"));
}

//! A crate that is not keywire's tests its handlers and its extractor without a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keywire::adapter::Handshake;
use keywire::auth::{RawKey, Rejection};
use keywire::limits::SessionPolicy;
use keywire::message::{Code, Flag, MessageId};
use keywire::session::{CloseCode, Closed, ClosedBy};
use keywire::store::MemoryStore;
use keywire::{
    Envelope, HandlerResult, Hub, Identity, Key, KeyExtractor, MessageHandler, Push, Reply, Session,
    SessionStore, Switch, async_trait,
};

// The application.

async fn mine(session: Session, difficulty: u8) -> HandlerResult {
    session.send(Push::data(difficulty));
    Ok(Reply::ok("mining"))
}

async fn relay(session: Session, envelope: Envelope) -> HandlerResult {
    let to = envelope.reception.ok_or(Reply::error(Code::MALFORMED, "to whom?"))?;
    let push = Push::data(&envelope.body).with_flag("inform").with_sender(&envelope.sender);
    match session.hub().send_to(&to, push).await.delivered {
        0 => Ok(Reply::error(Code::ABSENT, format!("{to} is not connected"))),
        _ => Ok(Reply::none()),
    }
}

#[derive(Default)]
struct Visits(AtomicUsize);

impl Visits {
    async fn count(self: Arc<Self>, session: Session, _: Envelope) -> HandlerResult {
        session.extensions().insert(self.0.fetch_add(1, Ordering::SeqCst));
        if self.0.load(Ordering::SeqCst) > 1 {
            session.close(CloseCode::POLICY, "once");
        }
        Ok(Reply::none())
    }

    async fn closed(self: Arc<Self>, _: Session, closed: Closed) {
        if closed.by == ClosedBy::Network {
            self.0.store(0, Ordering::SeqCst);
        }
    }
}

struct ApiKeys;

#[async_trait]
impl KeyExtractor for ApiKeys {
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
        match handshake.header("x-api-key")?.ok_or(Rejection::Missing)? {
            "key-of-alice" => Ok(identity("alice")),
            _ => Err(Rejection::Invalid),
        }
    }
}

fn identity(key: &str) -> Identity {
    Identity::new(Key::new(key).expect("a key"))
}

// Its tests.

#[tokio::test]
async fn a_handler_in_five_lines() {
    let (session, mut sent) = Session::detached(identity("alice"));
    let reply = mine(session, 7).await.expect("a reply");
    assert_eq!(reply.as_push(), Some(&Push::message("mining")));
    assert_eq!(sent.pushes(), [Push::data(7)]);
    assert_eq!(sent.closed(), None);
}

#[tokio::test]
async fn an_extractor_in_three() {
    let request = http::Request::get("/websocket").header("x-api-key", "key-of-alice").body(()).expect("one");
    let identity = ApiKeys.extract(&Handshake::new(request)).await;
    assert_eq!(identity.expect("an identity").key().as_str(), "alice");
}

/// The body is parsed, and what is wrong with it is answered, as over a connection.
#[tokio::test]
async fn a_switch_is_called_as_a_connection_does() {
    let (session, mut sent) = Session::detached(identity("alice"));
    let switch = Switch::new().command(mine);
    let envelope = |flag, body| Envelope::new(session.key(), flag, body);
    let good = switch.message(&session, envelope(Flag::COMMAND, 7)).await.expect("a reply");
    assert_eq!(good.as_push(), Some(&Push::message("mining")));
    let bad = switch.message(&session, envelope(Flag::COMMAND, 256)).await.expect("a reply");
    assert_eq!(bad.as_push().map(|push| &push.code), Some(&Code::MALFORMED));
    let unknown = switch.message(&session, envelope(Flag::INFORM, 7)).await.expect("a reply");
    assert_eq!(unknown.as_push().map(|push| &push.code), Some(&Code::UNKNOWN_FLAG));
    assert_eq!(sent.pushes(), [Push::data(7)]);
}

#[tokio::test]
async fn a_relay_between_two_sessions_of_a_hub() {
    let store = Arc::new(MemoryStore::new());
    let hub = Hub::builder(RawKey::from_path()).store(store.clone()).build();
    let (alice, _alices) = Session::detached_on(&hub, identity("alice"));
    let (bob, mut bobs) = Session::detached_on(&hub, identity("bob"));
    let envelope = Envelope::new(alice.key(), "inform", [1]).with_id(MessageId::Number(1));

    let early = relay(alice.clone(), envelope.clone()).await.expect_err("a reply as an error");
    assert_eq!(early.as_reply().and_then(Reply::as_push), Some(&Push::new("40", "to whom?")));

    let envelope = envelope.with_reception(bob.key());
    let absent = relay(alice.clone(), envelope.clone()).await.expect("a reply");
    assert_eq!(absent.as_push(), Some(&Push::new("45", "bob is not connected")));

    store.insert(bob, SessionPolicy::Replace).await.expect("room");
    assert!(relay(alice.clone(), envelope).await.expect("a reply").is_none());
    assert_eq!(bobs.next().await, Some(Push::data([1]).with_flag("inform").with_sender(alice.key())));
    hub.disconnect("bob").await;
    assert_eq!(bobs.next().await, None);
    assert_eq!(bobs.closed().map(|closed| closed.code), Some(CloseCode::DISCONNECTED));
}

#[tokio::test]
async fn the_state_and_the_life_of_a_session() {
    let (session, sent) = Session::detached(identity("alice"));
    let visits = Arc::new(Visits::default());
    // Only as a handler has it a `closed` that can be called.
    let switch: &dyn MessageHandler =
        &Switch::with_shared(visits.clone()).command(Visits::count).closed(Visits::closed);
    let envelope = Envelope::new(session.key(), "command", ());
    for visit in 0..2_usize {
        switch.message(&session, envelope.clone()).await.expect("no error");
        assert_eq!(session.extensions().get(), Some(visit));
    }
    assert_eq!(sent.closed(), Some(Closed::new(CloseCode::POLICY, "once", ClosedBy::Server)));
    switch.closed(&session, &Closed::new(CloseCode::NORMAL, "", ClosedBy::Peer)).await;
    assert_eq!(visits.0.load(Ordering::SeqCst), 2);
    switch.closed(&session, &Closed::lost()).await;
    assert_eq!(visits.0.load(Ordering::SeqCst), 0);
}

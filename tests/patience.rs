//! Handlers that never come to an end, hooks that reach back into the hub: the session goes on, or says why not.
#![cfg(feature = "warp")]

mod support;

use std::future::pending;
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use keywire::adapter::Handshake;
use keywire::auth::{RawKey, Rejection};
use keywire::handler::{Failure, HandlerError};
use keywire::message::Text;
use keywire::session::Closed;
use keywire::store::{Counts, Recipients};
use keywire::{
    Config, Envelope, HandlerResult, Hub, HubBuilder, Identity, KeyExtractor, MessageHandler, Push, Reply,
    Session, Switch, async_trait,
};
use serde_json::json;
use support::{Client, Events, events, telling_ends, within};
use tokio::sync::mpsc::UnboundedSender;
use tokio_tungstenite::tungstenite::Message;

const PATIENCE: Duration = Duration::from_secs(5);

fn hub(handler: impl MessageHandler) -> HubBuilder {
    hub_of(RawKey::from_path(), handler)
}

fn hub_of(keys: impl KeyExtractor, handler: impl MessageHandler) -> HubBuilder {
    let config = Config { handler_timeout: PATIENCE, ..Config::default() };
    Hub::builder(keys).handler(handler).config(config)
}

/// Tells when it is dropped.
struct Dropped(UnboundedSender<&'static str>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_returns_is_dropped_and_the_session_lives_on() {
    let (tell, mut told) = events();
    let on_failure = tell.clone();
    let switch = Switch::new()
        .command(move |_: Session, _: Envelope| {
            let dropped = Dropped(tell.clone());
            async move {
                let _dropped = dropped;
                pending::<HandlerResult>().await
            }
        })
        .failed(move |_, failure| {
            let _ = on_failure.send(if failure == "timed out" { "timed out" } else { "something else" });
            async {}
        });
    let mut alice = Client::piped(&hub(switch).build(), "alice").await;
    for id in 0..3 {
        let start = tokio::time::Instant::now();
        alice.send(json!({ "flag": "command", "id": id })).await;
        // It waits for its turn, and has it.
        alice.send(json!({ "flag": "other", "id": "next" })).await;
        assert_eq!(alice.next().await, json!({ "code": "50", "msg": "internal error", "id": id }));
        assert_eq!(alice.next().await["id"], "next");
        assert_eq!(start.elapsed().as_secs(), 5);
        let mut both = [told.next("the first").await, told.next("the second").await];
        both.sort_unstable();
        assert_eq!(both, ["dropped", "timed out"]);
    }
}

#[tokio::test(start_paused = true)]
async fn each_call_has_its_own_time() {
    let switch = Switch::new().command(|_: Session, seconds: u64| async move {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        Ok(Reply::data(seconds))
    });
    let mut alice = Client::piped(&hub(switch).build(), "alice").await;
    // All are read at once, and the last one waits longer for its turn than one may take.
    for _ in 0..3 {
        alice.send(json!({ "flag": "command", "body": 4 })).await;
    }
    for _ in 0..3 {
        assert_eq!(alice.next().await["data"], 4);
    }
    assert_eq!(alice.ask(json!({ "flag": "command", "body": 6 })).await["code"], "50");
}

#[tokio::test(start_paused = true)]
async fn for_ever_is_possible() {
    let switch = Switch::new().command(|_: Session, hours: u64| async move {
        tokio::time::sleep(Duration::from_secs(hours * 60 * 60)).await;
        Ok(Reply::data(hours))
    });
    let config = Config { handler_timeout: Duration::MAX, ..Config::default() };
    let mut alice = Client::piped(&hub(switch).config(config).build(), "alice").await;
    alice.send(json!({ "flag": "command", "body": 48 })).await;
    // It answers pings for two days.
    for _ in 0..10_000 {
        if let Ok(message) = tokio::time::timeout(Duration::from_secs(20), alice.receive()).await {
            assert!(message.to_text().is_ok_and(|text| text.contains("48")), "{message:?}");
            return;
        }
    }
    panic!("no answer");
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_beginning_never_ends_is_ended() {
    let (switch, mut ends) = telling_ends();
    let switch = switch.failed(|_, _| async {}).opened(|_| pending::<Result<(), HandlerError>>());
    let hub = hub(switch).build();
    let mut alice = Client::piped(&hub, "alice").await;
    assert_eq!(alice.end().await.code, 1011);
    assert_eq!(u16::from(ends.next("the end").await.1.code), 1011);
    assert_eq!(hub.counts().await, Counts::default());
}

#[tokio::test(start_paused = true)]
async fn a_hook_for_failures_that_never_returns_holds_nobody_up() {
    let switch = Switch::new()
        .command(|_: Session, _: Envelope| async { Err::<(), _>(HandlerError::msg("a failure")) })
        .inform(|_: Session, _: Envelope| pending::<HandlerResult>())
        .failed(|_, _| pending());
    let mut alice = Client::piped(&hub(switch).build(), "alice").await;
    for flag in ["command", "inform"] {
        let answer = alice.ask(json!({ "flag": flag, "id": flag })).await;
        assert_eq!(answer, json!({ "code": "50", "msg": "internal error", "id": flag }));
        alice.ping().await;
    }
}

/// The connection has ended, and only the handler is still at work.
#[tokio::test(start_paused = true)]
async fn what_never_returns_is_dropped_behind_the_end_too() {
    let (tell, mut told) = events();
    let (at_work, on_failure, on_close) = (tell.clone(), tell.clone(), tell);
    let switch = Switch::new()
        .command(move |_: Session, _: Envelope| {
            let _ = at_work.send("at work".to_owned());
            pending::<HandlerResult>()
        })
        .failed(move |_, failure| {
            let _ = on_failure.send(failure);
            async {}
        })
        .closed(move |_, closed: Closed| {
            let _ = on_close.send(closed.code.to_string());
            pending()
        });
    let hub = hub(switch).build();
    let mut alice = Client::piped(&hub, "alice").await;
    alice.send(json!({ "flag": "command" })).await;
    assert_eq!(told.next("the handler").await, "at work");
    hub.disconnect("alice").await;
    assert_eq!(alice.end().await.code, 4505);
    assert_eq!(told.next("the failure").await, "timed out");
    assert_eq!(told.next("the end").await, "4505");
    assert_eq!(within("the last connection", hub.shutdown(Duration::MAX)).await, 0);
}

/// Each hook does what `Raw::hook` says.
struct Raw {
    hook: fn() -> Hook,
    tell: UnboundedSender<String>,
}

enum Hook {
    Hangs,
    Panics,
}

impl Raw {
    async fn fault(&self) {
        match (self.hook)() {
            Hook::Hangs => pending().await,
            Hook::Panics => panic!("a hook's bug"),
        }
    }
}

#[async_trait]
impl MessageHandler for Raw {
    async fn text(&self, _: &Session, text: Text) -> Result<ControlFlow<Reply, Text>, HandlerError> {
        if text.contains("raw") {
            self.fault().await;
        }
        Ok(ControlFlow::Continue(text))
    }

    async fn binary(&self, _: &Session, _: Bytes) -> HandlerResult {
        self.fault().await;
        Ok(Reply::none())
    }

    async fn failed(&self, _: &Session, failure: &Failure) {
        let _ = self.tell.send(failure.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn the_raw_hooks_are_no_exception() {
    let (tell, mut told) = events();
    let hub_of = |hook| hub(Raw { hook, tell: tell.clone() }).build();
    let mut alice = Client::piped(&hub_of(|| Hook::Hangs), "alice").await;
    for message in [Message::text("raw"), Message::binary(&b"raw"[..])] {
        alice.message(message).await;
        assert_eq!(alice.next().await["code"], "50");
        assert_eq!(told.next("the failure").await, "timed out");
        alice.ping().await;
    }
    for message in [Message::text("raw"), Message::binary(&b"raw"[..])] {
        let mut alice = Client::piped(&hub_of(|| Hook::Panics), "alice").await;
        alice.message(message).await;
        assert_eq!(alice.end().await.code, 1011);
        assert_eq!(told.next("the failure").await, "panic: a hook's bug");
    }
}

/// A panic of what is dropped because it took too long.
#[tokio::test(start_paused = true)]
async fn what_panics_when_it_is_dropped_harms_nobody() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a bug in a drop");
        }
    }
    let switch = Switch::new().failed(|_, _| async {}).command(|_: Session, _: Envelope| {
        let bomb = Bomb;
        async move {
            let _bomb = bomb;
            pending::<HandlerResult>().await
        }
    });
    let mut alice = Client::piped(&hub(switch).build(), "alice").await;
    assert_eq!(alice.ask(json!({ "flag": "command" })).await["code"], "50");
    alice.ping().await;
}

/// Whoever is asked about a fresh credential and never answers.
struct Silent;

#[async_trait]
impl KeyExtractor for Silent {
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
        RawKey::from_path().extract(handshake).await
    }

    async fn refresh(&self, _: &str) -> Result<Identity, Rejection> {
        pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_never_checked_is_not_waited_for() {
    let hub = hub_of(Silent, Switch::new()).build();
    let mut alice = Client::piped(&hub, "alice").await;
    assert_eq!(alice.ask(json!({ "flag": "kw:refresh", "body": "x" })).await["code"], "50");
    alice.ping().await;
}

/// Does with the hub and its own session all that there is, from whatever hook.
async fn reach_back(session: &Session, hook: &'static str) {
    let hub = session.hub();
    session.send(Push::message(hook));
    hub.send_to(session.key(), Push::message(hook)).await;
    hub.send_to(session.key(), &[Push::message(hook), Push::message(hook)]).await;
    hub.broadcast(Push::message(hook)).await;
    assert!(hub.counts().await.sessions <= 1);
    assert!(hub.sessions(session.key()).await.len() <= 1);
    hub.dispatch(
        &Recipients::everyone(),
        &keywire::store::Order::Deliver(keywire::message::Frame::burst([])),
    )
    .await;
}

struct Reentrant(UnboundedSender<&'static str>);

impl Reentrant {
    fn tell(&self, hook: &'static str) {
        let _ = self.0.send(hook);
    }
}

#[async_trait]
impl MessageHandler for Reentrant {
    async fn opened(&self, session: &Session) -> HandlerResult {
        reach_back(session, "opened").await;
        Ok(Reply::ok("opened"))
    }

    async fn text(&self, session: &Session, text: Text) -> Result<ControlFlow<Reply, Text>, HandlerError> {
        reach_back(session, "text").await;
        Ok(ControlFlow::Continue(text))
    }

    async fn binary(&self, session: &Session, _: Bytes) -> HandlerResult {
        reach_back(session, "binary").await;
        Ok(Reply::ok("binary"))
    }

    async fn command(&self, session: &Session, _: Envelope) -> HandlerResult {
        reach_back(session, "command").await;
        Err(HandlerError::msg("for `failed`"))
    }

    async fn inform(&self, session: &Session, _: Envelope) -> HandlerResult {
        session.hub().disconnect(session.key()).await;
        session.close(keywire::session::CloseCode::NORMAL, "");
        reach_back(session, "inform").await;
        self.tell("inform");
        Ok(Reply::ok("goodbye"))
    }

    async fn failed(&self, session: &Session, _: &Failure) {
        reach_back(session, "failed").await;
    }

    async fn closed(&self, session: &Session, _: &Closed) {
        reach_back(session, "closed").await;
        session.hub().disconnect(session.key()).await;
        self.tell("closed");
    }
}

/// Five pushes of a hook itself, and what it answers.
async fn heard(client: &mut Client<tokio::io::DuplexStream>, hook: &str) {
    for _ in 0..5 {
        assert_eq!(client.next().await["msg"], hook);
    }
}

#[tokio::test(start_paused = true)]
async fn every_hook_may_use_the_hub() {
    let (tell, mut told): (_, Events<&str>) = events();
    let hub = hub(Reentrant(tell)).build();
    let mut alice = Client::piped(&hub, "alice").await;
    heard(&mut alice, "opened").await;
    assert_eq!(alice.next().await["msg"], "opened");
    alice.message(Message::binary(&b""[..])).await;
    heard(&mut alice, "binary").await;
    assert_eq!(alice.next().await["msg"], "binary");
    alice.send(json!({ "flag": "command" })).await;
    for hook in ["text", "command", "failed"] {
        heard(&mut alice, hook).await;
    }
    assert_eq!(alice.next().await["code"], "50");
    alice.send(json!({ "flag": "inform" })).await;
    heard(&mut alice, "text").await;
    assert_eq!(alice.next().await["msg"], "goodbye");
    assert_eq!(alice.end().await.code, 4505);
    assert_eq!(told.next("a hook").await, "inform");
    assert_eq!(told.next("the last hook").await, "closed");
    assert_eq!(hub.shutdown(Duration::MAX).await, 0);
}

//! What a switch does round the messages of its routes, and round a whole handler.
#![cfg(feature = "warp")]

mod support;

use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;

use bytes::Bytes;
use keywire::auth::RawKey;
use keywire::handler::{Failure, HandlerError};
use keywire::message::{Code, Frame, Text};
use keywire::session::Closed;
use keywire::{Envelope, HandlerResult, Hub, MessageHandler, Reply, Session, Switch, async_trait};
use serde_json::json;
use support::{Events, Server, events};
use tokio::sync::mpsc::UnboundedSender;
use tokio_tungstenite::tungstenite::Message;

async fn server(handler: impl MessageHandler) -> Server {
    Server::start(Hub::builder(RawKey::from_path()).handler(handler).build()).await
}

/// Tells what it saw.
struct Diary(UnboundedSender<String>);

impl Diary {
    fn new() -> (Self, Events<String>) {
        let (tell, told) = events();
        (Self(tell), told)
    }

    fn write(&self, line: impl Into<String>) {
        let _ = self.0.send(line.into());
    }

    /// Turns bob away, fails at `trip`, and changes `old` to `new`.
    async fn before(
        self: Arc<Self>,
        session: Session,
        mut envelope: Envelope,
    ) -> Result<Envelope, HandlerError> {
        self.write(format!("before {}", envelope.flag));
        if session.key().as_str() == "bob" {
            Err(Reply::error(Code::FORBIDDEN, "not bob"))?;
        }
        match envelope.flag.as_str() {
            "trip" => Err("a stone")?,
            "old" => envelope.flag = "new".into(),
            _ => {}
        }
        Ok(envelope)
    }

    async fn after(self: Arc<Self>, _: Session, envelope: Envelope, result: HandlerResult) -> HandlerResult {
        let seen = match &result {
            Ok(reply) => reply.as_push().map_or("nothing".into(), |push| push.msg.to_string()),
            Err(error) => format!("{error}"),
        };
        self.write(format!("after {}: {seen}", envelope.flag));
        if envelope.flag.as_str() == "secret" { Ok(Reply::ok("***")) } else { result }
    }
}

async fn flag(_: Session, envelope: Envelope) -> HandlerResult {
    Ok(Reply::ok(format!("did {}", envelope.flag)))
}

async fn silent(_: Session, _: Envelope) -> HandlerResult {
    Ok(Reply::none())
}

#[tokio::test]
async fn hooks_stand_before_and_after_every_message() {
    let (diary, mut told) = Diary::new();
    let switch = Switch::with(diary)
        .before(Diary::before)
        .after(Diary::after)
        .after(|_: Session, envelope: Envelope, result: HandlerResult| async move {
            if envelope.flag.as_str() == "twice" { Ok(Reply::ok("twice")) } else { result }
        })
        .command(flag)
        .on("silent", silent)
        .on("new", flag)
        .on("secret", flag)
        .on("twice", flag)
        .failed(|diary: Arc<Diary>, _: Session, failure: String| async move { diary.write(failure) });
    let server = server(switch).await;
    let mut alice = server.client("alice").await;
    let mut answer = async |flag: &str| alice.ask(json!({ "flag": flag, "id": 1 })).await["msg"].clone();
    assert_eq!(answer("command").await, "did command");
    assert_eq!(told.rest(), ["before command", "after command: did command"]);
    assert_eq!(answer("old").await, "did new");
    assert_eq!(told.rest(), ["before old", "after old: did new"]);
    assert_eq!(answer("secret").await, "***");
    assert_eq!(answer("twice").await, "twice");
    assert_eq!(answer("other").await, "no handler for this flag");
    assert_eq!(told.rest().last().expect("some"), "after other: no handler for this flag");
    assert_eq!(answer("trip").await, "internal error");
    assert_eq!(told.rest(), ["before trip", "after trip: a stone", "error: a stone"]);
    alice.send(json!({ "flag": "silent" })).await;
    alice.ping().await;
    assert_eq!(told.rest(), ["before silent", "after silent: nothing"]);

    let mut bob = server.client("bob").await;
    let refused = bob.ask(json!({ "flag": "command", "id": 2 })).await;
    assert_eq!(refused, json!({ "code": "43", "msg": "not bob", "id": 2 }));
    assert!(told.rest()[1].starts_with("after command: "));
}

#[tokio::test]
async fn several_before_hooks_are_called_in_their_order() {
    let mark = |mark: &'static str| {
        move |_: Session, mut envelope: Envelope| async move {
            envelope.flag = format!("{}{mark}", envelope.flag).into();
            Ok(envelope)
        }
    };
    let server = server(Switch::new().before(mark("1")).before(mark("2")).unknown(flag)).await;
    let mut alice = server.client("alice").await;
    assert_eq!(alice.ask(json!({ "flag": "x" })).await["msg"], "did x12");
}

#[tokio::test]
async fn a_switch_has_hooks_for_raw_frames() {
    async fn text(
        diary: Arc<Diary>,
        _: Session,
        text: Text,
    ) -> Result<ControlFlow<Reply, Text>, HandlerError> {
        diary.write(&*text);
        Ok(match text.strip_prefix("old ") {
            Some(rest) => Continue(rest.into()),
            None if text.starts_with('{') => Continue(text),
            None => Break(Frame::text("raw").into()),
        })
    }
    let (diary, mut told) = Diary::new();
    let switch = Switch::with(diary)
        .text(text)
        .binary(|_: Session, bytes: Bytes| async move { Ok(Reply::from(Frame::binary(&bytes[1..]))) })
        .command(flag);
    let server = server(switch).await;
    let mut alice = server.client("alice").await;
    let _ = told.rest();
    alice.text("anything").await;
    assert_eq!(alice.receive().await, Message::text("raw"));
    alice.text(r#"old {"flag":"command"}"#).await;
    assert_eq!(alice.next().await["msg"], "did command");
    assert_eq!(told.rest(), ["anything", r#"old {"flag":"command"}"#]);
    alice.message(Message::binary(&b"abc"[..])).await;
    assert_eq!(alice.receive().await, Message::binary(&b"bc"[..]));
}

/// Uses every method.
struct Whole(Diary);

#[async_trait]
impl MessageHandler for Whole {
    async fn command(&self, _: &Session, envelope: Envelope) -> HandlerResult {
        if envelope.body.is_null() { Err("no body")? } else { Ok(Reply::ok("inner")) }
    }

    async fn text(&self, _: &Session, text: Text) -> Result<ControlFlow<Reply, Text>, HandlerError> {
        Ok(if &*text == "raw" { Break(Reply::ok("inner text")) } else { Continue(text) })
    }

    async fn binary(&self, _: &Session, _: Bytes) -> HandlerResult {
        Ok(Reply::ok("inner binary"))
    }

    async fn opened(&self, _: &Session) -> HandlerResult {
        Ok(Reply::ok("inner opened"))
    }

    async fn closed(&self, _: &Session, closed: &Closed) {
        self.0.write(format!("inner closed {}", closed.code));
    }

    async fn failed(&self, _: &Session, failure: &Failure) {
        self.0.write(format!("inner failed: {failure}"));
    }
}

/// All that it has no hook for goes to the handler inside, and the hooks see the messages of both.
#[tokio::test]
async fn a_switch_wraps_a_handler_of_any_kind() {
    let (diary, mut told) = Diary::new();
    let whole = Whole(Diary(diary.0.clone()));
    let switch = Switch::with(diary).before(Diary::before).on("outer", flag).fallback(whole);
    let server = server(switch).await;
    let mut bob = server.open("/websocket/bob").await;
    assert_eq!(bob.next().await["msg"], "inner opened");
    assert_eq!(bob.ask(json!({ "flag": "command" })).await["code"], "43");

    let mut alice = server.open("/websocket/alice").await;
    assert_eq!(alice.next().await["msg"], "inner opened");
    let _ = told.rest();
    assert_eq!(alice.ask(json!({ "flag": "command", "body": 1 })).await["msg"], "inner");
    assert_eq!(alice.ask(json!({ "flag": "outer" })).await["msg"], "did outer");
    assert_eq!(alice.ask(json!({ "flag": "inform" })).await["code"], "44");
    assert_eq!(told.rest(), ["before command", "before outer", "before inform"]);
    alice.text("raw").await;
    assert_eq!(alice.next().await["msg"], "inner text");
    alice.message(Message::binary(&b"abc"[..])).await;
    assert_eq!(alice.next().await["msg"], "inner binary");
    assert_eq!(alice.ask(json!({ "flag": "command" })).await["code"], "50");
    assert_eq!(told.rest(), ["before command", "inner failed: error: no body"]);
    server.hub.disconnect("alice").await;
    assert_eq!(told.next("the end").await, "inner closed 4505");
}

/// Its own hooks and routes come first.
#[tokio::test]
async fn a_hook_of_the_switch_takes_the_place_of_the_fallbacks() {
    let (diary, mut told) = Diary::new();
    let whole = Whole(Diary(diary.0.clone()));
    let switch = Switch::with(diary)
        .opened(|_: Session| async { Ok(Reply::ok("outer opened")) })
        .closed(|diary: Arc<Diary>, _: Session, _: Closed| async move { diary.write("outer closed") })
        .failed(|diary: Arc<Diary>, _: Session, _: String| async move { diary.write("outer failed") })
        .text(|_: Session, text: Text| async { Ok(Continue(text)) })
        .binary(|_: Session, _: Bytes| async { Ok(Reply::ok("outer binary")) })
        .on("trip", |_: Session, _: Envelope| async { Err::<(), _>(HandlerError::msg("a stone")) })
        .unknown(flag)
        .fallback(whole);
    let server = server(switch).await;
    let mut alice = server.open("/websocket/alice").await;
    assert_eq!(alice.next().await["msg"], "outer opened");
    assert_eq!(alice.ask(json!({ "flag": "command", "body": 1 })).await["msg"], "did command");
    alice.text("raw").await;
    assert_eq!(alice.next().await["code"], "40");
    alice.message(Message::binary(&b"abc"[..])).await;
    assert_eq!(alice.next().await["msg"], "outer binary");
    assert_eq!(alice.ask(json!({ "flag": "trip" })).await["code"], "50");
    assert_eq!(told.rest(), ["outer failed"]);
    server.hub.disconnect("alice").await;
    assert_eq!(told.next("the end").await, "outer closed");
}

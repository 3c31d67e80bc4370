//! What `?` takes in a handler, written as an application writes it.
#![cfg(feature = "warp")]

mod support;

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::ops::ControlFlow;

use anyhow::Context as _;
use keywire::auth::RawKey;
use keywire::handler::HandlerError;
use keywire::message::{Code, Text};
use keywire::{Envelope, HandlerResult, Hub, MessageHandler, Push, Reply, Session, Switch, async_trait};
use serde_json::{Value, json};
use support::{Server, events};

async fn with_anyhow(_: Session, _: Envelope) -> HandlerResult {
    fn inner() -> anyhow::Result<u16> {
        "http".parse().context("the port")
    }
    Ok(Reply::data(inner()?))
}

async fn with_a_box(_: Session, _: Envelope) -> HandlerResult {
    fn inner() -> Result<(), Box<dyn Error + Send + Sync>> {
        Err("a boxed error".into())
    }
    inner()?;
    Ok(Reply::none())
}

async fn with_a_str(_: Session, _: Envelope) -> HandlerResult {
    Err("a str")?
}

async fn with_a_string(_: Session, envelope: Envelope) -> HandlerResult {
    Err(format!("a string of {}", envelope.sender))?
}

async fn with_a_cow(_: Session, _: Envelope) -> HandlerResult {
    Err(Cow::Borrowed("a cow"))?
}

async fn with_an_option(_: Session, _: Envelope) -> HandlerResult {
    let nothing: Option<Reply> = None;
    Ok(nothing.ok_or("nothing there")?)
}

async fn with_an_error(_: Session, _: Envelope) -> HandlerResult {
    Ok(Reply::data("http".parse::<u16>()?))
}

/// What the server itself cannot write is its own failure.
async fn with_json(_: Session, _: Envelope) -> HandlerResult {
    Ok(Push::try_data(HashMap::from([((1, 2), 3)]))?.into())
}

async fn with_its_own(session: Session, envelope: Envelope) -> HandlerResult {
    with_a_str(session, envelope).await?;
    Ok(Reply::none())
}

#[tokio::test]
async fn any_error_is_a_failure_and_shows_the_client_nothing() {
    let (tell, mut failed) = events();
    let switch = Switch::new()
        .on("anyhow", with_anyhow)
        .on("box", with_a_box)
        .on("str", with_a_str)
        .on("string", with_a_string)
        .on("cow", with_a_cow)
        .on("option", with_an_option)
        .on("error", with_an_error)
        .on("json", with_json)
        .on("own", with_its_own)
        .on("closure", |_: Session, number: String| async move {
            let number: u16 = number.parse().context("the number")?;
            Ok(Push::data(number))
        })
        .failed(move |_, failure| {
            let _ = tell.send(failure);
            async {}
        });
    let server = Server::start(Hub::builder(RawKey::from_path()).handler(switch).build()).await;
    let mut alice = server.client("alice").await;
    for (flag, failure) in [
        ("anyhow", "error: the port"),
        ("box", "error: a boxed error"),
        ("str", "error: a str"),
        ("string", "error: a string of alice"),
        ("cow", "error: a cow"),
        ("option", "error: nothing there"),
        ("error", "error: invalid digit found in string"),
        ("json", "error: key must be a string"),
        ("own", "error: a str"),
        ("closure", "error: the number"),
    ] {
        let answer = alice.ask(json!({ "flag": flag, "body": "http", "id": flag })).await;
        assert_eq!(answer, json!({ "code": "50", "msg": "internal error", "id": flag }));
        assert_eq!(failed.next("the failure").await, failure);
    }
}

/// Returns early with an answer, in every call that can.
struct Early;

#[async_trait]
impl MessageHandler for Early {
    async fn text(&self, _: &Session, text: Text) -> Result<ControlFlow<Reply, Text>, HandlerError> {
        if text.starts_with('#') {
            Err(Reply::error(Code::FORBIDDEN, "no comments"))?;
        }
        Ok(ControlFlow::Continue(text))
    }

    async fn binary(&self, _: &Session, _: bytes::Bytes) -> HandlerResult {
        Err(Reply::error(Code::FORBIDDEN, "no bytes"))?
    }

    async fn command(&self, _: &Session, envelope: Envelope) -> HandlerResult {
        let to = envelope.reception.ok_or(Reply::error(Code::MALFORMED, "to whom?"))?;
        Ok(Reply::ok(to.to_string()))
    }

    async fn inform(&self, _: &Session, envelope: Envelope) -> HandlerResult {
        Ok(Reply::data(envelope.parse::<u8>()?))
    }

    async fn unknown(&self, _: &Session, envelope: Envelope) -> HandlerResult {
        let number = || -> Result<u8, Box<dyn Error + Send + Sync>> { Ok(envelope.parse()?) };
        Ok(Reply::data(number()?))
    }

    async fn opened(&self, session: &Session) -> HandlerResult {
        if session.key().as_str() == "eve" {
            Err(Reply::error(Code::FORBIDDEN, "no plan"))?;
        }
        Ok(Reply::none())
    }

    async fn failed(&self, _: &Session, failure: &keywire::handler::Failure) {
        panic!("a reply is no failure: {failure}");
    }
}

#[tokio::test]
async fn a_reply_is_an_answer_and_no_failure() {
    let server = Server::start(Hub::builder(RawKey::from_path()).handler(Early).build()).await;
    let mut alice = server.client("alice").await;
    let answer = alice.ask(json!({ "flag": "command", "id": 1 })).await;
    assert_eq!(answer, json!({ "code": "40", "msg": "to whom?", "id": 1 }));
    assert_eq!(alice.ask(json!({ "flag": "command", "reception": "bob" })).await["msg"], "bob");
    let mut raw = server.raw_session("bob").await;
    raw.write(&support::masked(support::TEXT, b"# hello")).await;
    assert_eq!(raw.push().await, json!({ "code": "43", "msg": "no comments" }));
    raw.write(&support::masked(2, b"hello")).await;
    assert_eq!(raw.push().await, json!({ "code": "43", "msg": "no bytes" }));
}

/// As with a body of another type than a function of a [`Switch`] takes.
#[tokio::test]
async fn a_wrong_body_is_the_clients_mistake() {
    let server = Server::start(Hub::builder(RawKey::from_path()).handler(Early).build()).await;
    let mut alice = server.client("alice").await;
    for flag in ["inform", "another"] {
        let answer = alice.ask(json!({ "flag": flag, "body": "seven", "id": 1 })).await;
        let msg = "body: invalid type: string \"seven\", expected u8 at line 1 column 7";
        assert_eq!(answer, json!({ "code": "40", "msg": msg, "id": 1 }));
        assert_eq!(alice.ask(json!({ "flag": flag, "body": 7 })).await["data"], 7);
    }
    let answer = alice.ask(json!({ "flag": "inform", "body": "x".repeat(10_000) })).await;
    assert!(answer.to_string().len() < 400, "the client's own text comes back whole: {answer}");
}

/// The session is not the one that the application meant it to be, and the client learns why.
#[tokio::test]
async fn a_reply_that_ends_the_beginning_early_ends_the_session() {
    let server = Server::start(Hub::builder(RawKey::from_path()).handler(Early).build()).await;
    let mut eve = server.open("/websocket/eve").await;
    assert_eq!(eve.next().await, json!({ "code": "43", "msg": "no plan" }) as Value);
    assert_eq!(eve.end().await.code, 1011);
}

#[test]
fn what_is_inside_can_be_asked_for() {
    assert_eq!(HandlerError::from("a str").source().map(ToString::to_string).as_deref(), Some("a str"));
    assert!(HandlerError::from(Reply::none()).source().is_none());
    assert_eq!(HandlerError::from(anyhow::anyhow!("whatever")).to_string(), "whatever");
}

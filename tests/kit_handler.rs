//! `keywire::testing::handler`: a switch passes, and a handler with any one of these bugs does not.
#![cfg(feature = "testing")]

use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;
use keywire::handler::{Failure, HandlerError};
use keywire::message::Code;
use keywire::session::{CloseCode, Closed};
use keywire::testing::handler;
use keywire::{Envelope, HandlerResult, Key, MessageHandler, Reply, Session, Switch, async_trait};

async fn relay(session: Session, envelope: Envelope) -> HandlerResult {
    let to = envelope.reception.ok_or(Reply::error(Code::MALFORMED, "to whom?"))?;
    session.hub().send_to(to, keywire::Push::data(&envelope.body)).await;
    Ok(Reply::none())
}

#[tokio::test(start_paused = true)]
async fn a_switch_with_typed_bodies_and_state() {
    struct State;

    async fn count(_: Arc<State>, _: Session, number: u8) -> HandlerResult {
        Ok(Reply::data(number))
    }

    handler::all(Switch::with(State).command(count).inform(relay)).await;
    handler::all(Switch::new()).await;
}

/// An application may end a session for what its client sends, and greet each.
#[tokio::test(start_paused = true)]
async fn a_strict_handler() {
    let switch = Switch::new()
        .opened(async |session: Session| Ok(Reply::ok(session.key().to_string())))
        .command(async |session: Session, _: Envelope| {
            session.close(CloseCode::POLICY, "no commands");
            Ok(Reply::none())
        });
    handler::all(switch).await;
}

#[tokio::test(start_paused = true)]
async fn each_bug_is_found() {
    for bug in [
        Bug::Panics,
        Bug::PanicsAtBinary,
        Bug::PanicsAtText,
        Bug::Hangs,
        Bug::SaysNothing,
        Bug::FailsAtUnknown,
        Bug::OpenedFails,
        Bug::ClosedPanics,
        Bug::ClosedHangs,
    ] {
        let checked = tokio::spawn(handler::all(Buggy(bug))).await;
        assert!(checked.is_err_and(|error| error.is_panic()), "{bug:?} is not found");
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    Panics,
    PanicsAtBinary,
    PanicsAtText,
    Hangs,
    SaysNothing,
    FailsAtUnknown,
    OpenedFails,
    ClosedPanics,
    ClosedHangs,
}

struct Buggy(Bug);

#[async_trait]
impl MessageHandler for Buggy {
    async fn command(&self, _: &Session, envelope: Envelope) -> HandlerResult {
        match self.0 {
            Bug::Panics => assert!(envelope.reception.is_none_or(|to| to != "nobody")),
            Bug::Hangs if envelope.body.as_str() == "{}" => pending().await,
            _ => {}
        }
        Ok(Reply::none())
    }

    async fn unknown(&self, _: &Session, _: Envelope) -> HandlerResult {
        match self.0 {
            Bug::SaysNothing => Ok(Reply::none()),
            Bug::FailsAtUnknown => Err(HandlerError::msg("a bug")),
            _ => Ok(Reply::error(Code::UNKNOWN_FLAG, "")),
        }
    }

    async fn text(
        &self,
        _: &Session,
        text: keywire::message::Text,
    ) -> Result<std::ops::ControlFlow<Reply, keywire::message::Text>, HandlerError> {
        assert!(self.0 != Bug::PanicsAtText || !text.is_empty());
        Ok(std::ops::ControlFlow::Continue(text))
    }

    async fn binary(&self, _: &Session, bytes: Bytes) -> HandlerResult {
        assert!(self.0 != Bug::PanicsAtBinary || std::str::from_utf8(&bytes).is_ok());
        Ok(Reply::none())
    }

    async fn opened(&self, _: &Session) -> HandlerResult {
        if self.0 == Bug::OpenedFails { Err(HandlerError::msg("a bug")) } else { Ok(Reply::none()) }
    }

    async fn closed(&self, _: &Session, _: &Closed) {
        assert!(self.0 != Bug::ClosedPanics);
        if self.0 == Bug::ClosedHangs {
            pending().await
        }
    }
}

#[tokio::test]
async fn a_decorator_forwards_all_or_is_found() {
    handler::a_decorator_forwards(|inner| inner).await;
    handler::a_decorator_forwards(Arc::new).await;
    let before = |_: Session, envelope: Envelope| async { Ok(envelope) };
    let after = |_: Session, _: Envelope, result: Result<Reply, HandlerError>| async { result };
    handler::a_decorator_forwards(|inner| Switch::new().before(before).after(after).fallback(inner)).await;
    for forgotten in ["message", "text", "binary", "opened", "closed", "joined", "left", "failed"] {
        let checked =
            tokio::spawn(handler::a_decorator_forwards(move |inner| Forgetful { inner, forgotten })).await;
        assert!(checked.is_err_and(|error| error.is_panic()), "{forgotten} is not missed");
    }
}

struct Forgetful<H> {
    inner: H,
    forgotten: &'static str,
}

#[async_trait]
impl<H: MessageHandler> MessageHandler for Forgetful<H> {
    async fn message(&self, session: &Session, envelope: Envelope) -> HandlerResult {
        if self.forgotten == "message" {
            Ok(Reply::none())
        } else {
            self.inner.message(session, envelope).await
        }
    }

    async fn text(
        &self,
        session: &Session,
        text: keywire::message::Text,
    ) -> Result<std::ops::ControlFlow<Reply, keywire::message::Text>, HandlerError> {
        match self.forgotten {
            "text" => Ok(std::ops::ControlFlow::Continue(text)),
            _ => self.inner.text(session, text).await,
        }
    }

    async fn binary(&self, session: &Session, bytes: Bytes) -> HandlerResult {
        if self.forgotten == "binary" { Ok(Reply::none()) } else { self.inner.binary(session, bytes).await }
    }

    async fn opened(&self, session: &Session) -> HandlerResult {
        if self.forgotten == "opened" { Ok(Reply::none()) } else { self.inner.opened(session).await }
    }

    async fn closed(&self, session: &Session, closed: &Closed) {
        if self.forgotten != "closed" {
            self.inner.closed(session, closed).await;
        }
    }

    async fn joined(&self, key: &Key) {
        if self.forgotten != "joined" {
            self.inner.joined(key).await;
        }
    }

    async fn left(&self, key: &Key) {
        if self.forgotten != "left" {
            self.inner.left(key).await;
        }
    }

    async fn failed(&self, session: &Session, failure: &Failure) {
        if self.forgotten != "failed" {
            self.inner.failed(session, failure).await;
        }
    }
}

//! `MessageHandler::text_now`: text frames that are handled at once.
#![cfg(feature = "testing")]

use std::ops::ControlFlow::{self, Break, Continue};

use async_trait::async_trait;
use keywire::auth::RawKey;
use keywire::handler::HandlerError;
use keywire::message::{Code, Text};
use keywire::session::{CloseCode, SentFrame};
use keywire::testing::Tab;
use keywire::{Envelope, HandlerResult, Hub, MessageHandler, Push, Reply, Session, Switch};
use serde_json::json;

struct Quick;

#[async_trait]
impl MessageHandler for Quick {
    fn text_now(&self, _: &Session, text: &str) -> Option<Result<ControlFlow<Reply>, HandlerError>> {
        Some(match text {
            "ping" => Ok(Break(Reply::text("pong"))),
            "long" => Ok(Break(Reply::text(&"a".repeat(70_000)))),
            "silent" => Ok(Break(Reply::none())),
            "refused" => Err(Reply::error("40", "not so").into()),
            "failed" => Err("a secret".into()),
            "panic" => panic!("on purpose"),
            "later" => return None,
            _ => Ok(Continue(())),
        })
    }

    async fn text(&self, _: &Session, text: Text) -> Result<ControlFlow<Reply, Text>, HandlerError> {
        assert_eq!(&*text, "later", "nothing else is asked twice");
        Ok(Break(Reply::ok("later")))
    }

    async fn command(&self, _: &Session, envelope: Envelope) -> HandlerResult {
        Ok(Reply::data(envelope.body))
    }
}

/// Only `text_now`, with the default of `text`.
struct OnlyNow;

#[async_trait]
impl MessageHandler for OnlyNow {
    fn text_now(&self, _: &Session, text: &str) -> Option<Result<ControlFlow<Reply>, HandlerError>> {
        (text == "ping").then(|| Ok(Break(Reply::text("pong"))))
    }
}

/// Forwards `text`, and knows nothing of `text_now`.
struct Round<H>(H);

#[async_trait]
impl<H: MessageHandler> MessageHandler for Round<H> {
    async fn text(&self, session: &Session, text: Text) -> Result<ControlFlow<Reply, Text>, HandlerError> {
        self.0.text(session, text).await
    }
}

async fn tab(handler: impl MessageHandler) -> Tab {
    Tab::open(&Hub::builder(RawKey::from_path()).handler(handler).build(), "alice").await
}

#[tokio::test]
async fn each_answer_of_it_is_heeded() {
    let mut alice = tab(Quick).await;
    alice.send_text("silent");
    alice.send_text("ping");
    assert_eq!(alice.next_frame().await, SentFrame::Text("pong".into()));
    alice.send_text("long");
    assert_eq!(alice.next_frame().await, SentFrame::Text("a".repeat(70_000).into()));
    alice.send_text("later");
    assert_eq!(alice.next().await, Push::message("later"));
    alice.send_text("refused");
    assert_eq!(alice.next().await, Push::new("40", "not so"));
    alice.send_text("failed");
    assert_eq!(alice.next().await, Push::new(Code::FAILED, "internal error"));
    assert_eq!(alice.command(json!({"a": 1})).await, Push::data(json!({"a": 1})));
    alice.send_text("panic");
    assert_eq!(alice.closed().await.code, CloseCode::INTERNAL);
}

#[tokio::test]
async fn a_handler_round_it_need_not_know_it() {
    for mut alice in [
        tab(OnlyNow).await,
        tab(Round(OnlyNow)).await,
        tab(Switch::new().fallback(OnlyNow)).await,
        tab(std::sync::Arc::new(OnlyNow)).await,
    ] {
        alice.send_text("ping");
        assert_eq!(alice.next_frame().await, SentFrame::Text("pong".into()));
        alice.send_text("not JSON");
        assert_eq!(alice.next().await.code, Code::MALFORMED);
    }
}

#[tokio::test]
async fn replies_to_many_messages_keep_their_order() {
    let mut alice = tab(Quick).await;
    for _ in 0..3 {
        for _ in 0..20 {
            alice.send_text("ping");
            alice.send_text("later");
        }
        for _ in 0..20 {
            assert_eq!(alice.next_frame().await, SentFrame::Text("pong".into()));
            assert_eq!(alice.next().await, Push::message("later"));
        }
    }
}

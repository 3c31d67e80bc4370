//! The handler's work for one session: one call at a time, whatever it does.

use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tracing::Instrument as _;

use super::span;
use crate::close::Closed;
use crate::excerpt::Excerpt;
use crate::handler::{Failure, HandlerResult, MessageHandler, Reply};
use crate::message::{Code, Envelope, Flag, MessageId, Push};
use crate::session::Session;
use crate::text::Text;
use crate::websocket::CloseCode;

/// What a handler can be called for while a session is open.
pub(super) enum Incoming {
    Opened,
    Text(Text),
    Binary(Bytes),
}

/// At most one call at work.
pub(super) struct Calls<'a> {
    session: &'a Session,
    at_work: Option<BoxFuture<'a, ()>>,
}

impl<'a> Calls<'a> {
    pub(super) fn new(session: &'a Session) -> Self {
        Self { session, at_work: None }
    }

    /// Whose calls these are.
    pub(super) fn session(&self) -> &'a Session {
        self.session
    }

    /// Begins a call. The one before must be done.
    pub(super) fn begin(&mut self, incoming: Incoming) {
        debug_assert!(self.at_work.is_none(), "one call at a time");
        self.at_work = Some(if span::may_be_heard() {
            Box::pin(call(self.session, incoming).instrument(span::of(self.session)))
        } else {
            Box::pin(call(self.session, incoming))
        });
    }

    pub(super) fn is_idle(&self) -> bool {
        self.at_work.is_none()
    }

    /// Goes on with the call at work. Ready when there is none.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(call) = &mut self.at_work {
            ready!(call.as_mut().poll(cx));
            self.at_work = None;
        }
        Poll::Ready(())
    }

    /// Lets the call at work end, and tells the handler that the session has.
    pub(super) async fn finish(mut self, closed: &Closed) {
        if let Some(call) = self.at_work.take() {
            call.await;
        }
        quietly(self.session.hub().handler().closed(self.session, closed)).await;
    }
}

/// One call, from what came in to the reply in the outbox. Nothing that the handler does gets out of here.
async fn call(session: &Session, incoming: Incoming) {
    let handler = session.hub().handler();
    let opening = matches!(incoming, Incoming::Opened);
    let mut id = None;
    let answer = AssertUnwindSafe(answer(handler, session, incoming, &mut id)).catch_unwind();
    let failure = match answer.await {
        Ok(Ok(reply)) => {
            if let Some(frame) = reply.into_frame(id) {
                session.send_owned(frame);
            }
            return;
        }
        Ok(Err(error)) => Failure::Error(error),
        Err(panic) => Failure::from_panic(&*panic),
    };
    quietly(handler.failed(session, &failure)).await;
    // A session whose beginning failed is not the session that the application meant it to be.
    if opening || matches!(failure, Failure::Panic(_)) {
        session.close(CloseCode::INTERNAL, "internal error");
    } else {
        let push = Push { id, ..Push::new(Code::FAILED, "internal error") };
        session.send(push);
    }
}

async fn answer(
    handler: &dyn MessageHandler,
    session: &Session,
    incoming: Incoming,
    id: &mut Option<MessageId>,
) -> HandlerResult {
    let text = match incoming {
        Incoming::Opened => return handler.opened(session).await,
        Incoming::Binary(bytes) => return handler.binary(session, bytes).await,
        Incoming::Text(text) => match handler.text(session, text).await? {
            ControlFlow::Break(reply) => return Ok(reply),
            ControlFlow::Continue(text) => text,
        },
    };
    match read(handler, session, text, id) {
        Ok(message) => message.await,
        Err(reply) => Ok(reply),
    }
}

/// The handler's work on an envelope, or the reply where there is nothing for it to do. Not async, so that no
/// envelope is a part of every call.
fn read<'a>(
    handler: &'a dyn MessageHandler,
    session: &'a Session,
    text: Text,
    id: &mut Option<MessageId>,
) -> Result<BoxFuture<'a, HandlerResult>, Reply> {
    match Envelope::read(&text, session.key()) {
        Ok(envelope) => {
            id.clone_from(&envelope.id);
            if envelope.flag.is_reserved() {
                Err(own(&envelope))
            } else {
                Ok(handler.message(session, envelope))
            }
        }
        Err(malformed) => {
            *id = malformed.id;
            Err(Reply::error(Code::MALFORMED, malformed.reason))
        }
    }
}

/// keywire's own flags.
fn own(envelope: &Envelope) -> Reply {
    if envelope.flag == Flag::PING {
        Push::message("").with_flag(Flag::PONG).into()
    } else {
        Reply::error(Code::UNKNOWN_FLAG, "no such flag of keywire's own")
    }
}

/// Runs a hook from which nothing is expected. Its panic is logged and harms nobody.
async fn quietly(hook: impl Future<Output = ()>) {
    if let Err(panic) = AssertUnwindSafe(hook).catch_unwind().await {
        let failure = Failure::from_panic(&*panic).to_string();
        tracing::error!(failure = %Excerpt(&failure), "a handler's hook failed");
    }
}

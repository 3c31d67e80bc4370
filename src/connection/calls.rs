//! The handler's work for one session: one call at a time, whatever it does.

use std::future::poll_fn;
use std::mem;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::refresh::refresh;
use super::tick::Tick;
use crate::bounded::{bounded, panic_text};
use crate::close::Closed;
use crate::excerpt::Excerpt;
use crate::frame::Frame;
use crate::handler::{Failure, HandlerError, HandlerResult, Reply};
use crate::message::{Code, Envelope, Flag, MessageId, Push};
use crate::metrics::Stopwatch;
use crate::moment::after;
use crate::session::Session;
use crate::span;
use crate::text::Text;
use crate::websocket::CloseCode;

/// What a handler can be called for while a session is open.
pub(super) enum Incoming {
    Opened,
    Text(Text),
    Binary(Bytes),
}

impl Incoming {
    /// How many bytes came.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Opened => 0,
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

/// At most one call at work, from what came in to the reply in the outbox. Nothing that the handler does gets
/// out of here.
pub(super) struct Calls<'a> {
    session: &'a Session,
    stage: Stage<'a>,
    /// What the reply to the message at work will carry.
    id: Option<MessageId>,
    /// When it began.
    since: Stopwatch,
}

/// How far a call is, and by when it must be done, once it has not been done at once. What the handler returns is
/// boxed already, so that a call needs no box of its own.
enum Stage<'a> {
    Idle,
    Opened(BoxFuture<'a, HandlerResult>, Option<Tick>),
    Text(BoxFuture<'a, Result<ControlFlow<Reply, Text>, HandlerError>>, Option<Tick>),
    Message(BoxFuture<'a, HandlerResult>, Option<Tick>),
    /// The handler is told that it failed, and so is the client. This keeps its time by itself.
    Failed(BoxFuture<'a, ()>),
}

impl<'a> Calls<'a> {
    pub(super) fn new(session: &'a Session) -> Self {
        Self { session, stage: Stage::Idle, id: None, since: Stopwatch::start() }
    }

    /// Whose calls these are.
    pub(super) fn session(&self) -> &'a Session {
        self.session
    }

    /// Begins a call. The one before must be done.
    pub(super) fn begin(&mut self, incoming: Incoming) {
        debug_assert!(self.is_idle(), "one call at a time");
        self.since = Stopwatch::start();
        let (session, handler) = (self.session, self.session.hub().handler());
        let _ = self.guard(|calls| {
            calls.stage = match incoming {
                Incoming::Opened => Stage::Opened(span::around(session, handler.opened(session)), None),
                Incoming::Text(text) => Stage::Text(span::around(session, handler.text(session, text)), None),
                Incoming::Binary(bytes) => {
                    Stage::Message(span::around(session, handler.binary(session, bytes)), None)
                }
            };
            Poll::Ready(())
        });
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }

    /// Goes on with the call at work. Ready when there is none.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.is_idle() {
            ready!(self.guard(|calls| calls.advance(cx)));
        }
        Poll::Ready(())
    }

    /// Answers a message that came too soon, and does nothing else with it.
    pub(super) fn refuse(&self, text: Option<&str>) {
        let id = text.and_then(|text| match Envelope::read(&Text::from(text), self.session.key()) {
            Ok(envelope) => envelope.id,
            Err(malformed) => malformed.id,
        });
        if let Some(frame) = Reply::error(Code::SLOW_DOWN, "too many messages").into_frame(id) {
            self.session.reply(frame);
        }
    }

    /// Answers keywire's own ping without waiting for the call at work, and without its text hook. Returns whether the
    /// message was one.
    pub(super) fn answer_ping(&self, message: &Incoming) -> bool {
        // The flag, and an id of 64 bytes however it is escaped.
        const LONGEST: usize = 512;
        let Incoming::Text(text) = message else { return false };
        if text.len() > LONGEST || !text.contains(Flag::PING.as_str()) {
            return false;
        }
        match Envelope::read(text, self.session.key()) {
            Ok(envelope) if envelope.flag == Flag::PING => {
                if let Some(frame) = pong().into_frame(envelope.id) {
                    self.session.reply(frame);
                }
                true
            }
            _ => false,
        }
    }

    /// From now on the call at work must end within this time, if there is one that has no limit yet. Returns when
    /// that is over.
    pub(super) fn limit(&mut self, patience: Duration) -> Option<Instant> {
        let due = match &mut self.stage {
            Stage::Opened(_, due) | Stage::Text(_, due) | Stage::Message(_, due) => due,
            Stage::Idle | Stage::Failed(_) => return None,
        };
        if due.is_some() || patience == Duration::MAX {
            return None;
        }
        let now = Instant::now();
        *due = Tick::after(now, patience);
        Some(after(now, patience))
    }

    /// By when the call at work must be done.
    pub(super) fn due(&self) -> Option<Tick> {
        match &self.stage {
            Stage::Opened(_, due) | Stage::Text(_, due) | Stage::Message(_, due) => *due,
            Stage::Idle | Stage::Failed(_) => None,
        }
    }

    /// The call at work has taken too long.
    pub(super) fn give_up(&mut self) {
        self.fail(Failure::TimedOut);
    }

    /// Lets the call at work end, and tells the handler that the session has.
    pub(super) async fn finish(mut self, closed: &Closed) {
        let session = self.session;
        let patience = session.hub().config().handler_timeout;
        let left = self.due().map_or(patience, |due| due.left(Instant::now()));
        if bounded(left, || poll_fn(|cx| self.poll(cx))).await.is_err() {
            self.give_up();
            poll_fn(|cx| self.poll(cx)).await;
        }
        quietly(session, || session.hub().handler().closed(session, closed)).await;
    }

    /// Runs what belongs to the handler. A panic in it is a failure of the call.
    fn guard(&mut self, work: impl FnOnce(&mut Self) -> Poll<()>) -> Poll<()> {
        catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|panic| {
            self.fail(Failure::from_panic(&*panic));
            Poll::Ready(())
        })
    }

    /// Goes one stage further, if the handler does.
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.stage {
            Stage::Idle => {}
            Stage::Text(hook, _) => match ready!(hook.as_mut().poll(cx)) {
                Ok(ControlFlow::Break(reply)) => self.succeed(reply),
                Ok(ControlFlow::Continue(text)) => self.read(&text),
                Err(error) => self.refuse_or_fail(error),
            },
            Stage::Opened(hook, _) | Stage::Message(hook, _) => match ready!(hook.as_mut().poll(cx)) {
                Ok(reply) => self.succeed(reply),
                Err(error) => self.refuse_or_fail(error),
            },
            Stage::Failed(hook) => {
                ready!(hook.as_mut().poll(cx));
                self.stage = Stage::Idle;
            }
        }
        Poll::Ready(())
    }

    /// Gives an envelope to the handler, or answers where there is nothing for it to do.
    fn read(&mut self, text: &Text) {
        match Envelope::read(text, self.session.key()) {
            Ok(envelope) => {
                self.id.clone_from(&envelope.id);
                if envelope.flag.is_reserved() {
                    self.serve_own(envelope);
                } else {
                    let handler = self.session.hub().handler();
                    let message = handler.message(self.session, envelope);
                    self.stage = Stage::Message(span::around(self.session, message), None);
                }
            }
            Err(malformed) => {
                self.id = malformed.id;
                self.answer(Reply::error(Code::MALFORMED, malformed.reason));
            }
        }
    }

    /// keywire's own flags.
    fn serve_own(&mut self, envelope: Envelope) {
        if envelope.flag == Flag::PING {
            self.answer(pong());
        } else if envelope.flag == Flag::REFRESH {
            let refresh = Box::pin(refresh(self.session, envelope));
            self.stage = Stage::Message(span::around(self.session, refresh), None);
        } else {
            self.answer(Reply::error(Code::UNKNOWN_FLAG, "no such flag of keywire's own"));
        }
    }

    /// What the handler has answered itself.
    fn succeed(&mut self, reply: Reply) {
        self.session.hub().metrics().handled(self.since);
        self.answer(reply);
    }

    /// The handler has returned early: with an answer, which is no failure, or with an error.
    fn refuse_or_fail(&mut self, error: HandlerError) {
        let opening = matches!(self.stage, Stage::Opened(..));
        match error.into_reply() {
            Ok(reply) => self.succeed(reply),
            Err(error) => return self.fail(Failure::Error(error)),
        }
        // As after any other error: it is not the session that the application meant it to be.
        if opening {
            self.session.close(CloseCode::INTERNAL, "internal error");
        }
    }

    fn answer(&mut self, reply: Reply) {
        self.stage = Stage::Idle;
        if let Some(frame) = reply.into_frame(self.id.take()) {
            self.session.reply(frame);
        }
    }

    fn fail(&mut self, failure: Failure) {
        let failed = mem::replace(&mut self.stage, Stage::Idle);
        // A session whose beginning failed is not the session that the application meant it to be.
        let ends = matches!(failed, Stage::Opened(..)) || matches!(failure, Failure::Panic(_));
        if !matches!(failed, Stage::Failed(_)) {
            let metrics = self.session.hub().metrics();
            metrics.handled(self.since);
            metrics.failed(&failure);
            let report = report(self.session, failure, ends, self.id.take());
            self.stage = Stage::Failed(span::around(self.session, Box::pin(report)));
        }
        // What has panicked may do so again when it is dropped.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(failed))) {
            log_lapse(self.session, &panic_text(&*panic));
        }
    }
}

fn pong() -> Reply {
    Push::message("").with_flag(Flag::PONG).into()
}

/// Tells the handler how it failed, and the client that it did.
async fn report(session: &Session, failure: Failure, ends: bool, id: Option<MessageId>) {
    quietly(session, || session.hub().handler().failed(session, &failure)).await;
    if ends {
        session.close(CloseCode::INTERNAL, "internal error");
    } else {
        session.reply(Frame::push(&Push { id, ..Push::new(Code::FAILED, "internal error") }));
    }
}

/// Runs a hook from which nothing is expected. That it panics or takes too long is logged and harms nobody.
async fn quietly<'a>(session: &Session, hook: impl FnOnce() -> BoxFuture<'a, ()>) {
    if let Err(lapse) = bounded(session.hub().config().handler_timeout, hook).await {
        log_lapse(session, &lapse.to_string());
    }
}

fn log_lapse(session: &Session, failure: &str) {
    session.hub().metrics().hook_failed();
    let span = span::of_error(session);
    span.in_scope(|| tracing::error!(failure = %Excerpt(failure), "a handler's hook failed"));
}

//! The calls of a session's handler: one at a time.

use std::future::poll_fn;
use std::mem;
use std::ops::ControlFlow;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::own::{self, Served};
use crate::app_call::{CallError, call_app, catch_panic};
use crate::close::Closed;
use crate::deadline::Deadline;
use crate::excerpt::Excerpt;
use crate::handler::{Failure, HandlerError, HandlerResult, Reply};
use crate::message::{Code, Envelope, MessageId, Push};
use crate::metrics::Stopwatch;
use crate::session::Session;
use crate::span;
use crate::text::Text;
use crate::websocket::CloseCode;

/// The reasons to call a handler while a session is open.
pub(super) enum Incoming {
    Opened,
    Text(Text),
    Binary(Bytes),
}

impl Incoming {
    /// Number of bytes received.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Opened => 0,
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

/// The handler call of a session, from the incoming message to the reply in the outbox. At most one is running. Errors, panics
/// and timeouts of the handler end here.
pub(super) struct HandlerCall<'a> {
    session: &'a Session,
    state: State<'a>,
    /// The id for the reply to the current message.
    id: Option<MessageId>,
    /// The start of the call.
    since: Stopwatch,
}

/// The state of a call, with its deadline unless it has been ready at once. The handler's futures are boxed already, so the
/// call needs no box of its own.
enum State<'a> {
    Idle,
    Opened(BoxFuture<'a, HandlerResult>, Option<Deadline>),
    Text(BoxFuture<'a, Result<ControlFlow<Reply, Text>, HandlerError>>, Option<Deadline>),
    Message(BoxFuture<'a, HandlerResult>, Option<Deadline>),
    /// The handler and the client are told of a failure. This future has a time limit of its own.
    Failed(BoxFuture<'a, ()>),
}

impl<'a> HandlerCall<'a> {
    pub(super) fn new(session: &'a Session) -> Self {
        Self { session, state: State::Idle, id: None, since: Stopwatch::start() }
    }

    /// The session whose handler is called.
    pub(super) fn session(&self) -> &'a Session {
        self.session
    }

    /// Begins a call. The previous call must have ended.
    pub(super) fn begin(&mut self, incoming: Incoming) {
        let (session, handler) = (self.session, self.session.hub().handler());
        match incoming {
            Incoming::Opened => self.enter(|call| {
                call.state = State::Opened(span::around(session, handler.opened(session)), None);
            }),
            Incoming::Text(text) => self.begin_text(text),
            Incoming::Binary(bytes) => self.enter(|call| {
                call.state = State::Message(span::around(session, handler.binary(session, bytes)), None);
            }),
        }
    }

    /// Begins the call for text. It is copied unless the handler is done with it at once.
    pub(super) fn begin_text(&mut self, text: impl AsRef<str> + Into<Text>) {
        let (session, handler) = (self.session, self.session.hub().handler());
        self.enter(|call| match span::within(session, || handler.text_now(session, text.as_ref())) {
            None => call.state = State::Text(span::around(session, handler.text(session, text.into())), None),
            Some(Ok(ControlFlow::Continue(()))) => call.read(&text.into()),
            Some(Ok(ControlFlow::Break(reply))) => call.succeed(reply),
            Some(Err(error)) => call.refuse_or_fail(error),
        });
    }

    fn enter(&mut self, begin: impl FnOnce(&mut Self)) {
        debug_assert!(self.is_idle(), "one call at a time");
        self.since = Stopwatch::start();
        let _ = self.guard(|call| {
            begin(call);
            Poll::Ready(())
        });
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Polls the running call. Ready when there is none.
    #[inline]
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_idle() { Poll::Ready(()) } else { self.poll_running(cx) }
    }

    #[inline(never)]
    fn poll_running(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.is_idle() {
            ready!(self.guard(|call| call.advance(cx)));
        }
        Poll::Ready(())
    }

    /// Sets the deadline of the running call, if it has none yet. Returns the present then.
    pub(super) fn limit(&mut self, timeout: Duration) -> Option<Instant> {
        let deadline = match &mut self.state {
            State::Opened(_, deadline) | State::Text(_, deadline) | State::Message(_, deadline) => deadline,
            State::Idle | State::Failed(_) => return None,
        };
        if deadline.is_some() || timeout == Duration::MAX {
            return None;
        }
        let now = Instant::now();
        *deadline = Deadline::after(now, timeout);
        Some(now)
    }

    /// The deadline of the running call.
    pub(super) fn deadline(&self) -> Option<Deadline> {
        match &self.state {
            State::Opened(_, deadline) | State::Text(_, deadline) | State::Message(_, deadline) => *deadline,
            State::Idle | State::Failed(_) => None,
        }
    }

    /// Ends the running call, which has passed its deadline.
    pub(super) fn give_up(&mut self) {
        self.fail(Failure::TimedOut);
    }

    /// Waits for the running call, and tells the handler that the session has ended.
    pub(super) async fn finish(mut self, closed: &Closed) {
        let session = self.session;
        let timeout = session.hub().config().handler_timeout;
        let left = self.deadline().map_or(timeout, |deadline| deadline.left(Instant::now()));
        if call_app(left, || poll_fn(|cx| self.poll(cx))).await.is_err() {
            self.give_up();
            poll_fn(|cx| self.poll(cx)).await;
        }
        quietly(session, || session.hub().handler().closed(session, closed)).await;
    }

    /// Runs code of the handler. A panic is a failure of the call.
    fn guard(&mut self, work: impl FnOnce(&mut Self) -> Poll<()>) -> Poll<()> {
        catch_panic(|| work(self)).unwrap_or_else(|error| {
            self.fail(error.into());
            Poll::Ready(())
        })
    }

    /// Advances to the next state, if the handler is ready.
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.state {
            State::Idle => {}
            State::Text(hook, _) => match ready!(hook.as_mut().poll(cx)) {
                Ok(ControlFlow::Break(reply)) => self.succeed(reply),
                Ok(ControlFlow::Continue(text)) => self.read(&text),
                Err(error) => self.refuse_or_fail(error),
            },
            State::Opened(hook, _) | State::Message(hook, _) => match ready!(hook.as_mut().poll(cx)) {
                Ok(reply) => self.succeed(reply),
                Err(error) => self.refuse_or_fail(error),
            },
            State::Failed(hook) => {
                ready!(hook.as_mut().poll(cx));
                self.state = State::Idle;
            }
        }
        Poll::Ready(())
    }

    /// Calls the handler with the envelope, or answers a message that is not for the handler.
    fn read(&mut self, text: &Text) {
        match Envelope::read(text, self.session.key()) {
            Ok(envelope) => {
                self.id.clone_from(&envelope.id);
                if envelope.flag.is_reserved() {
                    self.serve_own(envelope, text);
                } else {
                    let handler = self.session.hub().handler();
                    let message = handler.message(self.session, envelope);
                    self.state = State::Message(span::around(self.session, message), None);
                }
            }
            Err(malformed) => {
                self.id = malformed.id;
                self.answer(Reply::error(Code::MALFORMED, malformed.reason));
            }
        }
    }

    /// keywire's own flags.
    fn serve_own(&mut self, envelope: Envelope, text: &Text) {
        match own::serve(self.session, envelope, text) {
            Served::Now(reply) => self.answer(reply),
            Served::Later(reply) => self.state = State::Message(span::around(self.session, reply), None),
        }
    }

    /// Sends the handler's reply.
    #[inline(always)]
    fn succeed(&mut self, reply: Reply) {
        self.session.hub().metrics().handled(self.since);
        self.answer(reply);
    }

    /// Handles a returned error: a reply, which is no failure, or a failure.
    fn refuse_or_fail(&mut self, error: HandlerError) {
        let opening = matches!(self.state, State::Opened(..));
        match error.into_reply() {
            Ok(reply) => self.succeed(reply),
            Err(error) => return self.fail(Failure::Error(error)),
        }
        // A session whose `opened` failed is not set up, whatever the failure.
        if opening {
            self.session.close(CloseCode::INTERNAL, "internal error");
        }
    }

    #[inline(always)]
    fn answer(&mut self, reply: Reply) {
        // A call that is done at once has no future to drop.
        if !self.is_idle() {
            self.state = State::Idle;
        }
        reply.send(self.session, self.id.take());
    }

    fn fail(&mut self, failure: Failure) {
        let failed = mem::replace(&mut self.state, State::Idle);
        // A session whose `opened` failed is not set up.
        let ends = matches!(failed, State::Opened(..)) || matches!(failure, Failure::Panic(_));
        if !matches!(failed, State::Failed(_)) {
            let metrics = self.session.hub().metrics();
            metrics.handled(self.since);
            match failure {
                Failure::Error(_) => metrics.handler_error(),
                Failure::Panic(_) => metrics.handler_panic(),
                Failure::TimedOut => metrics.handler_timeout(),
            }
            let report = report(self.session, failure, ends, self.id.take());
            self.state = State::Failed(span::around(self.session, Box::pin(report)));
        }
        // A future that has panicked may panic again when it is dropped.
        if let Err(CallError::Panicked(message)) = catch_panic(|| drop(failed)) {
            log_hook_failure(self.session, &message);
        }
    }
}

/// Tells the handler and the client of the failure.
async fn report(session: &Session, failure: Failure, ends: bool, id: Option<MessageId>) {
    quietly(session, || session.hub().handler().failed(session, &failure)).await;
    if ends {
        session.close(CloseCode::INTERNAL, "internal error");
    } else {
        session.reply_push(&Push { id, ..Push::new(Code::FAILED, "internal error") });
    }
}

/// Runs a hook without a result. A panic or a timeout is logged.
async fn quietly<'a>(session: &Session, hook: impl FnOnce() -> BoxFuture<'a, ()>) {
    if let Err(error) = call_app(session.hub().config().handler_timeout, hook).await {
        log_hook_failure(session, &error.to_string());
    }
}

fn log_hook_failure(session: &Session, failure: &str) {
    session.hub().metrics().hook_failed();
    let span = span::of_error(session);
    span.in_scope(|| tracing::error!(failure = %Excerpt(failure), "a handler's hook failed"));
}

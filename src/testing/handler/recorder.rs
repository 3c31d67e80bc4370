use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::close::Closed;
use crate::handler::{Failure, HandlerError, HandlerResult, MessageHandler, Reply};
use crate::key::{Identity, Key};
use crate::message::{Envelope, Text};
use crate::session::Session;

/// A decorator calls the handler that it wraps once for each of the calls that keywire makes: messages of any flag, raw frames, and each
/// event of a session and of a key. A method that a decorator forgets is replaced by the trait's default, which does nothing.
///
/// `wrap` puts the decorator around the [`Recorder`].
///
/// # Panics
///
/// If a call does not reach the inner handler, or more than once.
pub async fn a_decorator_forwards<H: MessageHandler>(wrap: impl FnOnce(Recorder) -> H) {
    let recorder = Recorder::default();
    let decorator = wrap(recorder.clone());
    let key = Key::new("alice").expect("a key");
    let (session, _sent) = Session::detached(Identity::new(key.clone()));
    let check = |method| assert_eq!(recorder.take(), [method], "calls of the inner handler by `{method}`");

    for flag in ["command", "inform", "a flag of its own"] {
        let _ = decorator.message(&session, Envelope::new(&key, flag, ())).await;
        check("message");
    }
    let _ = decorator.text(&session, Text::from("{}")).await;
    check("text");
    let _ = decorator.binary(&session, Bytes::new()).await;
    check("binary");
    let _ = decorator.opened(&session).await;
    check("opened");
    decorator.closed(&session, &Closed::lost()).await;
    check("closed");
    decorator.joined(&key).await;
    check("joined");
    decorator.left(&key).await;
    check("left");
    decorator.failed(&session, &Failure::TimedOut).await;
    check("failed");
}

/// A handler that remembers which of its methods were called. See [`a_decorator_forwards`].
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Vec<&'static str>>>);

impl Recorder {
    fn record(&self, method: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(method);
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl MessageHandler for Recorder {
    // A decorator may call the method for a flag by itself.
    async fn command(&self, session: &Session, envelope: Envelope) -> HandlerResult {
        self.message(session, envelope).await
    }

    async fn inform(&self, session: &Session, envelope: Envelope) -> HandlerResult {
        self.message(session, envelope).await
    }

    async fn unknown(&self, session: &Session, envelope: Envelope) -> HandlerResult {
        self.message(session, envelope).await
    }

    async fn message(&self, _: &Session, _: Envelope) -> HandlerResult {
        self.record("message");
        Ok(Reply::none())
    }

    async fn text(&self, _: &Session, text: Text) -> Result<ControlFlow<Reply, Text>, HandlerError> {
        self.record("text");
        Ok(ControlFlow::Continue(text))
    }

    async fn binary(&self, _: &Session, _: Bytes) -> HandlerResult {
        self.record("binary");
        Ok(Reply::none())
    }

    async fn opened(&self, _: &Session) -> HandlerResult {
        self.record("opened");
        Ok(Reply::none())
    }

    async fn closed(&self, _: &Session, _: &Closed) {
        self.record("closed");
    }

    async fn joined(&self, _: &Key) {
        self.record("joined");
    }

    async fn left(&self, _: &Key) {
        self.record("left");
    }

    async fn failed(&self, _: &Session, _: &Failure) {
        self.record("failed");
    }
}

/// The handler under test, with a count of what keywire catches.
#[derive(Clone)]
pub(super) struct Watched {
    handler: Arc<dyn MessageHandler>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    closed: AtomicUsize,
    returned: AtomicUsize,
    timeouts: AtomicUsize,
}

impl Watched {
    pub(super) fn new(handler: Arc<dyn MessageHandler>) -> Self {
        Self { handler, counts: Arc::default() }
    }

    /// How often `closed` was called, and how often it has returned.
    pub(super) fn ends(&self) -> (usize, usize) {
        (self.counts.closed.load(Ordering::SeqCst), self.counts.returned.load(Ordering::SeqCst))
    }

    /// How many calls were dropped because they took too long.
    pub(super) fn timeouts(&self) -> usize {
        self.counts.timeouts.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl MessageHandler for Watched {
    async fn message(&self, session: &Session, envelope: Envelope) -> HandlerResult {
        self.handler.message(session, envelope).await
    }

    async fn text(&self, session: &Session, text: Text) -> Result<ControlFlow<Reply, Text>, HandlerError> {
        self.handler.text(session, text).await
    }

    async fn binary(&self, session: &Session, bytes: Bytes) -> HandlerResult {
        self.handler.binary(session, bytes).await
    }

    async fn opened(&self, session: &Session) -> HandlerResult {
        self.handler.opened(session).await
    }

    async fn closed(&self, session: &Session, closed: &Closed) {
        self.counts.closed.fetch_add(1, Ordering::SeqCst);
        self.handler.closed(session, closed).await;
        self.counts.returned.fetch_add(1, Ordering::SeqCst);
    }

    async fn failed(&self, session: &Session, failure: &Failure) {
        if matches!(failure, Failure::TimedOut) {
            self.counts.timeouts.fetch_add(1, Ordering::SeqCst);
        }
        self.handler.failed(session, failure).await;
    }
}

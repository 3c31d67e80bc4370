use async_trait::async_trait;

use super::{HandlerError, HandlerResult, MessageHandler, Reply};
use crate::message::Envelope;
use crate::session::Session;

/// Makes a handler from an async closure or function. It gets the messages of all flags.
///
/// ```
/// use keywire::handler::handler_fn;
/// use keywire::{Envelope, Reply, Session};
///
/// let echo = handler_fn(|_: Session, envelope: Envelope| async move { Ok(Reply::data(envelope.body)) });
/// # let _ = echo;
/// ```
pub fn handler_fn<F, Fut, R>(function: F) -> HandlerFn<F>
where
    F: Fn(Session, Envelope) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, HandlerError>> + Send,
    R: Into<Reply>,
{
    HandlerFn(function)
}

/// The handler that [`handler_fn`] returns.
#[derive(Debug, Clone)]
pub struct HandlerFn<F>(F);

#[async_trait]
impl<F, Fut, R> MessageHandler for HandlerFn<F>
where
    F: Fn(Session, Envelope) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, HandlerError>> + Send,
    R: Into<Reply>,
{
    async fn message(&self, session: &Session, envelope: Envelope) -> HandlerResult {
        (self.0)(session.clone(), envelope).await.map(Into::into)
    }
}

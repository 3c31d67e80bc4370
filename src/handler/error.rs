use std::error::Error;
use std::fmt;

use super::Reply;
use crate::bounded::panic_text;

/// What a handler returns: the answer, or an error that the client sees as code `50` and nothing more.
pub type HandlerResult = Result<Reply, HandlerError>;

/// Any error, so that `?` works in a handler.
///
/// It is not an [`Error`] itself, for then it could not be made from all of them; [`HandlerError::source`]
/// is the one inside.
///
/// ```
/// use keywire::{Envelope, HandlerResult, Reply, Session};
///
/// async fn save(_session: Session, envelope: Envelope) -> HandlerResult {
///     let port: u16 = envelope.parse::<String>()?.parse()?;
///     Ok(Reply::data(port))
/// }
/// # let _ = keywire::Switch::new().command(save);
/// ```
pub struct HandlerError(Box<dyn Error + Send + Sync>);

impl HandlerError {
    /// An error with a text of its own.
    pub fn msg(text: impl Into<String>) -> Self {
        Self(text.into().into())
    }

    /// The error inside.
    #[must_use]
    pub fn source(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a handler failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// It returned an error. The client got code `50`.
    #[error("error: {0}")]
    Error(HandlerError),
    /// It panicked, with this message. The session ends with 1011.
    #[error("panic: {0}")]
    Panic(String),
    /// It did not return in time ([`Config::handler_timeout`](crate::Config::handler_timeout)). The client got code
    /// `50`.
    #[error("timed out")]
    TimedOut,
}

impl Failure {
    pub(crate) fn from_panic(payload: &(dyn std::any::Any + Send)) -> Self {
        Self::Panic(panic_text(payload))
    }
}

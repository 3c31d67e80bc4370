use std::error::Error;
use std::fmt;

use super::Reply;
use crate::app_call::CallError;
use crate::message::{Code, InvalidBody};

/// Result of a handler: the reply, or an error. For an error the client gets only code `50`.
pub type HandlerResult = Result<Reply, HandlerError>;

/// Any error, so that `?` works in a handler. Every type that converts into a `Box<dyn Error + Send + Sync>` converts into it, for
/// example `anyhow::Error`, a boxed error, a `String` or a `&str`. So does a [`Reply`], which `?` returns early. An [`InvalidBody`] of
/// [`Envelope::parse`](crate::Envelope::parse) becomes a reply with code `40`.
///
/// ```
/// use keywire::message::Code;
/// use keywire::{Envelope, HandlerResult, Reply, Session};
///
/// async fn save(_session: Session, envelope: Envelope) -> HandlerResult {
///     let to = envelope.reception.as_ref().ok_or(Reply::error(Code::MALFORMED, "reception: missing"))?;
///     let port: u16 = envelope.parse::<String>()?.parse()?;
///     if port < 1024 {
///         Err("a privileged port")?;
///     }
///     Ok(Reply::data((to, port)))
/// }
/// # let _ = keywire::Switch::new().command(save);
/// ```
///
/// An error is a failure: the client gets code `50`, and [`MessageHandler::failed`](super::MessageHandler::failed) gets the error.
/// An error in [`MessageHandler::opened`](super::MessageHandler::opened) also ends the session. A reply is not a failure.
///
/// `HandlerError` does not implement [`Error`], since then not every error could be converted into it.
pub struct HandlerError(Inner);

enum Inner {
    Error(Box<dyn Error + Send + Sync>),
    /// Boxed, so that the result of a handler is no larger than a reply.
    Reply(Box<Reply>),
}

impl HandlerError {
    /// An error with this message.
    pub fn msg(text: impl Into<String>) -> Self {
        text.into().into()
    }

    /// The error. `None` if this is a [`Reply`].
    #[must_use]
    pub fn source(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        match &self.0 {
            Inner::Error(error) => Some(&**error),
            Inner::Reply(_) => None,
        }
    }

    /// The reply. `None` if this is an error.
    ///
    /// ```
    /// use keywire::message::Code;
    /// use keywire::{Envelope, HandlerResult, Identity, Key, Push, Reply, Session};
    ///
    /// async fn relay(_: Session, envelope: Envelope) -> HandlerResult {
    ///     let to = envelope.reception.ok_or(Reply::error(Code::MALFORMED, "to whom?"))?;
    ///     Ok(Reply::data(to))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), keywire::auth::InvalidKey> {
    /// let (session, _) = Session::detached(Identity::new(Key::new("alice")?));
    /// let envelope = Envelope::new(session.key(), "inform", ());
    /// let early = relay(session, envelope).await.unwrap_err();
    /// assert_eq!(early.as_reply().and_then(Reply::as_push), Some(&Push::new("40", "to whom?")));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn as_reply(&self) -> Option<&Reply> {
        match &self.0 {
            Inner::Reply(reply) => Some(reply),
            Inner::Error(_) => None,
        }
    }

    /// The reply or the error.
    pub(crate) fn into_reply(self) -> Result<Reply, Self> {
        match self.0 {
            Inner::Reply(reply) => Ok(*reply),
            error @ Inner::Error(_) => Err(Self(error)),
        }
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let error = error.into();
        match error.downcast_ref::<InvalidBody>() {
            // The client's mistake.
            Some(invalid) => Reply::error(Code::MALFORMED, invalid.to_string()).into(),
            None => Self(Inner::Error(error)),
        }
    }
}

impl From<Reply> for HandlerError {
    fn from(reply: Reply) -> Self {
        Self(Inner::Reply(Box::new(reply)))
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Error(error) => error.fmt(f),
            Inner::Reply(reply) => reply.fmt(f),
        }
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Error(error) => fmt::Display::fmt(error, f),
            Inner::Reply(reply) => write!(f, "{reply:?}"),
        }
    }
}

/// Failure of a handler.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The handler returned an error. The client got code `50`.
    #[error("error: {0}")]
    Error(HandlerError),
    /// The handler panicked with this message. The session ends with 1011.
    #[error("panic: {0}")]
    Panic(String),
    /// The handler did not return within [`Config::handler_timeout`](crate::Config::handler_timeout). The client got code `50`.
    #[error("timed out")]
    TimedOut,
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::TimedOut => Self::TimedOut,
            CallError::Panicked(message) => Self::Panic(message),
        }
    }
}

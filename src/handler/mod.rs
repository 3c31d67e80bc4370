//! Handlers of messages: the trait, the switch, replies and errors.

mod error;
mod function;
mod hook;
mod reply;
mod route;
mod switch;

use std::ops::ControlFlow;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use error::{Failure, HandlerError, HandlerResult};
pub use function::{HandlerFn, handler_fn};
pub use hook::{Hook, HookKind, IntoHook};
pub use reply::Reply;
pub use route::{IntoRoute, Route, RouteKind};
pub use switch::Switch;

use crate::close::Closed;
use crate::excerpt::Excerpt;
use crate::message::{Code, Envelope};
use crate::session::Session;
use crate::span;
use crate::text::Text;

/// The flag switch: what a client's messages do, and the life of its session.
///
/// Every method has a default, so a handler writes down what it cares about.
///
/// ```
/// use keywire::message::{Code, Flag};
/// use keywire::session::Closed;
/// use keywire::{Envelope, HandlerResult, MessageHandler, Push, Reply, Session, async_trait};
///
/// /// Passes messages on and remembers nothing.
/// struct Relay;
///
/// #[async_trait]
/// impl MessageHandler for Relay {
///     async fn opened(&self, session: &Session) -> HandlerResult {
///         Ok(Reply::ok(format!("hello {}", session.key())))
///     }
///
///     async fn inform(&self, session: &Session, envelope: Envelope) -> HandlerResult {
///         let Some(to) = &envelope.reception else {
///             return Ok(Reply::error(Code::MALFORMED, "to whom?"));
///         };
///         let push = Push::data(&envelope.body).with_flag(Flag::INFORM).with_sender(&envelope.sender);
///         match session.hub().send_to(to, push).await.delivered {
///             0 => Ok(Reply::error(Code::ABSENT, format!("{to} is not connected"))),
///             _ => Ok(Reply::none()),
///         }
///     }
///
///     async fn closed(&self, session: &Session, closed: &Closed) {
///         println!("{} left with {}", session.key(), closed.code);
///     }
/// }
/// ```
///
/// Closures do as well: [`Switch`] builds a handler out of them, and wraps a handler to log, authorise or count its
/// messages.
///
/// # Contract
///
/// - The messages of one session are handled one after the other, in the order in which they came;
///   [`opened`](Self::opened) comes before the first and [`closed`](Self::closed) after the last. Different
///   sessions run side by side.
/// - While a handler is at work, its session goes on sending and reading. Pings and `kw:ping` are answered, the end of the
///   connection is noticed, and up to 16 KiB of messages wait for their turn. `kw:ping` does not reach
///   [`text`](Self::text) then.
/// - When the connection ends, the session leaves the store at once. A message that is being handled is handled to its
///   end, and its reply is sent in front of the close frame if it comes within
///   [`Config::close_timeout`](crate::Config::close_timeout). Messages that a client sent before it closed the connection
///   are handled within that time too. When the application or the server ends the session, messages that were not
///   begun are not begun.
/// - Nothing is locked while a handler runs: it may use the hub and any session as it likes, its own too.
///
/// # Errors
///
/// An `Err` is answered with code `50`, shows the client nothing of the inside, and goes to
/// [`failed`](Self::failed), unless it is a [`Reply`], which is the answer then. The session lives on. So it does if a call has not returned after
/// [`Config::handler_timeout`](crate::Config::handler_timeout): it is dropped where it awaits. A panic ends the session,
/// and only that one, with close code 1011; so does any failure of [`opened`](Self::opened).
///
/// [`closed`](Self::closed) and `failed` may take as long as well, and no longer; what they fail in is logged.
///
/// # Cancel safety
///
/// A handler's future is dropped before its end only when it has taken too long, when the runtime shuts down, or when
/// [`Hub::shutdown`](crate::Hub::shutdown) has waited for it as long as it was told to. Work that must be done to its end
/// belongs into a task of its own.
#[async_trait]
pub trait MessageHandler: Send + Sync + 'static {
    /// A `command`: the client wants something done.
    async fn command(&self, session: &Session, envelope: Envelope) -> HandlerResult {
        self.unknown(session, envelope).await
    }

    /// An `inform`: the client wants someone told.
    async fn inform(&self, session: &Session, envelope: Envelope) -> HandlerResult {
        self.unknown(session, envelope).await
    }

    /// A flag that nothing else is there for. Answers code `44`.
    async fn unknown(&self, _session: &Session, _envelope: Envelope) -> HandlerResult {
        Ok(unknown_flag())
    }

    /// Any message: switches over its flag. Overwrite it to have flags of your own. To do something before or after
    /// each message of a handler, wrap it: [`Switch::fallback`].
    async fn message(&self, session: &Session, envelope: Envelope) -> HandlerResult {
        match envelope.flag.as_str() {
            "command" => self.command(session, envelope).await,
            "inform" => self.inform(session, envelope).await,
            _ => self.unknown(session, envelope).await,
        }
    }

    /// A text frame, before anybody looks into it. `Continue` lets it go on as an envelope, `Break` says
    /// that this was all.
    async fn text(&self, _session: &Session, text: Text) -> Result<ControlFlow<Reply, Text>, HandlerError> {
        Ok(ControlFlow::Continue(text))
    }

    /// A binary frame. Answers code `40`.
    async fn binary(&self, _session: &Session, _bytes: Bytes) -> HandlerResult {
        Ok(not_understood())
    }

    /// The session is open and in the store. What is answered here is sent first of all that this handler
    /// sends; to turn the session away, [`Session::close`] it.
    async fn opened(&self, _session: &Session) -> HandlerResult {
        Ok(Reply::none())
    }

    /// The session has left the store and gets nothing any more.
    async fn closed(&self, _session: &Session, _closed: &Closed) {}

    /// A handler failed. Logs it by default.
    async fn failed(&self, session: &Session, failure: &Failure) {
        log_failure(session, failure);
    }
}

fn unknown_flag() -> Reply {
    Reply::error(Code::UNKNOWN_FLAG, "nobody handles this flag")
}

fn not_understood() -> Reply {
    Reply::error(Code::MALFORMED, "binary frames are not understood")
}

fn log_failure(session: &Session, failure: &Failure) {
    // The error may quote what the client sent.
    let failure = failure.to_string();
    span::of_error(session).in_scope(|| tracing::error!(failure = %Excerpt(&failure), "handler failed"));
}

// A method with a default that is not forwarded would be replaced by it.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<H: MessageHandler + ?Sized> MessageHandler for Arc<H> {
    async fn command(&self, session: &Session, envelope: Envelope) -> HandlerResult {
        (**self).command(session, envelope).await
    }

    async fn inform(&self, session: &Session, envelope: Envelope) -> HandlerResult {
        (**self).inform(session, envelope).await
    }

    async fn unknown(&self, session: &Session, envelope: Envelope) -> HandlerResult {
        (**self).unknown(session, envelope).await
    }

    async fn message(&self, session: &Session, envelope: Envelope) -> HandlerResult {
        (**self).message(session, envelope).await
    }

    async fn text(&self, session: &Session, text: Text) -> Result<ControlFlow<Reply, Text>, HandlerError> {
        (**self).text(session, text).await
    }

    async fn binary(&self, session: &Session, bytes: Bytes) -> HandlerResult {
        (**self).binary(session, bytes).await
    }

    async fn opened(&self, session: &Session) -> HandlerResult {
        (**self).opened(session).await
    }

    async fn closed(&self, session: &Session, closed: &Closed) {
        (**self).closed(session, closed).await;
    }

    async fn failed(&self, session: &Session, failure: &Failure) {
        (**self).failed(session, failure).await;
    }
}

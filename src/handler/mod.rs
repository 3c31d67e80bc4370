//! Message handlers: the trait, the switch, replies and errors.

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
use crate::key::Key;
use crate::message::{Code, Envelope};
use crate::session::Session;
use crate::span;
use crate::text::Text;

/// Handles the messages of clients and the events of their sessions.
///
/// Every method has a default, so implement only what you need.
///
/// ```
/// use keywire::message::{Code, Flag};
/// use keywire::session::Closed;
/// use keywire::{Envelope, HandlerResult, MessageHandler, Push, Reply, Session, async_trait};
///
/// /// Relays messages without state.
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
/// [`Switch`] builds a handler from closures, and wraps a handler to log, authorise or count its messages.
///
/// # Contract
///
/// - The messages of one session are handled one at a time, in order. [`opened`](Self::opened) comes before the first message and
///   [`closed`](Self::closed) after the last. Different sessions run concurrently.
/// - While a handler runs, its session continues to send and to read. Pings and `kw:ping` are answered, the end of the connection is
///   noticed, and up to 16 KiB of messages are queued. `kw:ping` does not reach [`text`](Self::text) then. Nor do answers to
///   [requests](Session::request), which overtake queued messages. While the session awaits one, up to 256 KiB are queued.
/// - When the connection ends, the session leaves the store at once. The running call continues, and its reply is sent before the
///   close frame if it comes within
///   [`Config::close_timeout`](crate::Config::close_timeout). Messages that a client sent before it closed the connection
///   are handled within that time too. When the application or the server ends the session, messages that were not
///   begun are not begun.
/// - No lock is held while a handler runs: it may use the hub and any session, including its own.
///
/// # Errors
///
/// An `Err` is passed to [`failed`](Self::failed), and the client gets code `50` without details. If the `Err` is a [`Reply`], the
/// client gets that reply instead, and code `40` for the error of [`Envelope::parse`]. The session stays open. A call that has not returned after
/// [`Config::handler_timeout`](crate::Config::handler_timeout) is dropped at its next await. Its session stays open too. A panic
/// ends the session with close code 1011, and so does any failure of [`opened`](Self::opened).
///
/// [`closed`](Self::closed) and `failed` have the same timeout. Their failures are logged.
///
/// # Cancel safety
///
/// A handler's future is dropped before it completes only after the timeout, when the runtime shuts down, or when
/// [`Hub::shutdown`](crate::Hub::shutdown) reaches its time limit. Spawn a task for work that must finish.
#[async_trait]
pub trait MessageHandler: Send + Sync + 'static {
    /// Handles a `command`: do something. Default: [`unknown`](Self::unknown).
    async fn command(&self, session: &Session, envelope: Envelope) -> HandlerResult {
        self.unknown(session, envelope).await
    }

    /// Handles an `inform`: tell another user. Default: [`unknown`](Self::unknown).
    async fn inform(&self, session: &Session, envelope: Envelope) -> HandlerResult {
        self.unknown(session, envelope).await
    }

    /// Handles a message with any other flag. Default: replies with code `44`.
    async fn unknown(&self, _session: &Session, _envelope: Envelope) -> HandlerResult {
        Ok(unknown_flag())
    }

    /// Handles any message. Default: calls the method for its flag. Override it for your own flags. For work before or after each
    /// message, wrap the handler with [`Switch::fallback`].
    async fn message(&self, session: &Session, envelope: Envelope) -> HandlerResult {
        match envelope.flag.as_str() {
            "command" => self.command(session, envelope).await,
            "inform" => self.inform(session, envelope).await,
            _ => self.unknown(session, envelope).await,
        }
    }

    /// Handles a text frame before it is parsed. `Continue`: the string is parsed as an envelope. `Break`: send this reply and do not
    /// parse the text. Default: what [`text_now`](Self::text_now) says, else `Continue`.
    async fn text(&self, session: &Session, text: Text) -> Result<ControlFlow<Reply, Text>, HandlerError> {
        Ok(match self.text_now(session, &text).transpose()? {
            Some(ControlFlow::Break(reply)) => ControlFlow::Break(reply),
            Some(ControlFlow::Continue(())) | None => ControlFlow::Continue(text),
        })
    }

    /// Handles text before [`text`](Self::text) does, at once: for many short messages that need no await. It saves the future of `text`
    /// and a copy of the content.
    ///
    /// `None`: `text` is called, and nothing may have been done. `Continue` and `Break`: as with `text`, which is not called then.
    /// Default: `None`.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// use keywire::handler::HandlerError;
    /// use keywire::{MessageHandler, Reply, Session};
    ///
    /// /// Answers the heartbeat of an older client.
    /// struct Heartbeat;
    ///
    /// impl MessageHandler for Heartbeat {
    ///     fn text_now(&self, _: &Session, text: &str) -> Option<Result<ControlFlow<Reply>, HandlerError>> {
    ///         (text == "ping").then(|| Ok(ControlFlow::Break(Reply::text("pong"))))
    ///     }
    /// }
    /// ```
    ///
    /// It must not block: no timeout ends it, and other sessions of the same thread wait meanwhile.
    fn text_now(&self, _session: &Session, _text: &str) -> Option<Result<ControlFlow<Reply>, HandlerError>> {
        None
    }

    /// Handles a binary frame. Default: replies with code `40`.
    async fn binary(&self, _session: &Session, _bytes: Bytes) -> HandlerResult {
        Ok(not_understood())
    }

    /// Called when the session is open and in the store. The reply is sent before anything else that this handler sends. To refuse
    /// the session, [`Session::close`] it.
    async fn opened(&self, _session: &Session) -> HandlerResult {
        Ok(Reply::none())
    }

    /// Called when the session has ended and left the store. [`Session::groups`] still names its groups.
    async fn closed(&self, _session: &Session, _closed: &Closed) {}

    /// Called when a key comes online, with [`presence`](crate::HubBuilder::presence) only: its first session in the cluster has opened.
    /// On one node, which is a node that has a session of the key. [`Hub::presence_changes`](crate::Hub::presence_changes) is the
    /// same as a stream, where the hub is at hand.
    async fn joined(&self, _key: &Key) {}

    /// Called when a key goes offline, with [`presence`](crate::HubBuilder::presence) only: its last session in the cluster has been
    /// gone for a while. On one node, which is any node if the key's own has been killed.
    async fn left(&self, _key: &Key) {}

    /// Called when a handler has failed. Default: logs the failure.
    async fn failed(&self, session: &Session, failure: &Failure) {
        log_failure(session, failure);
    }
}

fn unknown_flag() -> Reply {
    Reply::error(Code::UNKNOWN_FLAG, "no handler for this flag")
}

fn not_understood() -> Reply {
    Reply::error(Code::MALFORMED, "binary frames are not supported")
}

fn log_failure(session: &Session, failure: &Failure) {
    // The error may quote the client's message.
    let failure = failure.to_string();
    span::of_error(session).in_scope(|| tracing::error!(failure = %Excerpt(&failure), "handler failed"));
}

// Every method is forwarded: otherwise the trait's default would replace the handler's own method.
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

    fn text_now(&self, session: &Session, text: &str) -> Option<Result<ControlFlow<Reply>, HandlerError>> {
        (**self).text_now(session, text)
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

    async fn joined(&self, key: &Key) {
        (**self).joined(key).await;
    }

    async fn left(&self, key: &Key) {
        (**self).left(key).await;
    }

    async fn failed(&self, session: &Session, failure: &Failure) {
        (**self).failed(session, failure).await;
    }
}

//! The hooks of a switch.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use super::Switch;
use crate::close::Closed;
use crate::handler::{HandlerError, HandlerResult, Hook, HookKind, IntoHook, MessageHandler, Reply};
use crate::key::Key;
use crate::message::Envelope;
use crate::session::Session;
use crate::text::Text;

impl<S: Send + Sync + 'static> Switch<S> {
    /// Sets the hook for text frames before they are parsed, see [`MessageHandler::text`]:
    /// `async fn(Session, Text) -> Result<ControlFlow<Reply, Text>, HandlerError>`. `Continue`: the string is parsed as an envelope.
    /// `Break`: send this reply and do not parse the text.
    ///
    /// ```
    /// use std::ops::ControlFlow::{self, Break, Continue};
    ///
    /// use keywire::handler::HandlerError;
    /// use keywire::message::{Frame, Text};
    /// use keywire::{Reply, Session, Switch};
    ///
    /// /// Answers the heartbeat of an older client.
    /// async fn heartbeat(_: Session, text: Text) -> Result<ControlFlow<Reply, Text>, HandlerError> {
    ///     Ok(if &*text == "ping" { Break(Frame::text("pong").into()) } else { Continue(text) })
    /// }
    ///
    /// let switch = Switch::new().text(heartbeat);
    /// # let _ = switch;
    /// ```
    ///
    /// # Panics
    ///
    /// If the switch already has this hook.
    #[must_use]
    pub fn text<H, Kind>(mut self, hook: H) -> Self
    where
        H: IntoHook<(Session, Text), Kind>,
        Kind: HookKind<H, S, (Session, Text), Result<ControlFlow<Reply, Text>, HandlerError>>,
    {
        let former = self.text.replace(Kind::hook(hook, &self.state));
        assert!(former.is_none(), "a switch must have only one hook for text frames");
        self
    }

    /// Sets the hook for binary frames, see [`MessageHandler::binary`]: `async fn(Session, Bytes)` with the result of a handler.
    /// Default: replies with code `40`.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use keywire::message::Frame;
    /// use keywire::{HandlerResult, Session, Switch};
    ///
    /// async fn echo(_: Session, bytes: Bytes) -> HandlerResult {
    ///     Ok(Frame::binary(&bytes).into())
    /// }
    ///
    /// let switch = Switch::new().binary(echo);
    /// # let _ = switch;
    /// ```
    ///
    /// # Panics
    ///
    /// If the switch already has a hook for binary frames.
    #[must_use]
    pub fn binary<H, Kind, R>(mut self, hook: H) -> Self
    where
        H: IntoHook<(Session, Bytes), Kind>,
        Kind: HookKind<H, S, (Session, Bytes), Result<R, HandlerError>>,
        R: Into<Reply> + 'static,
    {
        let former = self.binary.replace(replying(Kind::hook(hook, &self.state)));
        assert!(former.is_none(), "a switch must have only one hook for binary frames");
        self
    }

    /// Sets the hook for a key that comes online, see [`MessageHandler::joined`]: `async fn(Key)`.
    ///
    /// # Panics
    ///
    /// If the switch already has this hook.
    #[must_use]
    pub fn joined<H, Kind>(mut self, hook: H) -> Self
    where
        H: IntoHook<(Key,), Kind>,
        Kind: HookKind<H, S, (Key,), ()>,
    {
        let former = self.joined.replace(Kind::hook(hook, &self.state));
        assert!(former.is_none(), "a switch must have only one hook for keys that come online");
        self
    }

    /// Sets the hook for a key that goes offline, see [`MessageHandler::left`]: `async fn(Key)`.
    ///
    /// # Panics
    ///
    /// If the switch already has this hook.
    #[must_use]
    pub fn left<H, Kind>(mut self, hook: H) -> Self
    where
        H: IntoHook<(Key,), Kind>,
        Kind: HookKind<H, S, (Key,), ()>,
    {
        let former = self.left.replace(Kind::hook(hook, &self.state));
        assert!(former.is_none(), "a switch must have only one hook for keys that go offline");
        self
    }

    /// Adds a hook before every message of any flag: `async fn(Session, Envelope) -> Result<Envelope, HandlerError>`. It returns the
    /// envelope for the handler, changed or not. After an error the handler is not called, and the error counts as the handler's.
    /// `Err(reply)?` replies in place of the handler.
    ///
    /// A switch may have several of these hooks. They run in the order in which they were added. An error ends the sequence.
    #[must_use]
    pub fn before<H, Kind>(mut self, hook: H) -> Self
    where
        H: IntoHook<(Session, Envelope), Kind>,
        Kind: HookKind<H, S, (Session, Envelope), Result<Envelope, HandlerError>>,
    {
        self.before.push(Kind::hook(hook, &self.state));
        self
    }

    /// Adds a hook after every message of any flag: `async fn(Session, Envelope, HandlerResult) -> HandlerResult`. It gets the
    /// client's original envelope and the result of the handler or of [`before`](Self::before). It returns the result for the
    /// client, changed or not.
    ///
    /// A handler that panics or times out has no result. Then only [`failed`](Self::failed) is called.
    ///
    /// A switch may have several of these hooks. They run in the order in which they were added. Each gets a clone of the envelope
    /// and the result of the previous hook.
    #[must_use]
    pub fn after<H, Kind>(mut self, hook: H) -> Self
    where
        H: IntoHook<(Session, Envelope, HandlerResult), Kind>,
        Kind: HookKind<H, S, (Session, Envelope, HandlerResult), HandlerResult>,
    {
        self.after.push(Kind::hook(hook, &self.state));
        self
    }

    /// Sets the handler for everything without a route or a hook in this switch: messages with other flags, text and binary frames,
    /// events of the session. With [`before`](Self::before) and [`after`](Self::after) a switch is middleware for any handler.
    ///
    /// A switch with an [`unknown`](Self::unknown) route passes no message to the fallback.
    ///
    /// # Panics
    ///
    /// If the switch already has a fallback.
    #[must_use]
    pub fn fallback(mut self, handler: impl MessageHandler) -> Self {
        let former = self.fallback.replace(Arc::new(handler));
        assert!(former.is_none(), "a switch must have only one fallback");
        self
    }

    /// Sets the hook for a session that has opened, see [`MessageHandler::opened`]: `async fn(Session)` with the result of a handler.
    #[must_use]
    pub fn opened<H, Kind, R>(mut self, hook: H) -> Self
    where
        H: IntoHook<(Session,), Kind>,
        Kind: HookKind<H, S, (Session,), Result<R, HandlerError>>,
        R: Into<Reply> + 'static,
    {
        self.opened = Some(replying(Kind::hook(hook, &self.state)));
        self
    }

    /// Sets the hook for a session that has closed, see [`MessageHandler::closed`]: `async fn(Session, Closed)`.
    #[must_use]
    pub fn closed<H, Kind>(mut self, hook: H) -> Self
    where
        H: IntoHook<(Session, Closed), Kind>,
        Kind: HookKind<H, S, (Session, Closed), ()>,
    {
        self.closed = Some(Kind::hook(hook, &self.state));
        self
    }

    /// Sets the hook for a failed handler, in place of the log line, see [`MessageHandler::failed`]: `async fn(Session, String)`.
    /// The string describes the failure.
    #[must_use]
    pub fn failed<H, Kind>(mut self, hook: H) -> Self
    where
        H: IntoHook<(Session, String), Kind>,
        Kind: HookKind<H, S, (Session, String), ()>,
    {
        self.failed = Some(Kind::hook(hook, &self.state));
        self
    }
}

/// The same hook with its result converted into a reply.
fn replying<A: 'static, R: Into<Reply> + 'static>(
    hook: Hook<A, Result<R, HandlerError>>,
) -> Hook<A, HandlerResult> {
    Box::new(move |arguments| {
        let answer = hook(arguments);
        Box::pin(async move { answer.await.map(Into::into) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "one hook for text frames")]
    fn text_frames_have_one_hook() {
        let text = |_: Session, text: Text| async { Ok(ControlFlow::Continue(text)) };
        let _ = Switch::new().text(text).text(text);
    }

    #[test]
    #[should_panic(expected = "one hook for binary frames")]
    fn binary_frames_have_one_hook() {
        let binary = |_: Session, _: Bytes| async { Ok(()) };
        let _ = Switch::new().binary(binary).binary(binary);
    }

    #[test]
    #[should_panic(expected = "one fallback")]
    fn there_is_one_fallback() {
        let _ = Switch::new().fallback(Switch::new()).fallback(Switch::new());
    }
}

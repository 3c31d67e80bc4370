use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

use crate::frame::Frame;
use crate::message::{Code, MessageId, Push};
use crate::session::Session;
use crate::websocket::OpCode;
use crate::{buffer_pool, websocket};

/// Reply of a handler to the sender of the message: a [`Push`], a frame, a string, or nothing.
///
/// keywire sets the id of the push to the id of the message.
#[derive(Debug)]
pub struct Reply(Inner);

#[derive(Debug)]
enum Inner {
    None,
    Push(Box<Push>),
    Frame(Frame),
    Text(TextFrame),
}

/// Text that is framed already, in a pooled buffer.
struct TextFrame(Vec<u8>);

impl TextFrame {
    fn payload(&self) -> &str {
        let payload = websocket::split_frame(&mut &*self.0).map(|(_, payload)| payload);
        payload.and_then(|payload| str::from_utf8(payload).ok()).unwrap_or_default()
    }
}

impl fmt::Debug for TextFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.payload(), f)
    }
}

impl Reply {
    /// No reply.
    #[must_use]
    pub fn none() -> Self {
        Self(Inner::None)
    }

    /// Success with a message for a person: code `00`.
    pub fn ok(msg: impl Into<Cow<'static, str>>) -> Self {
        Push::message(msg).into()
    }

    /// Data: code `01`.
    ///
    /// # Panics
    ///
    /// If `data` cannot be JSON, as with [`Push::data`].
    pub fn data(data: impl Serialize) -> Self {
        Push::data(data).into()
    }

    /// This content as it is, in a text frame. It is no push and has no id. Up to 512 bytes need no allocation, unlike
    /// [`Frame::text`].
    ///
    /// ```
    /// use keywire::Reply;
    ///
    /// assert_eq!(Reply::text("pong").as_text(), Some("pong"));
    /// ```
    #[must_use]
    pub fn text(content: &str) -> Self {
        let mut frame = buffer_pool::take();
        websocket::write_frame(OpCode::Text, content.as_bytes(), &mut frame);
        Self(Inner::Text(TextFrame(frame)))
    }

    /// An error with this code and message.
    pub fn error(code: impl Into<Code>, msg: impl Into<Cow<'static, str>>) -> Self {
        Push::new(code, msg).into()
    }

    /// The push. `None` if there is no reply, or if the reply is a [`Frame`].
    ///
    /// ```
    /// use keywire::message::Code;
    /// use keywire::{Push, Reply};
    ///
    /// let reply = Reply::error(Code::ABSENT, "bob is not connected");
    /// assert_eq!(reply.as_push(), Some(&Push::new("45", "bob is not connected")));
    /// assert_eq!(Reply::none().as_push(), None);
    /// ```
    #[must_use]
    pub fn as_push(&self) -> Option<&Push> {
        match &self.0 {
            Inner::Push(push) => Some(push),
            Inner::None | Inner::Frame(_) | Inner::Text(_) => None,
        }
    }

    /// The content of a [`Reply::text`]. `None` for any other reply.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.0 {
            Inner::Text(text) => Some(text.payload()),
            Inner::None | Inner::Push(_) | Inner::Frame(_) => None,
        }
    }

    /// The frame. `None` if there is no reply, or if the reply is a [`Push`] or a [`Reply::text`].
    #[must_use]
    pub fn as_frame(&self) -> Option<&Frame> {
        match &self.0 {
            Inner::Frame(frame) => Some(frame),
            Inner::None | Inner::Push(_) | Inner::Text(_) => None,
        }
    }

    /// Whether the reply is empty.
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self.0, Inner::None)
    }

    /// Sends the reply to the message with this id.
    #[inline(always)]
    pub(crate) fn send(self, session: &Session, id: Option<MessageId>) {
        match self.0 {
            Inner::Text(TextFrame(frame)) => _ = session.reply_text(frame),
            other => Self(other).send_encoded(session, id),
        }
    }

    #[inline(never)]
    fn send_encoded(self, session: &Session, id: Option<MessageId>) {
        match self.0 {
            Inner::None => {}
            Inner::Frame(frame) => _ = session.reply(frame),
            Inner::Text(TextFrame(frame)) => _ = session.reply_text(frame),
            Inner::Push(mut push) => {
                push.id = push.id.or(id);
                session.reply_push(&push);
            }
        }
    }
}

impl From<Push> for Reply {
    fn from(push: Push) -> Self {
        Self(Inner::Push(Box::new(push)))
    }
}

impl From<Frame> for Reply {
    fn from(frame: Frame) -> Self {
        Self(Inner::Frame(frame))
    }
}

impl From<()> for Reply {
    fn from((): ()) -> Self {
        Self::none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_is_sent() {
        let seen = |reply: Reply| (reply.as_push().cloned(), reply.as_frame().is_some(), reply.is_none());
        assert_eq!(seen(Reply::none()), (None, false, true));
        assert_eq!(seen(Reply::ok("x")), (Some(Push::message("x")), false, false));
        assert_eq!(seen(Frame::text("x").into()), (None, true, false));
        assert_eq!(seen(Reply::text("x")), (None, false, false));
        for len in [0, 125, 126, 70_000] {
            let content = "ë".repeat(len);
            assert_eq!(Reply::text(&content).as_text(), Some(&*content));
        }
    }
}

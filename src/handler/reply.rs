use std::borrow::Cow;

use serde::Serialize;

use crate::frame::Frame;
use crate::message::{Code, MessageId, Push};

/// Reply of a handler to the sender of the message: a [`Push`], a frame, or nothing.
///
/// keywire sets the id of the push to the id of the message.
#[derive(Debug)]
pub struct Reply(Inner);

#[derive(Debug)]
enum Inner {
    None,
    Push(Box<Push>),
    Frame(Frame),
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
            Inner::None | Inner::Frame(_) => None,
        }
    }

    /// The frame. `None` if there is no reply, or if the reply is a [`Push`].
    #[must_use]
    pub fn as_frame(&self) -> Option<&Frame> {
        match &self.0 {
            Inner::Frame(frame) => Some(frame),
            Inner::None | Inner::Push(_) => None,
        }
    }

    /// Whether the reply is empty.
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self.0, Inner::None)
    }

    /// The frame to send, if any.
    pub(crate) fn into_frame(self, id: Option<MessageId>) -> Option<Frame> {
        match self.0 {
            Inner::None => None,
            Inner::Frame(frame) => Some(frame),
            Inner::Push(mut push) => {
                push.id = push.id.or(id);
                Some(Frame::push(&push))
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
    }
}

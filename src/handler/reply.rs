use std::borrow::Cow;

use serde::Serialize;

use crate::frame::Frame;
use crate::message::{Code, MessageId, Push};

/// What a handler answers to the one who sent the message: a [`Push`], a frame as it is, or nothing.
///
/// The push gets the id of the message it answers by itself.
#[derive(Debug)]
pub struct Reply(Inner);

#[derive(Debug)]
enum Inner {
    None,
    Push(Box<Push>),
    Frame(Frame),
}

impl Reply {
    /// No answer.
    #[must_use]
    pub fn none() -> Self {
        Self(Inner::None)
    }

    /// Done, with a text for a person: code `00`.
    pub fn ok(msg: impl Into<Cow<'static, str>>) -> Self {
        Push::message(msg).into()
    }

    /// Data: code `01`.
    ///
    /// # Panics
    ///
    /// When `data` cannot be JSON, as [`Push::data`].
    pub fn data(data: impl Serialize) -> Self {
        Push::data(data).into()
    }

    /// Something is wrong, and the client is told what.
    pub fn error(code: impl Into<Code>, msg: impl Into<Cow<'static, str>>) -> Self {
        Push::new(code, msg).into()
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

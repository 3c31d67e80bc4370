use super::{Order, Recipients, Target};
use crate::frame::Frame;
use crate::message::{KeptPush, Push};

/// What can be sent: a [`Push`], several (`[Push; N]`, `Vec<Push>`, `&[Push]`), a [`Frame`], or a push that is
/// [kept](Push::kept). Made from each of them by `into()`.
///
/// Pushes that are sent to a group get the field [`group`](Push::group), unless one of them has it. A `Frame` is sent as it is.
#[derive(Debug, Clone)]
pub struct Message(Content);

#[derive(Debug, Clone)]
enum Content {
    /// For sessions that are there now.
    Frame(Frame),
    /// The same, of pushes that name no group.
    Pushes(Frame),
    /// For the log of the key as well. Boxed, since it would enlarge the future of every send.
    Kept(Box<KeptPush>),
}

impl Message {
    /// The order to send it to these recipients, unless it must go to a log first.
    #[inline]
    pub(crate) fn into_order(self, to: &Recipients) -> Result<Order, Box<KeptPush>> {
        match (self.0, &to.target) {
            (Content::Pushes(frame), Target::Group(group)) => Ok(Order::Deliver(frame.with_group(group))),
            (Content::Pushes(frame) | Content::Frame(frame), _) => Ok(Order::Deliver(frame)),
            (Content::Kept(push), _) => Err(push),
        }
    }

    #[inline]
    fn pushes(frame: Frame, are_grouped: bool) -> Self {
        Self(if are_grouped { Content::Frame(frame) } else { Content::Pushes(frame) })
    }
}

impl From<KeptPush> for Message {
    fn from(push: KeptPush) -> Self {
        Self(Content::Kept(Box::new(push)))
    }
}

impl From<Frame> for Message {
    #[inline]
    fn from(frame: Frame) -> Self {
        Self(Content::Frame(frame))
    }
}

impl From<&Frame> for Message {
    #[inline]
    fn from(frame: &Frame) -> Self {
        frame.clone().into()
    }
}

impl From<Push> for Message {
    #[inline]
    fn from(push: Push) -> Self {
        (&push).into()
    }
}

impl From<&Push> for Message {
    #[inline]
    fn from(push: &Push) -> Self {
        Self::pushes(Frame::push(push), push.group.is_some())
    }
}

macro_rules! from_lists {
    ($([$($length:ident)?] $pushes:ty),* $(,)?) => {
        $(impl$(<const $length: usize>)? From<$pushes> for Message {
            #[inline]
            fn from(pushes: $pushes) -> Self {
                Self::pushes(Frame::burst(&pushes[..]), pushes.iter().any(|push| push.group.is_some()))
            }
        })*
    };
}

from_lists!([] Vec<Push>, [] &Vec<Push>, [] &[Push], [N] [Push; N], [N] &[Push; N]);

use super::Order;
use crate::frame::Frame;
use crate::message::{KeptPush, Push};

/// What can be sent: a [`Push`], several (`[Push; N]`, `Vec<Push>`, `&[Push]`), a [`Frame`], or a push that is
/// [kept](Push::kept). Made from each of them by `into()`.
#[derive(Debug, Clone)]
pub struct Message(Content);

#[derive(Debug, Clone)]
enum Content {
    /// For sessions that are there now.
    Frame(Frame),
    /// For the log of the key as well. Boxed, since it would enlarge the future of every send.
    Kept(Box<KeptPush>),
}

impl Message {
    /// The order to send it, unless it must go to a log first.
    #[inline]
    pub(crate) fn into_order(self) -> Result<Order, Box<KeptPush>> {
        match self.0 {
            Content::Frame(frame) => Ok(Order::Deliver(frame)),
            Content::Kept(push) => Err(push),
        }
    }
}

impl From<KeptPush> for Message {
    fn from(push: KeptPush) -> Self {
        Self(Content::Kept(Box::new(push)))
    }
}

macro_rules! from_frames {
    ($([$($length:ident)?] $sent:ty),* $(,)?) => {
        $(impl$(<const $length: usize>)? From<$sent> for Message {
            #[inline]
            fn from(sent: $sent) -> Self {
                Self(Content::Frame(sent.into()))
            }
        })*
    };
}

from_frames!([] Push, [] &Push, [] Frame, [] &Frame, [] Vec<Push>, [] &Vec<Push>, [] &[Push], [N] [Push; N], [N] &[Push; N]);

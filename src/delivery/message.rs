use crate::frame::Frame;
use crate::message::{KeptPush, Push};

/// What can be sent: a [`Push`], several (`[Push; N]`, `Vec<Push>`, `&[Push]`), a [`Frame`], or a push that is
/// [kept](Push::kept). Made from each of them by `into()`.
#[derive(Debug, Clone)]
pub struct Message(pub(crate) Content);

#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// For sessions that are there now.
    Frame(Frame),
    /// For the log of the key as well.
    Kept(KeptPush),
}

impl From<KeptPush> for Message {
    fn from(push: KeptPush) -> Self {
        Self(Content::Kept(push))
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

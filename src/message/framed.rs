//! Frames of pushes.

use super::Push;
use crate::frame::Frame;
use crate::group::Group;

impl Frame {
    /// A text frame with the JSON of `push`.
    #[must_use]
    pub fn push(push: &Push) -> Self {
        Self::text_of(push.plain_len(), |bytes| push.write(bytes))
    }

    /// A burst of several pushes, queued and written together. Each push is its own message.
    #[must_use]
    pub fn burst<'a>(pushes: impl IntoIterator<Item = &'a Push>) -> Self {
        Self::join(pushes.into_iter().map(Self::push))
    }

    /// The same pushes with the field `group`. Only for a frame of pushes that do not have it.
    pub(crate) fn with_group(&self, group: &Group) -> Self {
        self.map_texts(|push| Push::add_group(push, group))
    }
}

impl From<Push> for Frame {
    fn from(push: Push) -> Self {
        Self::push(&push)
    }
}

impl From<&Push> for Frame {
    fn from(push: &Push) -> Self {
        Self::push(push)
    }
}

impl From<&[Push]> for Frame {
    fn from(pushes: &[Push]) -> Self {
        Self::burst(pushes)
    }
}

impl From<&Vec<Push>> for Frame {
    fn from(pushes: &Vec<Push>) -> Self {
        Self::burst(pushes)
    }
}

impl From<Vec<Push>> for Frame {
    fn from(pushes: Vec<Push>) -> Self {
        Self::burst(&pushes)
    }
}

impl<const N: usize> From<[Push; N]> for Frame {
    fn from(pushes: [Push; N]) -> Self {
        Self::burst(&pushes)
    }
}

impl<const N: usize> From<&[Push; N]> for Frame {
    fn from(pushes: &[Push; N]) -> Self {
        Self::burst(pushes)
    }
}

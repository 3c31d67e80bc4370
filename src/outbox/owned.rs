use std::ops::Deref;

use super::Outbox;

/// An outbox together with its owner, in one allocation.
///
/// The outbox stands in front, so that a flusher reaches it without knowing the owner's type: `Arc<Owned<T>>` coerces to
/// `Arc<Owned<dyn Owner>>`, and no virtual call is needed.
pub(crate) struct Owned<T: ?Sized> {
    pub(crate) outbox: Outbox,
    owner: T,
}

/// Whatever an outbox belongs to. An outbox asks nothing of it.
pub(crate) trait Owner: Send + Sync + 'static {}

impl<T: Send + Sync + 'static> Owner for T {}

impl<T> Owned<T> {
    pub(crate) fn new(owner: T) -> Self {
        Self { outbox: Outbox::default(), owner }
    }
}

impl<T: ?Sized> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.owner
    }
}

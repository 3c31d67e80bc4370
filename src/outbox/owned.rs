use std::ops::Deref;

use super::Outbox;
use crate::limits::Config;
use crate::metrics::Metrics;

/// An outbox together with its owner, in one allocation.
///
/// The outbox stands in front, so that a flusher reaches it without knowing the owner's type: `Arc<Owned<T>>` coerces to
/// `Arc<Owned<dyn Owner>>`, and no virtual call is needed.
pub(crate) struct Owned<T: ?Sized> {
    pub(crate) outbox: Outbox,
    pub(super) owner: T,
}

/// The owner of an outbox.
pub(crate) trait Owner: Send + Sync + 'static {
    /// The limits of the queue, and what becomes of a slow client.
    fn config(&self) -> &Config;

    fn metrics(&self) -> &Metrics;
}

impl<T: Owner> Owned<T> {
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

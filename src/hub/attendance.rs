use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, broadcast};
use tokio::task::AbortHandle;

use crate::delivery::NodeId;
use crate::presence::{Change, Pending, Presence, PresenceTiming};

/// What a hub holds of its presence.
pub(super) struct HubPresence {
    pub(super) record: Arc<dyn Presence>,
    pub(super) node: NodeId,
    pub(super) timing: PresenceTiming,
    pub(super) touched: Arc<Touched>,
    pub(super) changes: broadcast::Sender<Change>,
    keeper: Mutex<Option<AbortHandle>>,
}

#[derive(Default)]
pub(super) struct Touched {
    pending: Mutex<Pending>,
    pub(super) wake: Notify,
}

/// Shortest lease. A third of it passes between two renewals.
const SHORTEST_LEASE: Duration = Duration::from_millis(100);

/// Changes that wait for a reader of the stream.
const CHANGES: usize = 1024;

impl HubPresence {
    pub(super) fn new(record: Arc<dyn Presence>, node: NodeId, timing: PresenceTiming) -> Self {
        // A shorter lease would keep the task from everything else.
        let timing = PresenceTiming { lease: timing.lease.max(SHORTEST_LEASE), ..timing };
        let changes = broadcast::Sender::new(CHANGES);
        Self { record, node, timing, touched: Arc::default(), changes, keeper: Mutex::default() }
    }

    /// The task that keeps the record.
    pub(super) fn end_with_hub(&self, keeper: AbortHandle) {
        *self.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
    }
}

impl Drop for HubPresence {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            keeper.abort();
        }
    }
}

impl Touched {
    pub(super) fn pending(&self) -> MutexGuard<'_, Pending> {
        // A poisoned lock is safe to use: no panic can interrupt a change.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

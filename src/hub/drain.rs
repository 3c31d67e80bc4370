//! How far a hub's shutdown is, for its connections.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{Either, select};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// How far a hub's shutdown is.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    pub(super) draining: AtomicBool,
    /// One for each connection, from when the client was promised it.
    pub(super) connections: TaskTracker,
    pub(super) cut: CancellationToken,
}

impl Drain {
    pub(crate) fn has_begun(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// As long as it is held, [`Hub::shutdown`](crate::Hub::shutdown) waits.
    pub(crate) fn connection_token(&self) -> TaskTrackerToken {
        self.connections.token()
    }

    /// Does a part of a connection's work, unless it is cut before it is done. Even then the work has its turn once,
    /// in which it may write a close frame.
    ///
    /// An open session needs none of this, it is closed: there is nothing of it in an idle task.
    ///
    /// The work is boxed or pinned elsewhere, since this future would otherwise hold it twice.
    pub(crate) async fn unless_cut<F: Future + Unpin>(&self, work: F) -> Option<F::Output> {
        match select(work, pin!(self.cut.cancelled())).await {
            Either::Left((output, _)) => Some(output),
            Either::Right(_) => None,
        }
    }
}

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Semaphore;

use crate::log::Log;

/// The log of a hub, and what its connections share of it.
pub(crate) struct HubLog {
    pub(super) log: Arc<dyn Log>,
    /// Bounds the reads of followers that are in flight, so that thousands that come back at once do not hold up others.
    pub(super) reads: Semaphore,
    /// Counts the calls whose outcome is not known. Followers that find it changed read the log again.
    pub(super) doubts: AtomicU32,
    /// Whether other nodes append to it, whose announcements can be lost.
    pub(crate) is_shared: bool,
}

/// Number of reads of followers in flight.
const READS: usize = 64;

impl HubLog {
    pub(super) fn new(log: Arc<dyn Log>) -> Self {
        let is_shared = log.shared();
        Self { log, reads: Semaphore::new(READS), doubts: AtomicU32::new(0), is_shared }
    }

    /// Changes when a call's outcome was not known.
    pub(crate) fn doubts(&self) -> u32 {
        self.doubts.load(Ordering::Relaxed)
    }
}

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::foreign::ForeignRequests;
use crate::cluster::{Cluster, ClusterHealth, Clustered, Outage, Timing};
use crate::metrics::Metrics;
use crate::store::SessionStore;

/// Questions of other nodes that a node answers at the same time.
const ANSWERS: usize = 32;

/// What a hub holds of its cluster.
pub(super) struct Joined {
    pub(super) store: Clustered,
    pub(super) outage: Outage,
    pub(super) outage_delay: Duration,
    pub(super) answer_timeout: Duration,
    /// Answers to other nodes in progress.
    pub(super) answers: Arc<Semaphore>,
    /// Requests of other nodes to sessions of this one.
    pub(super) foreign: Arc<ForeignRequests>,
    /// The task that listens to the other nodes. It ends with the hub.
    listener: Mutex<Option<AbortHandle>>,
}

impl Joined {
    pub(super) fn new(
        cluster: Cluster,
        here: Arc<dyn SessionStore>,
        store_timeout: Duration,
        metrics: &Metrics,
    ) -> Self {
        let Cluster { node, backplane, timing, outage, .. } = cluster;
        // A call to the store ends in time whatever the engine does, and then still tells what it has delivered.
        let half = store_timeout / 2;
        let capped =
            Timing { publish: timing.publish.min(half), subscribe: timing.subscribe.min(half), ..timing };
        Self {
            store: Clustered::new(here, backplane, node, capped, metrics.cluster().clone()),
            outage,
            outage_delay: timing.outage,
            answer_timeout: timing.answer,
            answers: Arc::new(Semaphore::new(ANSWERS)),
            foreign: Arc::default(),
            listener: Mutex::default(),
        }
    }

    pub(super) fn as_store(&self) -> Arc<dyn SessionStore> {
        Arc::new(self.store.clone())
    }

    /// The task that listens to the other nodes.
    pub(super) fn end_with_hub(&self, listener: AbortHandle) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }

    pub(super) fn health(&self) -> ClusterHealth {
        self.store.health()
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.foreign.end();
        let listener = self.listener.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(listener) = listener.take() {
            listener.abort();
        }
    }
}

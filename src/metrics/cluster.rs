//! Metrics of a node in its cluster.

use ::metrics::{Counter, Gauge};

use super::handle::{counter, gauge};
use super::table;

/// The handles of a node's cluster.
#[derive(Clone)]
pub(crate) struct ClusterMetrics {
    published: Counter,
    failed: Counter,
    received: Counter,
    unreadable: Counter,
    interruptions: Counter,
    connected: Gauge,
}

impl ClusterMetrics {
    pub(super) fn register() -> Self {
        let published = |outcome| counter(&table::CLUSTER_PUBLISHED, &[("outcome", outcome)]);
        let received = |outcome| counter(&table::CLUSTER_RECEIVED, &[("outcome", outcome)]);
        Self {
            published: published("published"),
            failed: published("failed"),
            received: received("applied"),
            unreadable: received("unreadable"),
            interruptions: counter(&table::CLUSTER_INTERRUPTIONS, &[]),
            connected: gauge(&table::CLUSTER_CONNECTED),
        }
    }

    /// Records a message for the other nodes, which the engine took or did not take.
    pub(crate) fn published(&self, is_published: bool) {
        if is_published { &self.published } else { &self.failed }.increment(1);
    }

    /// Records a message of another node, which this node can read or not.
    pub(crate) fn received(&self, is_readable: bool) {
        if is_readable { &self.received } else { &self.unreadable }.increment(1);
    }

    /// Records that the engine was found or lost.
    pub(crate) fn connected(&self, is_connected: bool) {
        self.connected.set(if is_connected { 1.0 } else { 0.0 });
        self.interruptions.increment(u64::from(!is_connected));
    }
}

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tokio::time::{Duration, Instant};

use crate::delivery::NodeId;
use crate::metrics::ClusterMetrics;

/// State of a hub, for a health check or a page of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// Whether a [shutdown](crate::Hub::shutdown) has begun: new connections are refused.
    pub is_draining: bool,
    /// State of the connection to the cluster. `None` without a cluster.
    pub cluster: Option<ClusterHealth>,
}

impl Health {
    /// Whether the hub accepts connections, and is connected to its cluster if it has one.
    ///
    /// A node that has lost its cluster still serves its own sessions. Do not restart it for that.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !self.is_draining && self.cluster.is_none_or(|cluster| cluster.is_connected)
    }
}

/// State of a node's connection to its cluster, as part of [`Hub::health`](crate::Hub::health).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClusterHealth {
    /// This node.
    pub node: NodeId,
    /// Whether this node can publish, and all its subscriptions are in force. While that is not so, messages to and from other nodes
    /// may be lost.
    pub is_connected: bool,
    /// Time since `is_connected` changed.
    #[serde(rename = "since_seconds", serialize_with = "seconds")]
    pub since: Duration,
    /// The number of interruptions since the hub was built.
    pub interruptions: u64,
    /// Messages published to other nodes.
    pub published: u64,
    /// Messages that the engine did not take in time.
    pub unpublished: u64,
    /// Messages received from other nodes.
    pub received: u64,
    /// Messages received that could not be read, and were dropped: from a later version, or not from keywire.
    pub unreadable: u64,
}

fn seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(time.as_secs())
}

/// Counts what happens between a node and its cluster.
pub(super) struct Counters {
    node: NodeId,
    link: Mutex<Link>,
    interruptions: AtomicU64,
    published: AtomicU64,
    unpublished: AtomicU64,
    received: AtomicU64,
    unreadable: AtomicU64,
    metrics: ClusterMetrics,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    is_connected: bool,
    changed: Instant,
}

impl Counters {
    pub(super) fn new(node: NodeId, metrics: ClusterMetrics) -> Self {
        Self {
            node,
            link: Mutex::new(Link { is_connected: false, changed: Instant::now() }),
            interruptions: AtomicU64::new(0),
            published: AtomicU64::new(0),
            unpublished: AtomicU64::new(0),
            received: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
            metrics,
        }
    }

    /// Notes whether the engine is there. Returns whether that is new.
    pub(super) fn connected(&self, is_connected: bool) -> bool {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = link.is_connected != is_connected;
        if is_new {
            *link = Link { is_connected, changed: Instant::now() };
            self.interruptions.fetch_add(u64::from(!is_connected), Ordering::Relaxed);
            self.metrics.connected(is_connected);
        }
        is_new
    }

    /// Counts a message for the other nodes.
    pub(super) fn published(&self, is_published: bool) {
        if is_published { &self.published } else { &self.unpublished }.fetch_add(1, Ordering::Relaxed);
        self.metrics.published(is_published);
    }

    /// Counts a message of another node. Returns how many of its kind there were.
    pub(super) fn received(&self, is_readable: bool) -> u64 {
        self.metrics.received(is_readable);
        if is_readable { &self.received } else { &self.unreadable }.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn now(&self) -> ClusterHealth {
        let link = *self.link.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ClusterHealth {
            node: self.node,
            is_connected: link.is_connected,
            since: link.changed.elapsed(),
            interruptions: count(&self.interruptions),
            published: count(&self.published),
            unpublished: count(&self.unpublished),
            received: count(&self.received),
            unreadable: count(&self.unreadable),
        }
    }
}

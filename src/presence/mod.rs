//! Presence: which keys are online, on any node of a cluster.

mod change;
mod memory;
mod pending;
mod steady;
mod timing;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

pub use self::change::{Change, Changes, Missed};
pub use self::memory::MemoryPresence;
pub(crate) use self::pending::Pending;
pub(crate) use self::steady::Steady;
pub use self::timing::PresenceTiming;
use crate::delivery::NodeId;
use crate::key::Key;

/// Records which keys have sessions on which node of a cluster.
///
/// # Contract
///
/// - `update` sets numbers, and does not add to them: a call that is made twice changes nothing. Updates of one key are atomic:
///   each returns the number of sessions on all nodes before it and after it, so exactly one of them sees the key arrive or leave.
/// - What a node has recorded counts until it is swept. Its lease protects it from that: [`renew`](Self::renew) extends the lease, or
///   shortens it when the node shuts down.
/// - [`sweep`](Self::sweep) removes what was recorded under leases that have ended, a bounded part in each call. Each key that loses
///   its last session by that is reported by one call on one node.
/// - `renew` removes nothing, even if it begins a new lease: after an outage of the engine the leases of all nodes have ended, and
///   their keys are still online. What a node records under its new lease replaces what it had recorded under the former one.
/// - A renewal costs the same for any number of keys of this node.
///
/// The hub sweeps after each renewal, once its renewals have succeeded for the time of a whole lease. So after an outage each node has
/// renewed its lease before any node sweeps.
///
/// # Failures and cancel safety
///
/// A call that takes too long is dropped, and its changes may have been made. The node then repeats it.
#[async_trait]
pub trait Presence: Send + Sync + 'static {
    /// Records how many sessions this node has of each of these keys. 0 removes the key. Returns a result for each, in their order.
    ///
    /// # Errors
    ///
    /// If the changes were not made, or may not have been made.
    async fn update(&self, node: NodeId, sessions: &[(Key, usize)]) -> Result<Vec<Updated>, PresenceError>;

    /// Sets the lease of this node to this time from now.
    ///
    /// # Errors
    ///
    /// If the lease was not extended.
    async fn renew(&self, node: NodeId, lease: Duration) -> Result<Renewed, PresenceError>;

    /// Removes a part of what was recorded under leases that have ended. Called by a node that has renewed its lease. May remove what
    /// this node recorded under a former lease and has not recorded again.
    ///
    /// # Errors
    ///
    /// If nothing was removed: each key that has left is reported.
    async fn sweep(&self, node: NodeId) -> Result<Swept, PresenceError>;

    /// The nodes that have sessions of each of these keys, in the order of the keys.
    ///
    /// # Errors
    ///
    /// If they cannot be read now.
    async fn nodes(&self, keys: &[Key]) -> Result<Vec<Vec<NodeSessions>>, PresenceError>;

    /// The nodes whose leases have not ended.
    ///
    /// # Errors
    ///
    /// If they cannot be read now.
    async fn live_nodes(&self) -> Result<Vec<NodeId>, PresenceError>;

    /// The number of nodes, keys and sessions in the cluster.
    ///
    /// # Errors
    ///
    /// If they cannot be read now.
    async fn counts(&self) -> Result<ClusterCounts, PresenceError>;
}

/// Result of [`Presence::update`]: the number of sessions of a key on all nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Updated {
    /// Before the update. 0: the key came online.
    pub before: usize,
    /// After the update. 0: the key went offline.
    pub after: usize,
}

/// Result of [`Presence::renew`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Renewed {
    /// The lease had ended, or is new: what this node had recorded may be gone. It records everything again.
    pub is_new: bool,
}

/// Result of [`Presence::sweep`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// Keys that have no session any more.
    pub left: Vec<Key>,
    /// There is more to remove: another call continues.
    pub more: bool,
}

/// The sessions of a key on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct NodeSessions {
    /// The node.
    pub node: NodeId,
    /// The number of its sessions, 1 or more.
    pub sessions: usize,
}

/// The number of nodes, keys and sessions in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ClusterCounts {
    /// Nodes whose lease has not ended.
    pub nodes: usize,
    /// Keys with at least one session. A key with sessions on two nodes counts once, or for each of them if the engine cannot tell.
    pub keys: usize,
    /// Sessions.
    pub sessions: usize,
}

/// Failure of a [`Presence`].
#[derive(Debug, thiserror::Error)]
#[error("the record of presence failed")]
pub struct PresenceError(#[source] Box<dyn Error + Send + Sync>);

impl PresenceError {
    /// A failure with its reason.
    pub fn new(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(reason.into())
    }
}

// Every method is forwarded: otherwise the trait's default would replace the record's own method.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<P: Presence + ?Sized> Presence for Arc<P> {
    async fn update(&self, node: NodeId, sessions: &[(Key, usize)]) -> Result<Vec<Updated>, PresenceError> {
        (**self).update(node, sessions).await
    }

    async fn renew(&self, node: NodeId, lease: Duration) -> Result<Renewed, PresenceError> {
        (**self).renew(node, lease).await
    }

    async fn sweep(&self, node: NodeId) -> Result<Swept, PresenceError> {
        (**self).sweep(node).await
    }

    async fn nodes(&self, keys: &[Key]) -> Result<Vec<Vec<NodeSessions>>, PresenceError> {
        (**self).nodes(keys).await
    }

    async fn live_nodes(&self) -> Result<Vec<NodeId>, PresenceError> {
        (**self).live_nodes().await
    }

    async fn counts(&self) -> Result<ClusterCounts, PresenceError> {
        (**self).counts().await
    }
}

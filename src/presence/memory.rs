use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{ClusterCounts, NodeSessions, Presence, PresenceError, Renewed, Swept, Updated};
use crate::deadline::after;
use crate::delivery::NodeId;
use crate::key::Key;

/// A record of presence in memory, for one node or for several hubs of one process. Clones share the record.
///
/// ```
/// use keywire::auth::RawKey;
/// use keywire::cluster::presence::MemoryPresence;
/// use keywire::{Hub, Switch};
///
/// let switch = Switch::new()
///     .joined(|key| async move { println!("{key} is online") })
///     .left(|key| async move { println!("{key} is offline") });
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let hub = Hub::builder(RawKey::from_path()).handler(switch).presence(MemoryPresence::new()).build();
/// # });
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemoryPresence(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    keys: HashMap<Key, Vec<NodeSessions>>,
    leases: HashMap<NodeId, Instant>,
}

/// Keys that one call sweeps.
const SWEEP: usize = 1000;

impl MemoryPresence {
    /// An empty record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        // A poisoned lock is safe to use: no panic can interrupt a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Presence for MemoryPresence {
    async fn update(&self, node: NodeId, sessions: &[(Key, usize)]) -> Result<Vec<Updated>, PresenceError> {
        let mut record = self.record();
        Ok(sessions.iter().map(|(key, sessions)| record.set(node, key, *sessions)).collect())
    }

    async fn renew(&self, node: NodeId, lease: Duration) -> Result<Renewed, PresenceError> {
        let (mut record, now) = (self.record(), Instant::now());
        let former = record.leases.insert(node, after(now, lease));
        Ok(Renewed { is_new: former.is_none_or(|end| end <= now) })
    }

    async fn sweep(&self, _: NodeId) -> Result<Swept, PresenceError> {
        Ok(self.record().sweep(Instant::now()))
    }

    async fn nodes(&self, keys: &[Key]) -> Result<Vec<Vec<NodeSessions>>, PresenceError> {
        let record = self.record();
        Ok(keys.iter().map(|key| record.keys.get(key).cloned().unwrap_or_default()).collect())
    }

    async fn live_nodes(&self) -> Result<Vec<NodeId>, PresenceError> {
        let (record, now) = (self.record(), Instant::now());
        Ok(record.leases.iter().filter(|(_, end)| **end > now).map(|(node, _)| *node).collect())
    }

    async fn counts(&self) -> Result<ClusterCounts, PresenceError> {
        let (record, now) = (self.record(), Instant::now());
        Ok(ClusterCounts {
            nodes: record.leases.values().filter(|end| **end > now).count(),
            keys: record.keys.len(),
            sessions: record.keys.values().flatten().map(|node| node.sessions).sum(),
        })
    }
}

impl Record {
    fn set(&mut self, node: NodeId, key: &Key, sessions: usize) -> Updated {
        let nodes = self.keys.entry(key.clone()).or_default();
        let total = |nodes: &[NodeSessions]| nodes.iter().map(|node| node.sessions).sum();
        let before = total(nodes);
        nodes.retain(|other| other.node != node);
        if sessions > 0 {
            nodes.push(NodeSessions { node, sessions });
        }
        let after = total(nodes);
        if nodes.is_empty() {
            self.keys.remove(key);
        }
        Updated { before, after }
    }

    /// Removes a part of what nodes have recorded whose leases have ended.
    fn sweep(&mut self, now: Instant) -> Swept {
        let over: Vec<_> =
            self.leases.iter().filter(|(_, end)| **end <= now).map(|(node, _)| *node).collect();
        if over.is_empty() {
            return Swept::default();
        }
        let is_over = |nodes: &[NodeSessions]| {
            nodes.iter().find(|node| over.contains(&node.node)).map(|node| node.node)
        };
        let found = self.keys.iter().filter_map(|(key, nodes)| Some((key.clone(), is_over(nodes)?)));
        let found: Vec<_> = found.take(SWEEP + 1).collect();
        let more = found.len() > SWEEP;
        let mut left = Vec::new();
        for (key, node) in found.into_iter().take(SWEEP) {
            if self.set(node, &key, 0).after == 0 {
                left.push(key);
            }
        }
        if !more {
            self.leases.retain(|node, _| !over.contains(node));
        }
        Swept { left, more }
    }
}

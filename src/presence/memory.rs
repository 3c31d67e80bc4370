use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{ClusterCounts, NodeSessions, Presence, PresenceError, Renewed, Swept, Updated};
use crate::cluster::NodeId;
use crate::deadline::after;
use crate::key::Key;

/// Presence in the memory of this process, for several hubs of one process. Share it by an [`Arc`](std::sync::Arc).
///
/// ```
/// use std::sync::Arc;
///
/// use keywire::presence::MemoryPresence;
///
/// let presence = Arc::new(MemoryPresence::new());
/// # let _ = presence;
/// ```
#[derive(Debug, Default)]
pub struct MemoryPresence(Mutex<Record>);

#[derive(Debug, Default)]
struct Record {
    keys: HashMap<Key, Vec<NodeSessions>>,
    nodes: HashMap<NodeId, Node>,
}

#[derive(Debug)]
struct Node {
    /// When the lease ends.
    lease: Instant,
    keys: HashSet<Key>,
}

/// Keys that one call sweeps.
const SLICE: usize = 1000;

impl MemoryPresence {
    /// A record without any node.
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
        Ok(sessions.iter().map(|(key, sessions)| record.update(node, key, *sessions)).collect())
    }

    async fn renew(&self, node: NodeId, lease: Duration) -> Result<Renewed, PresenceError> {
        let (mut record, now) = (self.record(), Instant::now());
        let known = record.nodes.get_mut(&node).filter(|node| node.lease > now);
        let is_new = known.is_none();
        let mut swept = Swept::default();
        if let Some(known) = known {
            known.lease = after(now, lease);
        } else {
            // What it had recorded before is gone, and it records everything again.
            record.sweep(node, usize::MAX, &mut swept.left);
            record.nodes.insert(node, Node { lease: after(now, lease), keys: HashSet::new() });
        }
        let ended: Vec<_> =
            record.nodes.iter().filter(|(_, node)| node.lease <= now).map(|(id, _)| *id).collect();
        for ended in ended {
            let more = record.sweep(ended, SLICE - swept.left.len().min(SLICE), &mut swept.left);
            swept.more |= more;
        }
        Ok(Renewed { is_new, swept })
    }

    async fn release(&self, node: NodeId) -> Result<Swept, PresenceError> {
        let mut swept = Swept::default();
        swept.more = self.record().sweep(node, SLICE, &mut swept.left);
        Ok(swept)
    }

    async fn nodes(&self, keys: &[Key]) -> Result<Vec<Vec<NodeSessions>>, PresenceError> {
        let record = self.record();
        Ok(keys.iter().map(|key| record.keys.get(key).cloned().unwrap_or_default()).collect())
    }

    async fn counts(&self) -> Result<ClusterCounts, PresenceError> {
        let (record, now) = (self.record(), Instant::now());
        Ok(ClusterCounts {
            nodes: record.nodes.values().filter(|node| node.lease > now).count(),
            keys: record.keys.len(),
            sessions: record.keys.values().flatten().map(|node| node.sessions).sum(),
        })
    }
}

impl Record {
    fn update(&mut self, node: NodeId, key: &Key, sessions: usize) -> Updated {
        let nodes = self.keys.entry(key.clone()).or_default();
        let count = |nodes: &[NodeSessions]| nodes.iter().map(|node| node.sessions).sum::<usize>();
        let before = count(nodes);
        nodes.retain(|other| other.node != node);
        if sessions > 0 {
            nodes.push(NodeSessions { node, sessions });
        }
        let after = count(nodes);
        if after == 0 {
            self.keys.remove(key);
        }
        // A node without a lease is swept by the next renewal.
        let ended = || Node { lease: Instant::now(), keys: HashSet::new() };
        let keys = &mut self.nodes.entry(node).or_insert_with(ended).keys;
        if sessions > 0 {
            keys.insert(key.clone())
        } else {
            keys.remove(key)
        };
        Updated { before, after }
    }

    /// Removes up to this many keys of a node, and the node with the last. Returns whether there are more.
    fn sweep(&mut self, node: NodeId, most: usize, left: &mut Vec<Key>) -> bool {
        let Some(recorded) = self.nodes.get(&node) else { return false };
        let keys: Vec<_> = recorded.keys.iter().take(most).cloned().collect();
        for key in keys {
            if self.update(node, &key, 0).after == 0 {
                left.push(key);
            }
        }
        let more = self.nodes.get(&node).is_some_and(|node| !node.keys.is_empty());
        if !more {
            self.nodes.remove(&node);
        }
        more
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_contract_of_presence() {
        crate::testing::presence::all(&MemoryPresence::new()).await;
    }
}

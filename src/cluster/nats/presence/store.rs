//! What the parts of presence share.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::Mutex;

use super::super::jetstream::Stream;
use super::super::{NatsError, subject};
use super::nodes::{Lease, Nodes};
use super::record::Part;
use crate::cluster::NodeId;
use crate::key::Key;

pub(super) struct Store {
    pub(super) records: Stream,
    pub(super) beats: Stream,
    pub(super) prefix: String,
    /// What this process knows of its nodes, usually one.
    pub(super) own: std::sync::Mutex<HashMap<NodeId, Own>>,
    pub(super) pass: Mutex<Option<Pass>>,
    /// One at a time tells how many sessions a node has.
    pub(super) telling: Mutex<()>,
}

/// A node of this process.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// Number of its lease. 0 before it has one.
    pub(super) lease: u64,
    /// Sessions that it has recorded under this lease, and how many it has told of. `None` if that is not certain.
    pub(super) sessions: usize,
    pub(super) told: Option<usize>,
    /// How many sessions of a key `sessions` contains, if a call for the key did not come to its end.
    pub(super) doubts: HashMap<Key, usize>,
    /// All nodes at the time of its last renewal, and that time.
    pub(super) seen: Option<Arc<(Nodes, u64)>>,
    /// What it has recorded under a former lease is to be swept.
    pub(super) has_former: bool,
}

/// A pass over the records of all keys, in their order in the stream. What changes meanwhile comes to its end, so it is not missed.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) next: u64,
    /// The leases that had ended when it began. They are removed after it.
    pub(super) ended: Vec<Lease>,
}

impl Store {
    pub(super) fn subject_of(&self, key: &Key) -> String {
        format!("{}.p.{}", self.prefix, subject::token(key.as_str()))
    }

    pub(super) fn key_of(&self, subject: &str) -> Option<Key> {
        let token = subject.strip_prefix(&self.prefix)?.strip_prefix(".p.")?;
        Key::new(subject::text_of(token)?).ok()
    }

    pub(super) fn all_keys(&self) -> String {
        format!("{}.p.*", self.prefix)
    }

    pub(super) fn own(&self) -> MutexGuard<'_, HashMap<NodeId, Own>> {
        // A poisoned lock is safe to use: no panic can interrupt a change.
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lease_of(&self, node: NodeId) -> u64 {
        self.own().entry(node).or_default().lease
    }

    /// A call may change the sessions of a key, which had this number until now.
    pub(super) fn doubt(&self, part: Part, key: &Key, known: usize) {
        if let Some(own) = self.own().get_mut(&part.node).filter(|own| own.lease == part.lease) {
            own.doubts.entry(key.clone()).or_insert(known);
        }
    }

    pub(super) fn is_doubtful(&self, part: Part, key: &Key) -> bool {
        self.own().get(&part.node).is_some_and(|own| own.doubts.contains_key(key))
    }

    /// The sessions of a key are recorded. Before the call they were `known`, unless there was doubt.
    pub(super) fn count(&self, part: Part, key: &Key, known: usize) {
        if let Some(own) = self.own().get_mut(&part.node).filter(|own| own.lease == part.lease) {
            let counted = own.doubts.remove(key).unwrap_or(known);
            own.sessions = own.sessions.saturating_sub(counted).saturating_add(part.sessions);
        }
    }

    /// Tells the other nodes how many sessions this node has, if that has changed.
    pub(super) async fn tell(&self, node: NodeId) -> Result<(), NatsError> {
        let _turn = self.telling.lock().await;
        let sessions = match self.own().get_mut(&node) {
            Some(own) if own.told != Some(own.sessions) => {
                // Until the answer comes.
                own.told = None;
                own.sessions
            }
            _ => return Ok(()),
        };
        self.tell_sessions(node, sessions).await?;
        if let Some(own) = self.own().get_mut(&node) {
            own.told = Some(sessions);
        }
        Ok(())
    }
}

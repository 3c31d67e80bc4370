use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::NodeId;
use crate::deadline::after;

/// The leases of the nodes of this process: in general of one.
#[derive(Default)]
pub(in super::super) struct Leases {
    leases: Mutex<HashMap<NodeId, Lease>>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
pub(super) struct Lease {
    /// The number that the server gave it.
    pub(super) number: String,
    /// When it ends at the latest, by the clock of this process.
    end: Instant,
    /// An update has found that the lease had ended, and has got a new one. The node learns of it by its next renewal.
    pub(super) untold: bool,
}

impl Leases {
    pub(super) fn get(&self, node: NodeId) -> Option<Lease> {
        self.lock(|leases| leases.get(&node).cloned())
    }

    /// Records a renewal that was asked for at `since`.
    pub(super) fn set(&self, node: NodeId, number: String, since: Instant, lease: Duration, untold: bool) {
        let lease = Lease { number, end: after(since, lease), untold };
        self.lock(|leases| leases.insert(node, lease));
    }

    /// Two calls at the same time must not get two leases for a node.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    fn lock<R>(&self, look: impl FnOnce(&mut HashMap<NodeId, Lease>) -> R) -> R {
        look(&mut self.leases.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Lease {
    pub(super) fn has_ended(&self) -> bool {
        self.end <= Instant::now()
    }
}

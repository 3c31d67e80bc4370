//! Limit on connections.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::activity::{Activity, LongHeads, Order, Waits};
use super::config::ServeConfig;
use super::share::{self, Holder};
use crate::limits::Address;

/// Idle time before a connection may be closed for another. A connection that is idle for less may be about to send a request.
const SETTLED: Duration = Duration::from_millis(250);

/// Shortest time between two searches for connections to close, since each search looks at all connections.
const SEARCH: Duration = Duration::from_millis(10);

/// Connections that are not sessions, and the limits on their number.
#[derive(Debug)]
pub(super) struct ConnectionQuota {
    limit: usize,
    limit_per_address: Option<usize>,
    used: Mutex<Used>,
    freed: Notify,
    long_heads: LongHeads,
}

#[derive(Debug, Default)]
struct Used {
    connections: BTreeMap<u64, Arc<Activity>>,
    /// Number of permits of each address. Addresses without permits are removed.
    by_address: BTreeMap<Option<Address>, usize>,
    next: u64,
    searched: Option<Instant>,
    is_draining: bool,
}

/// Permit of a connection. It is released on drop.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    number: u64,
    activity: Arc<Activity>,
    quota: Arc<ConnectionQuota>,
}

impl ConnectionQuota {
    pub(super) fn new(config: &ServeConfig) -> Arc<Self> {
        Arc::new(Self {
            limit: config.connections.max(1),
            limit_per_address: config.connections_per_address.map(|limit| limit.max(1)),
            used: Mutex::default(),
            freed: Notify::new(),
            long_heads: LongHeads::default(),
        })
    }

    /// Whether a permit is free.
    pub(super) fn has_room(&self) -> bool {
        self.used().connections.len() < self.limit
    }

    /// Number of permits that an address holds.
    pub(super) fn used_by(&self, address: Option<Address>) -> usize {
        self.used().by_address.get(&address).copied().unwrap_or(0)
    }

    /// Whether an address may hold one more permit. `all` adds what it will hold to the number of permits that it holds.
    pub(super) fn may_have_more(&self, address: Option<Address>, all: impl FnOnce(usize) -> usize) -> bool {
        let has_room = |limit| all(self.used_by(address)) < limit;
        address.is_none() || self.limit_per_address.is_none_or(has_room)
    }

    /// Acquires a permit, even beyond the limit.
    pub(super) fn acquire(self: &Arc<Self>, address: Option<Address>) -> ConnectionPermit {
        let mut used = self.used();
        let order = if used.is_draining { Order::Drain } else { Order::Stay };
        let activity = Arc::new(Activity::new(address, order, self.long_heads.clone()));
        let number = used.next;
        used.next += 1;
        used.connections.insert(number, activity.clone());
        *used.by_address.entry(address).or_default() += 1;
        ConnectionPermit { number, activity, quota: self.clone() }
    }

    /// Ready when a permit has been released.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Asks connections to end for new connections from these addresses.
    pub(super) fn make_room(&self, newcomers: &[Option<Address>]) {
        self.search(|holders, leaving, settled| {
            // Connections that are already ending make room for the first newcomers.
            let newcomers = newcomers.get(leaving..).unwrap_or_default();
            share::choose(holders, newcomers, settled)
        });
    }

    /// Asks some idle connections to end, in order to free file descriptors.
    pub(super) fn free_descriptors(&self) {
        self.search(|holders, _, settled| {
            let mut idle = share::idle(holders, settled);
            idle.truncate((idle.len() / 32).max(1));
            idle
        });
    }

    /// Lets the requests in progress finish and accepts no more.
    pub(super) fn drain(&self) {
        let mut used = self.used();
        used.is_draining = true;
        used.connections.values().for_each(|activity| activity.tell(Order::Drain));
    }

    /// Cuts the remaining connections.
    pub(super) fn cut(&self) {
        self.used().connections.values().for_each(|activity| activity.tell(Order::Cut));
    }

    fn search(&self, choose: impl FnOnce(&[Holder], usize, Instant) -> Vec<usize>) {
        let now = Instant::now();
        let mut used = self.used();
        if used.searched.is_some_and(|searched| now - searched < SEARCH) {
            return;
        }
        used.searched = Some(now);
        let (stay, leave): (Vec<_>, Vec<_>) =
            used.connections.values().partition(|activity| activity.order() == Order::Stay);
        let holders: Vec<_> = stay
            .iter()
            .map(|activity| {
                let (waits, since) = activity.waits();
                Holder { address: activity.address(), waits, since }
            })
            .collect();
        // The clock may have started less than `SETTLED` ago.
        let settled = now.checked_sub(SETTLED).unwrap_or(now);
        for index in choose(&holders, leave.len(), settled) {
            let is_idle = matches!(holders[index].waits, Waits::Idle { .. });
            stay[index].tell(if is_idle { Order::Leave } else { Order::Cut });
        }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        // A poisoned lock is safe to use: no panic can interrupt a change.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionPermit {
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut used = self.quota.used();
        used.connections.remove(&self.number);
        if let Entry::Occupied(mut entry) = used.by_address.entry(self.activity.address()) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
        drop(used);
        self.quota.freed.notify_one();
    }
}

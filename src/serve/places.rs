//! The places for connections.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::activity::{Activity, LongHeads, Order, Waits};
use super::config::ServeConfig;
use super::share::{self, Holder};
use crate::limits::Address;

/// A connection that has been idle for less time may be about to send a request.
const SETTLED: Duration = Duration::from_millis(250);

/// Between two searches for connections that give way, since each looks at all.
const SEARCH: Duration = Duration::from_millis(10);

/// All connections that are not sessions, and how many there may be.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    most_per_address: usize,
    held: Mutex<Held>,
    freed: Notify,
    long_heads: LongHeads,
}

#[derive(Debug, Default)]
struct Held {
    connections: HashMap<u64, Arc<Activity>>,
    /// Of addresses that have any.
    of: HashMap<Option<Address>, usize>,
    next: u64,
    searched: Option<Instant>,
    is_draining: bool,
}

/// A connection's place, which is free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    activity: Arc<Activity>,
    places: Arc<Places>,
}

impl Places {
    pub(super) fn new(config: &ServeConfig) -> Arc<Self> {
        Arc::new(Self {
            most: config.connections.max(1),
            most_per_address: config.connections_per_address.max(1),
            held: Mutex::default(),
            freed: Notify::new(),
            long_heads: LongHeads::default(),
        })
    }

    /// Whether there is a place for one more.
    pub(super) fn has_room(&self) -> bool {
        self.held().connections.len() < self.most
    }

    /// How many places an address holds.
    pub(super) fn held_by(&self, address: Option<Address>) -> usize {
        self.held().of.get(&address).copied().unwrap_or(0)
    }

    /// Whether an address that holds so many places may have one more.
    pub(super) fn may_have_more(&self, address: Option<Address>, held: usize) -> bool {
        address.is_none() || held < self.most_per_address
    }

    /// Takes a place, whether or not there is room.
    pub(super) fn take(self: &Arc<Self>, address: Option<Address>) -> Place {
        let mut held = self.held();
        let order = if held.is_draining { Order::Drain } else { Order::Stay };
        let activity = Arc::new(Activity::new(address, order, self.long_heads.clone()));
        let number = held.next;
        held.next += 1;
        held.connections.insert(number, activity.clone());
        *held.of.entry(address).or_default() += 1;
        Place { number, activity, places: self.clone() }
    }

    /// Ready when a place has become free.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Asks connections to give way to newcomers from these addresses.
    pub(super) fn make_room(&self, newcomers: &[Option<Address>]) {
        self.search(|holders, leaving, settled| {
            // Those who are on their way out make room for the first.
            let newcomers = newcomers.get(leaving..).unwrap_or_default();
            share::choose(holders, newcomers, settled)
        });
    }

    /// Asks some of the idle connections to go, whose file descriptors are needed.
    pub(super) fn free_descriptors(&self) {
        self.search(|holders, _, settled| {
            let mut idle = share::idle(holders, settled);
            idle.truncate((idle.len() / 32).max(1));
            idle
        });
    }

    /// Answers the requests under way and no further ones.
    pub(super) fn drain(&self) {
        let mut held = self.held();
        held.is_draining = true;
        held.connections.values().for_each(|activity| activity.tell(Order::Drain));
    }

    /// Ends what is left.
    pub(super) fn cut(&self) {
        self.held().connections.values().for_each(|activity| activity.tell(Order::Cut));
    }

    fn search(&self, choose: impl FnOnce(&[Holder], usize, Instant) -> Vec<usize>) {
        let now = Instant::now();
        let mut held = self.held();
        if held.searched.is_some_and(|searched| now - searched < SEARCH) {
            return;
        }
        held.searched = Some(now);
        let (stay, leave): (Vec<_>, Vec<_>) =
            held.connections.values().partition(|activity| activity.order() == Order::Stay);
        let holders: Vec<_> = stay
            .iter()
            .map(|activity| {
                let (waits, since) = activity.waits();
                Holder { address: activity.address(), waits, since }
            })
            .collect();
        // In the first moments of a process there may be no earlier one.
        let settled = now.checked_sub(SETTLED).unwrap_or(now);
        for index in choose(&holders, leave.len(), settled) {
            let is_idle = matches!(holders[index].waits, Waits::Idle { .. });
            stay[index].tell(if is_idle { Order::Leave } else { Order::Cut });
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing in here panics half way through a change.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held();
        held.connections.remove(&self.number);
        if let Entry::Occupied(mut entry) = held.of.entry(self.activity.address()) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
        drop(held);
        self.places.freed.notify_one();
    }
}

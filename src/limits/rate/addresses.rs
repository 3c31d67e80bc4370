use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Rate, RateLimiter};
use crate::limits::address::{Address, Network};
use crate::limits::eviction::evict;

/// A rate for each address, and for the networks around it.
///
/// The table holds one moment for each network: when its debt is paid off. A network whose moment has passed is like one that
/// never came, so it is removed.
#[derive(Debug)]
pub(crate) struct AddressRates {
    limiter: RateLimiter,
    debts: Mutex<Debts>,
}

#[derive(Debug)]
struct Debts {
    paid_off: HashMap<Network, Instant>,
    /// The table is swept when it has this many entries. The number follows that of the entries that stay, so that each new
    /// network pays the same for sweeping.
    sweep_at: usize,
}

/// The most entries: about 4 MiB.
const MAX: usize = 1 << 16;
const MIN: usize = 1 << 10;

impl AddressRates {
    pub(crate) fn new(rate: Rate) -> Self {
        let debts = Debts { paid_off: HashMap::new(), sweep_at: MIN };
        Self { limiter: RateLimiter::in_nanos(rate), debts: Mutex::new(debts) }
    }

    /// Whether one more is within the rate. Only then it counts.
    pub(crate) fn allow(&self, address: Address) -> bool {
        let now = Instant::now();
        // No panic in here leaves a change half done.
        let mut debts = self.debts.lock().unwrap_or_else(PoisonError::into_inner);
        let charged = |debts: &Debts, (network, addresses): (Network, usize)| {
            let limiter = self.limiter.times(addresses as u64);
            Some((network, limiter.allow(debts.of(network, now))?))
        };
        if address.networks().any(|network| charged(&debts, network).is_none()) {
            return false;
        }
        if debts.paid_off.len() >= debts.sweep_at {
            debts.sweep(now);
        }
        for network in address.networks() {
            if let Some((network, debt)) = charged(&debts, network) {
                debts.paid_off.insert(network, now + Duration::from_nanos(debt));
            }
        }
        true
    }
}

impl Debts {
    /// In nanoseconds.
    fn of(&self, network: Network, now: Instant) -> u64 {
        let debt = self.paid_off.get(&network).map(|moment| moment.saturating_duration_since(now));
        debt.map_or(0, |debt| debt.as_nanos() as u64)
    }

    fn sweep(&mut self, now: Instant) {
        self.paid_off.retain(|_, moment| *moment > now);
        // Leaves at least a quarter free, or each of the next new networks would sweep again.
        if self.paid_off.len() > MAX / 4 * 3 {
            tracing::warn!(
                networks = self.paid_off.len(),
                "too many addresses to remember, forgets some of the most crowded networks"
            );
            let entries = mem::take(&mut self.paid_off).into_iter().collect();
            self.paid_off = evict(entries, MAX / 2).into_iter().collect();
        }
        self.paid_off.shrink_to(MIN);
        self.sweep_at = (self.paid_off.len() * 2).clamp(MIN, MAX);
    }
}

#[cfg(test)]
mod tests;

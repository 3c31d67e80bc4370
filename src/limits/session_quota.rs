use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use super::address::{Address, Network};
use crate::rejection::Rejection;

/// The number of sessions, in all and by address, and the limits on it.
#[derive(Debug)]
pub(super) struct SessionQuota {
    limit: usize,
    limit_per_address: Option<usize>,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    total: usize,
    /// One entry for each network of each address that has sessions. Empty if addresses have no limit.
    by_network: HashMap<Network, usize>,
}

impl SessionQuota {
    pub(super) fn new(limit: usize, limit_per_address: Option<usize>) -> Self {
        Self { limit, limit_per_address, used: Mutex::default() }
    }

    /// Acquires a permit. The caller returns it by [`SessionQuota::release`] with the same address.
    pub(super) fn acquire(&self, address: Option<Address>) -> Result<(), Rejection> {
        let address = self.counted(address);
        self.with(|used| {
            self.check(used, address)?;
            used.total += 1;
            for (network, _) in networks(address) {
                *used.by_network.entry(network).or_default() += 1;
            }
            Ok(())
        })
    }

    pub(super) fn release(&self, address: Option<Address>) {
        self.with(|used| {
            used.total -= 1;
            for (network, _) in networks(self.counted(address)) {
                if let Entry::Occupied(mut entry) = used.by_network.entry(network) {
                    *entry.get_mut() -= 1;
                    if *entry.get() == 0 {
                        entry.remove();
                    }
                }
            }
            // Returns memory after a peak.
            if used.by_network.capacity() > 64 && used.by_network.len() < used.by_network.capacity() / 4 {
                used.by_network.shrink_to(used.by_network.len() * 2);
            }
        });
    }

    fn check(&self, used: &Used, address: Option<Address>) -> Result<(), Rejection> {
        if used.total >= self.limit {
            return Err(Rejection::Unavailable);
        }
        let is_full = |(network, addresses)| {
            let count = used.by_network.get(&network).copied().unwrap_or(0);
            self.limit_per_address.is_some_and(|limit| count >= limit.saturating_mul(addresses))
        };
        if networks(address).any(is_full) { Err(Rejection::Throttled) } else { Ok(()) }
    }

    /// The address, if addresses have a limit.
    fn counted(&self, address: Option<Address>) -> Option<Address> {
        address.filter(|_| self.limit_per_address.is_some())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Used) -> T) -> T {
        // No panic in here leaves a change half done.
        work(&mut self.used.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The networks of an address, if there is one, and how many addresses each counts as.
fn networks(address: Option<Address>) -> impl Iterator<Item = (Network, usize)> {
    address.into_iter().flat_map(Address::networks)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn permits_are_acquired_and_released() {
        let address = |last: u8| Some(Address::from(SocketAddr::from(([192, 0, 2, last], 1))));
        let quota = SessionQuota::new(3, Some(2));
        assert_eq!(quota.acquire(address(1)), Ok(()));
        assert_eq!(quota.acquire(address(1)), Ok(()));
        assert_eq!(quota.acquire(address(1)), Err(Rejection::Throttled));
        assert_eq!(quota.acquire(address(2)), Ok(()));
        assert_eq!(quota.acquire(address(2)), Err(Rejection::Unavailable));
        assert_eq!(quota.acquire(None), Err(Rejection::Unavailable));
        quota.release(address(1));
        assert_eq!(quota.acquire(None), Ok(()), "a missing address has no limit");
        quota.release(None);
        quota.release(address(1));
        quota.release(address(2));
        let used = quota.used.lock().unwrap();
        assert_eq!((used.total, used.by_network.len()), (0, 0));
    }

    #[test]
    fn larger_networks_have_quotas_too() {
        let address = |customer: u16, network: u16| {
            Some(Address::from(SocketAddr::from(([0x2001, 0xdb8, customer, network, 0, 0, 0, 1], 1))))
        };
        let quota = SessionQuota::new(10_000, Some(2));
        let acquire = |customer, networks: std::ops::RangeInclusive<u16>| {
            let attempts = networks.map(|network| address(customer, network));
            attempts
                .flat_map(|address| [address; 3])
                .filter(|address| quota.acquire(*address).is_ok())
                .count()
        };
        assert_eq!(acquire(1, 0..=0), 2);
        assert_eq!(acquire(1, 1..=0xff), (16 - 1) * 2, "a /56 counts as 16 addresses");
        assert_eq!(acquire(1, 0x100..=0xffff), (256 - 16) * 2, "a /48 counts as 256");
        assert_eq!(acquire(2, 0..=0), 2, "another customer has its own quota");
        assert_eq!(acquire(1, 0x4000..=0x4000), 0);
        quota.release(address(1, 0));
        assert_eq!(acquire(1, 0x4000..=0x4000), 1, "the permit that was released");
        assert_eq!(acquire(1, 0..=0), 0);
    }

    #[test]
    fn addresses_are_kept_only_where_they_are_limited() {
        let quota = SessionQuota::new(1_000, None);
        for port in 0..1_000 {
            assert_eq!(quota.acquire(Some(SocketAddr::from(([192, 0, 2, 1], port)).into())), Ok(()));
        }
        assert!(quota.used.lock().unwrap().by_network.is_empty());
    }
}

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use super::address::{Address, Network};
use crate::rejection::Rejection;

/// How many sessions there are, in all and of each address, and how many there may be.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    most_per_address: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Of networks that have any, and only where that is limited: an entry for each network of a session's address.
    of: HashMap<Network, usize>,
}

impl Places {
    pub(super) fn new(most: usize, most_per_address: usize) -> Self {
        Self { most, most_per_address, taken: Mutex::default() }
    }

    /// Takes a place. It must be given back by [`Places::leave`] with the same address.
    pub(super) fn take(&self, address: Option<Address>) -> Result<(), Rejection> {
        let address = self.counted(address);
        self.with(|taken| {
            self.decide(taken, address)?;
            taken.all += 1;
            for (network, _) in networks(address) {
                *taken.of.entry(network).or_default() += 1;
            }
            Ok(())
        })
    }

    pub(super) fn leave(&self, address: Option<Address>) {
        self.with(|taken| {
            taken.all -= 1;
            for (network, _) in networks(self.counted(address)) {
                if let Entry::Occupied(mut entry) = taken.of.entry(network) {
                    *entry.get_mut() -= 1;
                    if *entry.get() == 0 {
                        entry.remove();
                    }
                }
            }
            // Gives memory back after a rush.
            if taken.of.capacity() > 64 && taken.of.len() < taken.of.capacity() / 4 {
                taken.of.shrink_to(taken.of.len() * 2);
            }
        });
    }

    fn decide(&self, taken: &Taken, address: Option<Address>) -> Result<(), Rejection> {
        if taken.all >= self.most {
            return Err(Rejection::Unavailable);
        }
        let is_full = |(network, addresses)| {
            let has = taken.of.get(&network).copied().unwrap_or(0);
            has >= self.most_per_address.saturating_mul(addresses)
        };
        if networks(address).any(is_full) { Err(Rejection::Throttled) } else { Ok(()) }
    }

    /// The address, where it matters.
    fn counted(&self, address: Option<Address>) -> Option<Address> {
        address.filter(|_| self.most_per_address < usize::MAX)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Taken) -> T) -> T {
        // Nothing in here panics half way through a change.
        work(&mut self.taken.lock().unwrap_or_else(PoisonError::into_inner))
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
    fn places_are_taken_and_given_back() {
        let address = |last: u8| Some(Address::from(SocketAddr::from(([192, 0, 2, last], 1))));
        let places = Places::new(3, 2);
        assert_eq!(places.take(address(1)), Ok(()));
        assert_eq!(places.take(address(1)), Ok(()));
        assert_eq!(places.take(address(1)), Err(Rejection::Throttled));
        assert_eq!(places.take(address(2)), Ok(()));
        assert_eq!(places.take(address(2)), Err(Rejection::Unavailable));
        assert_eq!(places.take(None), Err(Rejection::Unavailable));
        places.leave(address(1));
        assert_eq!(places.take(None), Ok(()), "no address has no limit of its own");
        places.leave(None);
        places.leave(address(1));
        places.leave(address(2));
        let taken = places.taken.lock().unwrap();
        assert_eq!((taken.all, taken.of.len()), (0, 0));
    }

    #[test]
    fn larger_networks_have_places_too() {
        let address = |customer: u16, network: u16| {
            Some(Address::from(SocketAddr::from(([0x2001, 0xdb8, customer, network, 0, 0, 0, 1], 1))))
        };
        let places = Places::new(10_000, 2);
        let take = |customer, networks: std::ops::RangeInclusive<u16>| {
            let attempts = networks.map(|network| address(customer, network));
            attempts.flat_map(|address| [address; 3]).filter(|address| places.take(*address).is_ok()).count()
        };
        assert_eq!(take(1, 0..=0), 2);
        assert_eq!(take(1, 1..=0xff), (16 - 1) * 2, "a /56 counts as 16 addresses");
        assert_eq!(take(1, 0x100..=0xffff), (256 - 16) * 2, "a /48 counts as 256");
        assert_eq!(take(2, 0..=0), 2, "others have their own");
        assert_eq!(take(1, 0x4000..=0x4000), 0);
        places.leave(address(1, 0));
        assert_eq!(take(1, 0x4000..=0x4000), 1, "the place that was given back");
        assert_eq!(take(1, 0..=0), 0);
    }

    #[test]
    fn addresses_are_kept_only_where_they_are_limited() {
        let places = Places::new(1_000, usize::MAX);
        for port in 0..1_000 {
            assert_eq!(places.take(Some(SocketAddr::from(([192, 0, 2, 1], port)).into())), Ok(()));
        }
        assert!(places.taken.lock().unwrap().of.is_empty());
    }
}

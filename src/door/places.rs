use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use super::address::Address;
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
    /// Of addresses that have any, and only where that is limited: never more entries than sessions.
    of: HashMap<Address, usize>,
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
            if let Some(address) = address {
                *taken.of.entry(address).or_default() += 1;
            }
            Ok(())
        })
    }

    pub(super) fn leave(&self, address: Option<Address>) {
        self.with(|taken| {
            taken.all -= 1;
            if let Some(address) = self.counted(address)
                && let Entry::Occupied(mut entry) = taken.of.entry(address)
            {
                *entry.get_mut() -= 1;
                if *entry.get() == 0 {
                    entry.remove();
                }
                // Gives memory back after a rush.
                if taken.of.capacity() > 64 && taken.of.len() < taken.of.capacity() / 4 {
                    taken.of.shrink_to(taken.of.len() * 2);
                }
            }
        });
    }

    fn decide(&self, taken: &Taken, address: Option<Address>) -> Result<(), Rejection> {
        if taken.all >= self.most {
            return Err(Rejection::Unavailable);
        }
        let has = address.and_then(|address| taken.of.get(&address)).copied().unwrap_or(0);
        if has >= self.most_per_address { Err(Rejection::Throttled) } else { Ok(()) }
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
    fn addresses_are_kept_only_where_they_are_limited() {
        let places = Places::new(1_000, usize::MAX);
        for port in 0..1_000 {
            assert_eq!(places.take(Some(SocketAddr::from(([192, 0, 2, 1], port)).into())), Ok(()));
        }
        assert!(places.taken.lock().unwrap().of.is_empty());
    }
}

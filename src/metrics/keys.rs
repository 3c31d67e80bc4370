use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::key::Key;

/// How many sessions each key has. A store knows as well, but no store tells at the moment when a key comes or goes, and
/// what is asked afterwards may be answered in another order.
///
/// Of a key only the hash is kept, which is a third of the memory. Two of a billion keys that share one are counted as one
/// as long as both are there, and no longer.
#[derive(Default)]
pub(super) struct Keys {
    sessions: Mutex<HashTable<(u64, u32)>>,
    hasher: RandomState,
}

impl Keys {
    /// Counts a session. Whether it is the first of its key.
    pub(super) fn enter(&self, key: &Key) -> bool {
        let hash = self.hash(key);
        match self.lock().entry(hash, |&(of, _)| of == hash, |&(of, _)| of) {
            Entry::Vacant(place) => {
                place.insert((hash, 1));
                true
            }
            Entry::Occupied(mut place) => {
                place.get_mut().1 += 1;
                false
            }
        }
    }

    /// Counts one less. Whether it was the last of its key.
    pub(super) fn leave(&self, key: &Key) -> bool {
        let hash = self.hash(key);
        let mut table = self.lock();
        let Ok(mut place) = table.find_entry(hash, |&(of, _)| of == hash) else { return false };
        let (_, sessions) = place.get_mut();
        *sessions -= 1;
        if *sessions > 0 {
            return false;
        }
        place.remove();
        // Gives memory back after a rush.
        if table.capacity() > 64 && table.len() < table.capacity() / 4 {
            let half = table.len() * 2;
            table.shrink_to(half, |&(of, _)| of);
        }
        true
    }

    fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key.as_str())
    }

    fn lock(&self) -> MutexGuard<'_, HashTable<(u64, u32)>> {
        // Nothing in here panics half way through a change.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_with_its_first_session_and_goes_with_its_last() {
        let keys = Keys::default();
        let [alice, bob] = ["alice", "bob"].map(|key| Key::new(key).unwrap());
        assert!(keys.enter(&alice));
        assert!(!keys.enter(&alice));
        assert!(keys.enter(&bob));
        assert!(!keys.leave(&alice));
        assert!(keys.leave(&alice));
        assert!(keys.leave(&bob));
        assert!(!keys.leave(&bob), "nobody leaves twice");
        assert!(keys.enter(&alice));
    }

    #[test]
    fn a_rush_leaves_no_memory_behind() {
        let keys = Keys::default();
        let many: Vec<_> = (0..10_000).map(|number| Key::new(number.to_string()).unwrap()).collect();
        assert!(many.iter().all(|key| keys.enter(key)));
        assert!(many.iter().all(|key| keys.leave(key)));
        let table = keys.lock();
        assert!(table.is_empty() && table.capacity() <= 64, "{}", table.capacity());
    }
}

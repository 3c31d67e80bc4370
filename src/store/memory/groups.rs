//! The members of each group.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::members::Members;
use super::slots::Chunk;
use crate::group::Group;
use crate::session::Session;

/// Groups are spread over shards with a lock each. A send copies pointers to chunks of members under the lock, and delivers outside
/// of it. A group without members is not in here.
#[derive(Debug)]
pub(super) struct Groups {
    shards: [Mutex<HashTable<Members>>; SHARDS],
    hasher: RandomState,
}

const SHARDS: usize = 32;

impl Groups {
    /// Adds a member. Returns whether it is the first of the group.
    pub(super) fn join(&self, group: &Group, session: &Session) -> bool {
        let hash = self.hash(group);
        let mut shard = self.shard(hash);
        let place =
            shard.entry(hash, |members| members.group() == group, |members| self.hash(members.group()));
        match place {
            Entry::Occupied(mut members) => {
                members.get_mut().insert(session, &self.hasher);
                false
            }
            Entry::Vacant(place) => {
                place.insert(Members::new(group.clone())).into_mut().insert(session, &self.hasher);
                true
            }
        }
    }

    /// Removes a member. Returns whether it was the last of the group.
    pub(super) fn leave(&self, group: &Group, session: &Session) -> bool {
        let hash = self.hash(group);
        let mut shard = self.shard(hash);
        let Ok(mut members) = shard.find_entry(hash, |members| members.group() == group) else {
            return false;
        };
        members.get_mut().remove(session, &self.hasher);
        let last = members.get().len() == 0;
        if last {
            members.remove();
            // Gives memory back after a rush, a quarter full being rush enough to keep it.
            if shard.capacity() > 64 && shard.len() < shard.capacity() / 4 {
                let len = shard.len() * 2;
                shard.shrink_to(len, |members| self.hash(members.group()));
            }
        }
        last
    }

    /// The number of members of a group.
    pub(super) fn count(&self, group: &Group) -> usize {
        let hash = self.hash(group);
        self.shard(hash).find(hash, |members| members.group() == group).map_or(0, Members::len)
    }

    /// The members of a group, to deliver to without the lock.
    pub(super) fn of(&self, group: &Group) -> Vec<Chunk> {
        let hash = self.hash(group);
        let shard = self.shard(hash);
        shard.find(hash, |members| members.group() == group).map(Members::chunks).unwrap_or_default()
    }

    fn hash(&self, group: &Group) -> u64 {
        self.hasher.hash_one(group.as_str())
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, HashTable<Members>> {
        // The table in the shard goes by the bits at both ends. Nothing in here panics half way through a change.
        self.shards[(hash >> 32) as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.lock().unwrap().is_empty())
    }
}

impl Default for Groups {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }
}

#[cfg(test)]
mod tests;

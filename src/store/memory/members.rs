//! The members of one group.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::slots::{Chunk, Slots};
use crate::group::Group;
use crate::session::Session;

/// The members of a group.
#[derive(Debug)]
pub(super) struct Members {
    group: Group,
    slots: Slots,
    /// By session, its slot.
    table: HashTable<usize>,
}

impl Members {
    pub(super) fn new(group: Group) -> Self {
        Self { group, slots: Slots::default(), table: HashTable::new() }
    }

    pub(super) fn group(&self) -> &Group {
        &self.group
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn chunks(&self) -> Vec<Chunk> {
        self.slots.chunks()
    }

    /// No effect if the session is a member.
    pub(super) fn insert(&mut self, session: &Session, hasher: &RandomState) {
        let Self { slots, table, .. } = self;
        let place = table.entry(
            hasher.hash_one(Some(session.address())),
            |slot| slots.has_at(*slot, session),
            |slot| hasher.hash_one(slots.address_at(*slot)),
        );
        if let Entry::Vacant(place) = place {
            place.insert(slots.insert(session));
        }
    }

    pub(super) fn remove(&mut self, session: &Session, hasher: &RandomState) {
        let Self { slots, table, .. } = self;
        let hash = hasher.hash_one(Some(session.address()));
        let found = table.find_entry(hash, |slot| slots.has_at(*slot, session));
        let Ok(slot) = found.map(|entry| entry.remove().0) else { return };
        slots.remove(slot);
        if slots.is_sparse() {
            *table = HashTable::with_capacity(slots.len() * 2);
            slots.take().iter().for_each(|session| self.insert(session, hasher));
        }
    }
}

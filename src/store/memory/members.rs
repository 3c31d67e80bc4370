//! The members of one group.

use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::group::Group;
use crate::session::Session;

/// The members of a group, in no order. One comes or goes in constant time.
#[derive(Debug)]
pub(super) struct Members {
    group: Group,
    /// All full, except for the last, which is not empty.
    chunks: Vec<Chunk>,
    /// By session, its place in the chunks.
    places: HashTable<usize>,
}

/// Some members. A change copies it if somebody else has it, which is sending to it.
pub(super) type Chunk = Arc<Vec<Session>>;

/// A dispatch to 100,000 members copies 782 pointers under the lock. A change meanwhile copies 256 pointers at most.
const CHUNK: usize = 128;

impl Members {
    pub(super) fn new(group: Group) -> Self {
        Self { group, chunks: Vec::new(), places: HashTable::new() }
    }

    pub(super) fn group(&self) -> &Group {
        &self.group
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn chunks(&self) -> Vec<Chunk> {
        self.chunks.clone()
    }

    /// No effect if the session is a member.
    pub(super) fn insert(&mut self, session: &Session, hasher: &RandomState) {
        let Self { chunks, places, .. } = self;
        let len = places.len();
        let address = session.address();
        let place = places.entry(
            hasher.hash_one(address),
            |place| address_at(chunks, *place) == address,
            |place| hasher.hash_one(address_at(chunks, *place)),
        );
        let Entry::Vacant(place) = place else { return };
        place.insert(len);
        match chunks.last_mut() {
            Some(last) if last.len() < CHUNK => Arc::make_mut(last).push(session.clone()),
            _ => chunks.push(Arc::new(vec![session.clone()])),
        }
    }

    /// Puts the last member in the place of the one that leaves.
    pub(super) fn remove(&mut self, session: &Session, hasher: &RandomState) {
        let Self { chunks, places, .. } = self;
        let address = session.address();
        let found =
            places.find_entry(hasher.hash_one(address), |place| address_at(chunks, *place) == address);
        let Ok(place) = found.map(|entry| entry.remove().0) else { return };
        let Some(last) = chunks.last_mut().and_then(|chunk| Arc::make_mut(chunk).pop()) else { return };
        if chunks.last().is_some_and(|chunk| chunk.is_empty()) {
            chunks.pop();
        }
        let end = places.len();
        if place < end {
            if let Some(moved) = places.find_mut(hasher.hash_one(last.address()), |place| *place == end) {
                *moved = place;
            }
            let _leaving = mem::replace(&mut Arc::make_mut(&mut chunks[place / CHUNK])[place % CHUNK], last);
        }
        if places.capacity() > 64 && end < places.capacity() / 4 {
            places.shrink_to(end * 2, |place| hasher.hash_one(address_at(chunks, *place)));
            chunks.shrink_to(end * 2 / CHUNK);
        }
    }
}

fn address_at(chunks: &[Chunk], place: usize) -> usize {
    chunks[place / CHUNK][place % CHUNK].address()
}

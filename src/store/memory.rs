use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::{Counts, Inserted, Removed, SessionStore, StoreError};
use crate::delivery::{Delivery, Order, Recipients, Target};
use crate::key::Key;
use crate::limits::SessionPolicy;
use crate::session::Session;

/// The sessions of this process.
///
/// Keys are spread over shards with a lock each. The sessions of a key are replaced as a whole when one comes
/// or goes, so whoever sends copies a pointer under the lock and does the sending outside of it.
#[derive(Debug)]
pub struct MemoryStore {
    shards: [Mutex<Shard>; SHARDS],
    /// Random, so that nobody can choose keys that all fall into one shard.
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Shard {
    /// By key, which stands in the sessions and nowhere else.
    keys: HashTable<Sessions>,
    sessions: usize,
}

/// The sessions of a key, in the order in which they came, one at least. Most keys have one, and a slice for it
/// would be one more place in memory to go to.
#[derive(Debug, Clone)]
enum Sessions {
    One(Session),
    Many(Arc<[Session]>),
}

const SHARDS: usize = 32;

/// Sessions that are delivered to before other tasks get a turn: well under 2 ms.
const SESSIONS_PER_TURN: usize = 4096;

impl MemoryStore {
    /// A store without sessions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        // The table in the shard goes by the bits at both ends.
        lock(&self.shards[(hash >> 32) as usize % SHARDS])
    }

    /// The sessions of a key, none if it has none.
    fn of(&self, key: &Key) -> Option<Sessions> {
        let hash = self.hash(key.as_str());
        self.shard(hash).keys.find(hash, |sessions| sessions.key() == key.as_str()).cloned()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Inserted, StoreError> {
        let key = session.key().as_str();
        let hash = self.hash(key);
        let mut shard = self.shard(hash);
        let Shard { keys, sessions } = &mut *shard;
        match keys.entry(hash, |present| present.key() == key, |present| self.hash(present.key())) {
            Entry::Vacant(place) => {
                place.insert(Sessions::One(session));
                *sessions += 1;
                Ok(Inserted { replaced: Vec::new(), first: true })
            }
            Entry::Occupied(mut place) => {
                let present = place.get().as_slice();
                let replaced = policy.admit(present.to_vec())?;
                let kept = present.iter().filter(|other| !replaced.contains(other)).cloned();
                *place.get_mut() = Sessions::of(kept.collect(), session);
                *sessions = *sessions + 1 - replaced.len();
                Ok(Inserted { replaced, first: false })
            }
        }
    }

    async fn remove(&self, session: &Session) -> Removed {
        let key = session.key().as_str();
        let hash = self.hash(key);
        let mut shard = self.shard(hash);
        let Ok(mut place) = shard.keys.find_entry(hash, |present| present.key() == key) else {
            return Removed::default();
        };
        let present = place.get().as_slice();
        let mut kept: Vec<_> = present.iter().filter(|other| *other != session).cloned().collect();
        let gone = present.len() - kept.len();
        let last = kept.is_empty();
        match kept.pop() {
            Some(newest) => *place.get_mut() = Sessions::of(kept, newest),
            None => drop(place.remove()),
        }
        shard.sessions -= gone;
        shard.shrink(|present| self.hash(present.key()));
        Removed { last }
    }

    async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
        let mut delivery = Delivery::default();
        let mut left = SESSIONS_PER_TURN;
        match &to.target {
            Target::Key(key) | Target::Session(key, _) => match self.of(key) {
                None => {}
                Some(sessions) if sessions.as_slice().len() <= left => {
                    deliver(sessions.as_slice(), to, order, &mut delivery);
                }
                Some(sessions) => {
                    in_turns(&[sessions], &mut left, |part| deliver(part, to, order, &mut delivery)).await;
                }
            },
            Target::Keys(_) | Target::Group(_) => {}
            Target::Everyone => {
                for shard in &self.shards {
                    let (everyone, sessions) = lock(shard).copy();
                    if sessions <= left {
                        for sessions in &everyone {
                            deliver(sessions.as_slice(), to, order, &mut delivery);
                        }
                        left -= sessions;
                    } else {
                        in_turns(&everyone, &mut left, |part| deliver(part, to, order, &mut delivery)).await;
                    }
                }
            }
        }
        delivery
    }

    async fn sessions(&self, of: &Recipients) -> Vec<Session> {
        let chosen = |sessions: &Sessions| -> Vec<Session> {
            sessions.as_slice().iter().filter(|session| of.includes(session)).cloned().collect()
        };
        match &of.target {
            // Each opening asks this, and a key can have hundreds of sessions.
            Target::Key(key) if of.except.is_none() => {
                self.of(key).map(|found| found.as_slice().to_vec()).unwrap_or_default()
            }
            Target::Key(key) | Target::Session(key, _) => {
                self.of(key).map(|found| chosen(&found)).unwrap_or_default()
            }
            Target::Keys(_) | Target::Group(_) => Vec::new(),
            Target::Everyone => self
                .shards
                .iter()
                .flat_map(|shard| lock(shard).keys.iter().flat_map(chosen).collect::<Vec<_>>())
                .collect(),
        }
    }

    async fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for shard in &self.shards {
            let shard = lock(shard);
            counts.sessions += shard.sessions;
            counts.keys += shard.keys.len();
        }
        counts
    }
}

#[inline(always)]
fn deliver(sessions: &[Session], to: &Recipients, order: &Order, delivery: &mut Delivery) {
    for session in sessions.iter().filter(|session| to.includes(session)) {
        delivery.count(session.apply(order));
    }
}

/// Gives other tasks a turn whenever none are left of this one.
async fn in_turns(all: &[Sessions], left: &mut usize, mut deliver: impl FnMut(&[Session])) {
    for part in all.iter().flat_map(|sessions| sessions.as_slice().chunks(SESSIONS_PER_TURN)) {
        if part.len() > *left {
            tokio::task::yield_now().await;
            *left = SESSIONS_PER_TURN;
        }
        deliver(part);
        *left -= part.len();
    }
}

impl Sessions {
    fn of(mut others: Vec<Session>, last: Session) -> Self {
        if others.is_empty() {
            return Self::One(last);
        }
        others.push(last);
        Self::Many(others.into())
    }

    fn as_slice(&self) -> &[Session] {
        match self {
            Self::One(session) => std::slice::from_ref(session),
            Self::Many(sessions) => sessions,
        }
    }

    /// Whose they are. There is always one of them to tell.
    fn key(&self) -> &str {
        self.as_slice().first().map_or("", |session| session.key().as_str())
    }
}

impl Shard {
    /// All that are in it, to deliver to without its lock, and how many sessions these are.
    fn copy(&self) -> (Vec<Sessions>, usize) {
        (self.keys.iter().cloned().collect(), self.sessions)
    }

    /// Gives memory back after a rush, a quarter full being rush enough to keep it.
    fn shrink(&mut self, hash: impl Fn(&Sessions) -> u64) {
        if self.keys.capacity() > 64 && self.keys.len() < self.keys.capacity() / 4 {
            self.keys.shrink_to(self.keys.len() * 2, hash);
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Nothing in here panics half way through a change.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod turns;

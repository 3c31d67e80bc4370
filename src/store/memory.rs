use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Counts, Delivery, Order, Recipients, SessionStore, StoreError, To};
use crate::config::SessionPolicy;
use crate::key::Key;
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
    keys: HashMap<Key, Sessions>,
    sessions: usize,
}

/// The sessions of a key, in the order in which they came. Most keys have one, and a slice for it would be
/// one more place in memory to go to.
#[derive(Debug, Clone)]
enum Sessions {
    One(Session),
    Many(Arc<[Session]>),
}

const SHARDS: usize = 32;

/// After so many sessions a broadcast gives other tasks a turn: well under 2 ms.
const SESSIONS_PER_TURN: usize = 4096;

impl MemoryStore {
    /// A store without sessions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(key) as usize;
        lock(&self.shards[hash % SHARDS])
    }

    /// The sessions of a key, none if it has none.
    fn of(&self, key: &Key) -> Option<Sessions> {
        self.shard(key).keys.get(key).cloned()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Vec<Session>, StoreError> {
        let mut shard = self.shard(session.key());
        let present = shard.keys.get(session.key()).cloned();
        let present = present.as_ref().map(Sessions::as_slice).unwrap_or_default();
        let replaced = policy.admit(present.to_vec())?;
        let kept = present.iter().filter(|other| !replaced.contains(other)).cloned();
        let key = session.key().clone();
        shard.sessions = shard.sessions + 1 - replaced.len();
        let sessions = Sessions::new(kept.chain([session]).collect());
        shard.keys.extend(sessions.map(|sessions| (key, sessions)));
        Ok(replaced)
    }

    async fn remove(&self, session: &Session) {
        let mut shard = self.shard(session.key());
        let Entry::Occupied(mut entry) = shard.keys.entry(session.key().clone()) else { return };
        let present = entry.get().as_slice();
        let kept: Vec<_> = present.iter().filter(|other| *other != session).cloned().collect();
        let gone = present.len() - kept.len();
        match Sessions::new(kept) {
            Some(kept) => drop(entry.insert(kept)),
            None => drop(entry.remove()),
        }
        shard.sessions -= gone;
        shard.shrink();
    }

    async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
        let deliver = |sessions: &[Session], delivery: &mut Delivery| {
            for session in sessions.iter().filter(|session| to.include(session)) {
                delivery.count(session.apply(order));
            }
        };
        let mut delivery = Delivery::default();
        match &to.to {
            To::Key(key) | To::Session(key, _) => {
                if let Some(sessions) = self.of(key) {
                    deliver(sessions.as_slice(), &mut delivery);
                }
            }
            To::Everyone => {
                let mut since_pause = 0;
                for shard in &self.shards {
                    if since_pause > SESSIONS_PER_TURN {
                        tokio::task::yield_now().await;
                        since_pause = 0;
                    }
                    let everyone: Vec<_> = lock(shard).keys.values().cloned().collect();
                    everyone.iter().for_each(|sessions| deliver(sessions.as_slice(), &mut delivery));
                    since_pause += everyone.len();
                }
            }
        }
        delivery
    }

    async fn sessions(&self, key: &Key) -> Vec<Session> {
        self.of(key).map(|sessions| sessions.as_slice().to_vec()).unwrap_or_default()
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

impl Sessions {
    /// `None` of none.
    fn new(mut sessions: Vec<Session>) -> Option<Self> {
        if sessions.len() > 1 {
            return Some(Self::Many(sessions.into()));
        }
        sessions.pop().map(Self::One)
    }

    fn as_slice(&self) -> &[Session] {
        match self {
            Self::One(session) => std::slice::from_ref(session),
            Self::Many(sessions) => sessions,
        }
    }
}

impl Shard {
    /// Gives memory back after a rush, a quarter full being rush enough to keep it.
    fn shrink(&mut self) {
        if self.keys.capacity() > 64 && self.keys.len() < self.keys.capacity() / 4 {
            self.keys.shrink_to(self.keys.len() * 2);
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Nothing in here panics half way through a change.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

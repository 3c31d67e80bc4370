mod everyone;
mod groups;
mod members;
mod slots;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use self::everyone::Everyone;
use self::groups::Groups;
use self::slots::Chunk;
use super::{Counts, Inserted, JoinError, Joined, Left, Removed, SessionStore, StoreError};
use crate::delivery::{Delivery, Order, Recipients, SessionId, Target};
use crate::group::Group;
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
    /// Changed under the lock of a session's shard.
    everyone: Mutex<Everyone>,
    groups: Groups,
}

/// By key, which stands in the sessions and nowhere else.
type Shard = HashTable<Sessions>;

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
        let mut hasher = self.hasher.build_hasher();
        // Without the byte that ends a string where others may follow.
        hasher.write(key.as_bytes());
        hasher.finish()
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        // The table in the shard goes by the bits at both ends.
        lock(&self.shards[(hash >> 32) as usize % SHARDS])
    }

    fn put_in(&self, session: Session, policy: SessionPolicy) -> Result<Inserted, StoreError> {
        let key = session.key().as_str();
        let hash = self.hash(key);
        let mut shard = self.shard(hash);
        match shard.entry(hash, |present| present.key() == key, |present| self.hash(present.key())) {
            Entry::Vacant(place) => {
                self.everyone().insert(&session);
                place.insert(Sessions::One(session));
                Ok(Inserted { replaced: Vec::new(), first: true })
            }
            Entry::Occupied(mut place) => {
                let present = place.get().as_slice();
                let replaced = policy.replaced(present)?;
                let mut kept = Vec::with_capacity(present.len() + 1);
                kept.extend(present.iter().filter(|other| !replaced.contains(other)).cloned());
                let mut everyone = self.everyone();
                replaced.iter().for_each(|session| everyone.remove(session));
                everyone.insert(&session);
                drop(everyone);
                *place.get_mut() = Sessions::of(kept, session);
                Ok(Inserted { replaced, first: false })
            }
        }
    }

    fn take_out(&self, session: &Session) -> Removed {
        let key = session.key().as_str();
        let hash = self.hash(key);
        let mut shard = self.shard(hash);
        let Ok(mut place) = shard.find_entry(hash, |present| present.key() == key) else {
            return Removed::default();
        };
        let present = place.get().as_slice();
        let mut kept = Vec::with_capacity(present.len());
        kept.extend(present.iter().filter(|other| *other != session).cloned());
        // As often as it was inserted.
        (kept.len()..present.len()).for_each(|_| self.everyone().remove(session));
        let last = kept.is_empty();
        match kept.pop() {
            Some(newest) => *place.get_mut() = Sessions::of(kept, newest),
            None => drop(place.remove()),
        }
        // Gives memory back after a rush, a quarter full being rush enough to keep it.
        if shard.capacity() > 64 && shard.len() < shard.capacity() / 4 {
            let len = shard.len() * 2;
            shard.shrink_to(len, |present| self.hash(present.key()));
        }
        Removed { last }
    }

    fn has(&self, session: &Session) -> bool {
        let key = session.key().as_str();
        let hash = self.hash(key);
        let shard = self.shard(hash);
        let sessions = shard.find(hash, |sessions| sessions.key() == key);
        sessions.is_some_and(|sessions| sessions.as_slice().contains(session))
    }

    fn everyone(&self) -> MutexGuard<'_, Everyone> {
        lock(&self.everyone)
    }

    /// Ends all memberships of a session that has left the store.
    fn leave_all(&self, session: &Session) {
        for group in session.end_groups() {
            self.groups.leave(&group, session);
        }
    }

    async fn dispatch_to_keys(&self, keys: &[Key], to: &Recipients, order: &Order) -> Delivery {
        let (mut delivery, mut left) = (Delivery::default(), SESSIONS_PER_TURN);
        for key in &*Target::distinct(keys) {
            match self.of(key) {
                Some(sessions) => {
                    let deliver = |part: &[Session]| deliver(part, to, order, &mut delivery);
                    in_turns(sessions.as_slice(), &mut left, deliver).await;
                }
                // A key without sessions takes its time too.
                None => turn_for(1, &mut left).await,
            }
        }
        delivery
    }

    /// The sessions of a key, none if it has none.
    fn of(&self, key: &Key) -> Option<Sessions> {
        let hash = self.hash(key.as_str());
        self.shard(hash).find(hash, |sessions| sessions.key() == key.as_str()).cloned()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            everyone: Mutex::default(),
            groups: Groups::default(),
        }
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Inserted, StoreError> {
        let inserted = self.put_in(session, policy)?;
        inserted.replaced.iter().for_each(|session| self.leave_all(session));
        Ok(inserted)
    }

    async fn remove(&self, session: &Session) -> Removed {
        let removed = self.take_out(session);
        // Whoever joins now finds the session gone, and whoever has joined is found here.
        self.leave_all(session);
        removed
    }

    fn dispatch_now(&self, to: &Recipients, order: &Order) -> Option<Delivery> {
        let (Target::Key(key) | Target::Session(key, _)) = &to.target else { return None };
        let Some(sessions) = self.of(key) else { return Some(Delivery::default()) };
        let mut delivery = Delivery::default();
        match sessions.as_slice() {
            [session] => {
                if is_meant(session, only(to), to.except) {
                    delivery.count(session.apply_alone(order));
                }
            }
            sessions if sessions.len() <= SESSIONS_PER_TURN => deliver(sessions, to, order, &mut delivery),
            _ => return None,
        }
        Some(delivery)
    }

    async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
        match &to.target {
            Target::Key(key) | Target::Session(key, _) => {
                if let Some(delivery) = self.dispatch_now(to, order) {
                    return delivery;
                }
                let (mut delivery, mut left) = (Delivery::default(), SESSIONS_PER_TURN);
                if let Some(sessions) = self.of(key) {
                    let deliver = |part: &[Session]| deliver(part, to, order, &mut delivery);
                    in_turns(sessions.as_slice(), &mut left, deliver).await;
                }
                delivery
            }
            // Boxed, since they would enlarge the future of every other dispatch.
            Target::Keys(keys) => Box::pin(self.dispatch_to_keys(keys, to, order)).await,
            Target::Group(group) => Box::pin(dispatch_to_all(self.groups.of(group), to, order)).await,
            Target::Everyone => {
                let everyone = self.everyone().chunks();
                Box::pin(dispatch_to_all(everyone, to, order)).await
            }
        }
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
            Target::Keys(keys) => {
                let keys = Target::distinct(keys);
                let found = keys.iter().filter_map(|key| self.of(key));
                found.flat_map(|sessions| remaining(sessions.as_slice(), of.except)).collect()
            }
            Target::Group(group) => {
                let chunks = self.groups.of(group);
                chunks.iter().flat_map(|chunk| remaining(chunk.iter().flatten(), of.except)).collect()
            }
            // By key, since the sessions of each stand in their order.
            Target::Everyone => self
                .shards
                .iter()
                .flat_map(|shard| lock(shard).iter().flat_map(chosen).collect::<Vec<_>>())
                .collect(),
        }
    }

    async fn join(&self, session: &Session, group: &Group) -> Result<Joined, JoinError> {
        session.add_group(group, || {
            // If the session is removed from here on, its removal waits for the end of this.
            if self.has(session) { Ok(self.groups.join(group, session)) } else { Err(JoinError::Ended) }
        })
    }

    async fn leave(&self, session: &Session, group: &Group) -> Left {
        session.remove_group(group, || self.groups.leave(group, session))
    }

    async fn members(&self, group: &Group) -> usize {
        self.groups.count(group)
    }

    async fn counts(&self) -> Counts {
        let keys = self.shards.iter().map(|shard| lock(shard).len()).sum();
        Counts { sessions: self.everyone().len(), keys }
    }
}

/// Delivers to sessions that were found by their key, by their group, or as all sessions: they belong to the target, unless that is one
/// session. To ask [`Recipients::includes`] would be to look for each of them again.
#[inline(always)]
fn deliver<'s>(
    sessions: impl IntoIterator<Item = &'s Session>,
    to: &Recipients,
    order: &Order,
    delivery: &mut Delivery,
) {
    let only = only(to);
    for session in sessions {
        if is_meant(session, only, to.except) {
            delivery.count(session.apply(order));
        }
    }
}

/// The one session of the target, if it is one.
fn only(to: &Recipients) -> Option<SessionId> {
    match to.target {
        Target::Session(_, id) => Some(id),
        _ => None,
    }
}

/// Looks at the session's id only where the recipients name one: it is in a cache line that a message does not need.
#[inline(always)]
fn is_meant(session: &Session, only: Option<SessionId>, except: Option<SessionId>) -> bool {
    only.is_none_or(|only| only == session.id()) && except.is_none_or(|except| except != session.id())
}

fn remaining<'s>(sessions: impl IntoIterator<Item = &'s Session>, except: Option<SessionId>) -> Vec<Session> {
    sessions.into_iter().filter(|session| except != Some(session.id())).cloned().collect()
}

async fn dispatch_to_all(chunks: Vec<Chunk>, to: &Recipients, order: &Order) -> Delivery {
    let (mut delivery, mut left) = (Delivery::default(), SESSIONS_PER_TURN);
    for chunk in chunks {
        // Fetches all of them at once.
        let sessions = chunk.iter().flatten().inspect(|session| session.touch()).count();
        turn_for(sessions, &mut left).await;
        deliver(chunk.iter().flatten(), to, order, &mut delivery);
    }
    delivery
}

/// Delivers to all, and gives other tasks a turn whenever none are left of this one.
async fn in_turns(sessions: &[Session], left: &mut usize, mut deliver: impl FnMut(&[Session])) {
    for part in sessions.chunks(SESSIONS_PER_TURN) {
        turn_for(part.len(), left).await;
        deliver(part);
    }
}

async fn turn_for(sessions: usize, left: &mut usize) {
    if sessions > *left {
        tokio::task::yield_now().await;
        *left = SESSIONS_PER_TURN;
    }
    *left -= sessions;
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing in here panics half way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod turns;

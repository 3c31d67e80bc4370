use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hashbrown::HashTable;

use super::clock::now;
use super::trail::Trail;
use super::{Appended, Draft, Limit, Log, LogError, Page, ReadFrom, Retention};
use crate::delivery::Position;
use crate::key::Key;

/// A log in the memory of this process. A restart empties it, and pages that follow get the gap `Reset`.
#[derive(Debug)]
pub struct MemoryLog {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    retention: Retention,
    /// Bytes of all entries in a shard.
    shard_bytes: usize,
    is_shared: bool,
}

#[derive(Debug, Default)]
struct Shard {
    keys: HashTable<Logged>,
    bytes: usize,
    entries: usize,
    /// All entries, the oldest first. Some may already be removed.
    order: VecDeque<Placed>,
    /// The time of the last search for idle keys, in milliseconds since 1970.
    swept: u64,
}

/// The log of a key, with the hash of the key, so that a key is hashed once for each call.
#[derive(Debug)]
struct Logged {
    hash: u64,
    key: Key,
    trail: Trail,
}

/// An entry in the order of all keys.
#[derive(Debug)]
struct Placed {
    hash: u64,
    key: Key,
    seq: u64,
}

const SHARDS: usize = 16;

/// Default limit for the bytes of all entries.
const BYTES: usize = 256 * 1024 * 1024;

/// Shortest time between two searches for idle keys.
const SWEEP: Duration = Duration::from_secs(60 * 60);

impl MemoryLog {
    /// An empty log with the default [`Retention`], and 256 MiB for the entries of all keys.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            retention: Retention::default(),
            shard_bytes: BYTES / SHARDS,
            is_shared: false,
        }
    }

    /// The same log with other limits for each key.
    #[must_use]
    pub fn with_retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// The same log with another limit for the entries of all keys, in bytes of JSON. Default: 256 MiB. Beyond the limit the oldest
    /// entries of all keys are removed. Each sixteenth of the keys has a sixteenth of the limit, so it may be reached earlier.
    #[must_use]
    pub fn with_total_bytes(mut self, bytes: usize) -> Self {
        self.shard_bytes = bytes / SHARDS;
        self
    }

    /// The same log for a [cluster in memory](crate::cluster::MemoryBackplane), whose hubs all get the same `Arc` of it.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use keywire::auth::RawKey;
    /// use keywire::cluster::MemoryBackplane;
    /// use keywire::log::MemoryLog;
    /// use keywire::Hub;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (backplane, log) = (MemoryBackplane::new(), Arc::new(MemoryLog::new().shared_in_process()));
    /// let one = Hub::builder(RawKey::from_path()).log(log.clone()).cluster(backplane.join()).build();
    /// let other = Hub::builder(RawKey::from_path()).log(log).cluster(backplane.join()).build();
    /// # });
    /// ```
    #[must_use]
    pub fn shared_in_process(mut self) -> Self {
        self.is_shared = true;
        self
    }

    fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key)
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        // The table in the shard uses the bits at both ends.
        let shard = &self.shards[(hash >> 32) as usize % SHARDS];
        // A poisoned lock is safe to use: no panic can interrupt a change.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Log for MemoryLog {
    async fn append(&self, key: &Key, draft: &Draft) -> Result<Appended, LogError> {
        let (now, hash) = (now(), self.hash(key));
        let mut shard = self.shard(hash);
        let appended = shard.change(hash, key, |trail| trail.append(draft, now, &self.retention))?;
        if !appended.repeated {
            shard.order.push_back(Placed { hash, key: key.clone(), seq: appended.at.seq() });
            shard.shrink(self.shard_bytes);
            shard.sweep(now, &self.retention);
        }
        Ok(appended)
    }

    async fn read(&self, key: &Key, from: ReadFrom, limit: Limit) -> Result<Page, LogError> {
        let (now, hash) = (now(), self.hash(key));
        let mut shard = self.shard(hash);
        if shard.find(hash, key).is_none() {
            // Reading an unknown key must not allocate memory for it.
            return Ok(Trail::default().read(from, limit, now, &self.retention));
        }
        Ok(shard.change(hash, key, |trail| trail.read(from, limit, now, &self.retention)))
    }

    async fn end(&self, key: &Key) -> Result<Position, LogError> {
        let hash = self.hash(key);
        Ok(self.shard(hash).find(hash, key).map_or(Position::BEGINNING, Trail::end))
    }

    async fn seen(&self, key: &Key, at: Position) -> Result<(), LogError> {
        let hash = self.hash(key);
        if let Some(logged) = self.shard(hash).keys.find_mut(hash, |logged| logged.key == *key) {
            logged.trail.see(at);
        }
        Ok(())
    }

    async fn forget(&self, key: &Key) -> Result<(), LogError> {
        let hash = self.hash(key);
        let mut shard = self.shard(hash);
        if let Ok(found) = shard.keys.find_entry(hash, |logged| logged.key == *key) {
            let (Logged { trail, .. }, _) = found.remove();
            shard.bytes -= trail.bytes();
            shard.entries -= trail.len();
        }
        Ok(())
    }

    fn shared(&self) -> bool {
        self.is_shared
    }
}

impl Shard {
    fn find(&self, hash: u64, key: &Key) -> Option<&Trail> {
        self.keys.find(hash, |logged| logged.key == *key).map(|logged| &logged.trail)
    }

    /// Changes the log of a key, and counts the bytes that this adds and removes.
    fn change<R>(&mut self, hash: u64, key: &Key, change: impl FnOnce(&mut Trail) -> R) -> R {
        let found = self.keys.entry(hash, |logged| logged.key == *key, |logged| logged.hash);
        let mut found = found.or_insert_with(|| Logged { hash, key: key.clone(), trail: Trail::default() });
        let trail = &mut found.get_mut().trail;
        let (bytes, entries) = (trail.bytes(), trail.len());
        let changed = change(trail);
        self.bytes = self.bytes + trail.bytes() - bytes;
        self.entries = self.entries + trail.len() - entries;
        changed
    }

    /// Removes the oldest entries of all keys beyond the limit.
    fn shrink(&mut self, limit: usize) {
        while self.bytes > limit
            && let Some(Placed { hash, key, seq }) = self.order.pop_front()
        {
            if self.find(hash, &key).is_some() {
                self.change(hash, &key, |trail| trail.drop_first(seq));
            }
        }
        // A key that is at its limit removes one entry for each that it adds. Most of these are at the front.
        for _ in 0..2 {
            if self.order.front().is_some_and(|placed| !self.is_there(placed)) {
                self.order.pop_front();
            }
        }
        // The other removed entries stay in the order as long as they are fewer than those that are there.
        if self.order.len() > 2 * self.entries + 64 {
            let mut order = std::mem::take(&mut self.order);
            order.retain(|placed| self.is_there(placed));
            self.order = order;
        }
    }

    fn is_there(&self, Placed { hash, key, seq }: &Placed) -> bool {
        self.find(*hash, key).and_then(Trail::first_seq).is_some_and(|first| first <= *seq)
    }

    /// Removes old entries of keys that get no more pushes.
    fn sweep(&mut self, now: u64, retention: &Retention) {
        if now.abs_diff(self.swept) < SWEEP.as_millis() as u64 {
            return;
        }
        self.swept = now;
        self.keys.retain(|Logged { trail, .. }| {
            trail.trim(now, retention);
            !trail.is_over(now, retention)
        });
        self.bytes = self.keys.iter().map(|logged| logged.trail.bytes()).sum();
        self.entries = self.keys.iter().map(|logged| logged.trail.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::message::Push;

    fn append(log: &MemoryLog, key: &str) -> Appended {
        let draft = Push::message("a").kept().into();
        log.append(&Key::new(key).unwrap(), &draft).now_or_never().unwrap().unwrap()
    }

    #[test]
    fn the_oldest_of_all_keys_go_beyond_the_total() {
        let len = Push::message("a").to_json().len();
        let log = MemoryLog::new().with_total_bytes(SHARDS * 3 * len);
        let last = (0..100).map(|_| append(&log, "alice")).last().unwrap();
        assert_eq!(last.at.seq(), 100);
        let shard = log.shard(log.hash(&Key::new("alice").unwrap()));
        assert_eq!((shard.bytes, shard.entries), (3 * len, 3));
    }

    #[test]
    fn what_one_key_trims_is_not_remembered_for_ever() {
        let log = MemoryLog::new().with_retention(Retention { entries: 2, ..Retention::default() });
        let alice = Key::new("alice").unwrap();
        append(&log, "alice");
        let log = &log;
        for _ in 0..10_000 {
            append(log, "alice");
        }
        assert!(log.shard(log.hash(&alice)).order.len() < 100);
        log.forget(&alice).now_or_never().unwrap().unwrap();
        let shard = log.shard(log.hash(&alice));
        assert_eq!((shard.bytes, shard.entries, shard.keys.len()), (0, 0, 0));
    }

    #[test]
    fn idle_keys_are_removed_in_the_end() {
        let log = MemoryLog::new();
        append(&log, "alice");
        let alice = Key::new("alice").unwrap();
        let mut shard = log.shard(log.hash(&alice));
        let day = 24 * 60 * 60 * 1000;
        shard.sweep(now() + 8 * day, &log.retention);
        assert_eq!((shard.bytes, shard.entries, shard.keys.len()), (0, 0, 1));
        shard.sweep(now() + 31 * day, &log.retention);
        assert_eq!(shard.keys.len(), 0);
    }
}

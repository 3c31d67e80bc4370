//! Openings on their way in: from before the extractor is asked until the session is in the store.
//!
//! An opening is decided about first and enters the store later, and its client can stretch the time between: the 101 waits
//! behind whatever the client does not read. The store does not know the session yet, so what ends every session of a key
//! would miss it. Here it is found.

mod opening;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use self::opening::{Promised, Undecided};
use crate::delivery::{Delivery, Order, Recipients, SessionId, Target};
use crate::key::Key;
use crate::session::Session;
use crate::websocket::CloseCode;

/// The openings of a hub that are on their way in. Each of them holds a session permit, so the limit on sessions bounds them.
#[derive(Debug, Default)]
pub(crate) struct Underway {
    state: Mutex<State>,
    /// See [`Underway::one_by_one`].
    entrances: [tokio::sync::Mutex<()>; ENTRANCES],
    hasher: RandomState,
}

const ENTRANCES: usize = 16;

#[derive(Debug, Default)]
struct State {
    /// Openings whose key is not known yet.
    undecided: BTreeSet<SessionId>,
    /// Sessions whose clients were promised a connection.
    promised: BTreeMap<(Key, SessionId), Session>,
    /// Closes since the first undecided opening began. Its key may turn out to be among theirs.
    closes: VecDeque<Close>,
    /// Openings before this one may have missed a close, since too many came to remember.
    forgotten: Option<SessionId>,
}

/// An order that has been given, and the first opening that it is not meant for.
#[derive(Debug)]
struct Close {
    before: SessionId,
    to: Recipients,
    code: CloseCode,
    reason: Box<str>,
}

/// The most closes that are remembered: half a megabyte, and only while openings are undecided.
const MOST: usize = 4096;

impl Underway {
    /// Applies an order to the promised sessions that it is meant for, before it goes to the store. A message is for
    /// sessions in the store only.
    #[inline(always)]
    pub(crate) fn apply(&self, to: &Recipients, order: &Order) -> Delivery {
        match order {
            Order::Deliver(_) | Order::Keep(_) | Order::CatchUp => Delivery::default(),
            Order::Close(code, reason) => self.close(to, order, *code, reason),
        }
    }

    fn close(&self, to: &Recipients, order: &Order, code: CloseCode, reason: &str) -> Delivery {
        let sessions = {
            let mut state = self.lock();
            state.remember(SessionId::next(), to, code, reason);
            state.promised(to)
        };
        sessions.iter().map(|session| session.apply(order)).collect()
    }

    /// The promised sessions that `of` includes.
    pub(crate) fn promised(&self, of: &Recipients) -> Vec<Session> {
        self.lock().promised(of)
    }

    /// Ends the openings of the same key that began earlier, now that this one is in the store and has replaced what it
    /// found there.
    pub(crate) fn replace(&self, newest: &Session) {
        let to = Recipients::key(newest.key().clone());
        let older = {
            let mut state = self.lock();
            state.remember(newest.id(), &to, CloseCode::REPLACED, REPLACED);
            state.promised(&to)
        };
        for session in older.iter().filter(|session| session.id() < newest.id()) {
            session.close(CloseCode::REPLACED, REPLACED);
        }
    }

    /// Where the newest session replaces the others of its key, they enter the store one by one. Else an older one could be
    /// closed by a newer, after it was last looked at, and push that one out when it enters: none would be left.
    pub(crate) async fn one_by_one(&self, key: &Key) -> tokio::sync::MutexGuard<'_, ()> {
        self.entrances[self.hasher.hash_one(key) as usize % ENTRANCES].lock().await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reason that comes with 4504.
pub(crate) const REPLACED: &str = "replaced by a newer session";

impl State {
    fn promised(&self, to: &Recipients) -> Vec<Session> {
        let meant = |(_, session): (&_, &Session)| to.includes(session).then(|| session.clone());
        let of_key = |key: &Key| (key.clone(), SessionId::MIN)..=(key.clone(), SessionId::MAX);
        match &to.target {
            Target::Key(key) | Target::Session(key, _) => {
                self.promised.range(of_key(key)).filter_map(meant).collect()
            }
            Target::Keys(keys) => {
                let keys = Target::distinct(keys);
                keys.iter().flat_map(|key| self.promised.range(of_key(key)).filter_map(meant)).collect()
            }
            // A session joins groups once it is in the store.
            Target::Group(_) => Vec::new(),
            Target::Everyone => self.promised.iter().filter_map(meant).collect(),
        }
    }

    fn remember(&mut self, before: SessionId, to: &Recipients, code: CloseCode, reason: &str) {
        // Nobody knows the id of a session that is undecided, and it is in no group.
        if self.undecided.is_empty() || matches!(to.target, Target::Session(..) | Target::Group(_)) {
            return;
        }
        if self.closes.len() == MOST {
            self.forgotten = self.closes.pop_front().map(|close| close.before).max(self.forgotten);
        }
        self.closes.push_back(Close { before, to: to.clone(), code, reason: reason.into() });
    }

    fn decide(&mut self, opening: SessionId) {
        self.undecided.remove(&opening);
        match self.undecided.first() {
            Some(first) => {
                while self.closes.front().is_some_and(|close| close.before <= *first) {
                    self.closes.pop_front();
                }
            }
            None => (self.closes, self.forgotten) = (VecDeque::new(), None),
        }
    }
}

#[cfg(test)]
mod tests;

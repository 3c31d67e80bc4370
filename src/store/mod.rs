//! The registry of live sessions, by key and by group.

mod memory;

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;

pub use memory::MemoryStore;

pub use crate::delivery::{Delivery, Message, Order, Outcome, Recipients, Remote, Target};
use crate::group::Group;
use crate::limits::SessionPolicy;
use crate::rejection::Rejection;
use crate::session::Session;
pub use crate::session::{JoinError, Joined, Left};

/// The registry of live sessions, by key.
///
/// [`MemoryStore`] is the default. Write a store to count, to log or to publish to other nodes: as a decorator around
/// it, or from scratch:
///
/// ```
/// use std::sync::Mutex;
///
/// use keywire::limits::SessionPolicy;
/// use keywire::store::{Counts, Inserted, Order, Recipients, Removed, StoreError};
/// use keywire::{Delivery, Session, SessionStore, async_trait};
///
/// /// All sessions in one list.
/// #[derive(Default)]
/// struct ListStore(Mutex<Vec<Session>>);
///
/// #[async_trait]
/// impl SessionStore for ListStore {
///     async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Inserted, StoreError> {
///         let mut list = self.0.lock().unwrap();
///         let present: Vec<_> = list.iter().filter(|other| other.key() == session.key()).cloned().collect();
///         let first = present.is_empty();
///         let replaced = policy.admit(present)?;
///         list.retain(|other| !replaced.contains(other));
///         list.push(session);
///         Ok(Inserted { replaced, first })
///     }
///
///     async fn remove(&self, session: &Session) -> Removed {
///         let mut list = self.0.lock().unwrap();
///         let before = list.len();
///         list.retain(|other| other != session);
///         Removed { last: list.len() < before && list.iter().all(|other| other.key() != session.key()) }
///     }
///
///     async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
///         self.sessions(to).await.iter().map(|session| session.apply(order)).collect()
///     }
///
///     async fn sessions(&self, of: &Recipients) -> Vec<Session> {
///         self.0.lock().unwrap().iter().filter(|session| of.includes(session)).cloned().collect()
///     }
///
///     async fn counts(&self) -> Counts {
///         let list = self.0.lock().unwrap();
///         let keys: std::collections::HashSet<_> = list.iter().map(Session::key).collect();
///         Counts { sessions: list.len(), keys: keys.len() }
///     }
/// }
/// ```
///
/// # Contract
///
/// - `insert` decides and inserts in one step: of two sessions of a key that open at the same moment, a policy that
///   allows one lets in one. It removes what it replaces and returns that; keywire closes the replaced sessions, with
///   4504.
/// - `remove` removes that session and no other of its key. keywire calls it once for each session for which it called
///   `insert`: also for one that was refused or replaced and is no longer there, where it does nothing and says
///   `last: false`.
/// - `first` and `last` alternate for each key: the first session of a key comes, further ones come and go, the last one
///   goes. Decide both under the lock of the insertion or removal.
/// - `dispatch` applies the order to each recipient that was inserted before the call and is not removed, at most once.
///   Two calls by one caller reach each session in their order. Unknown recipients get nothing and are no error.
///   [`Session::apply`] never waits for a socket. For many sessions, yield now and then
///   (`tokio::task::yield_now`): [`MemoryStore`] yields every 4096.
/// - Do not hold a lock that `insert` or `remove` need while calling [`Session::apply`].
/// - `sessions` returns the sessions of this node only, those of one key in the order in which they were inserted.
///   keywire asks for a key when it has a full set of sessions and wants to know whether they are alive, and for
///   everyone at a shutdown. A session that the store is still inserting may be missing.
/// - A membership of a group ends when its session leaves the store, by `remove` or because `insert` replaced it.
///   [`Session::groups`] names the groups also afterwards. So a decorator that must know which groups have no members
///   any more, for example to end subscriptions, asks `members` for each of them behind its `remove`.
/// - The defaults of `join`, `leave` and `members` suit a store that chooses recipients by [`Recipients::includes`], as
///   the one above. They look through all members, and `first` and `last` are only true where no other session joins or
///   leaves the group at the same time. A decorator forwards all three.
/// - A store that forwards orders to other nodes delivers an order that came from one to its own sessions only.
/// - [`Order`] and [`Target`] may get variants: pass on what you do not know, to [`Session::apply`] and
///   [`Recipients::includes`].
///
/// # Failures
///
/// A call that panics, or takes longer than [`Config::store_timeout`](crate::Config::store_timeout), is dropped and
/// logged. Other sessions are not affected. After a failed `insert` the client is refused with 1013. A failed `dispatch`
/// is reported by [`Delivery::incomplete`]. A failed `sessions` or `counts` counts as empty. After a failed `remove` the
/// session ends as usual, and the store may have to remove it later by itself: it is no longer
/// [open](Session::is_open).
///
/// # Cancel safety
///
/// keywire may drop any call before its end. For an `insert` that was dropped it calls `remove`, so that the session
/// does not stay.
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// Adds a session if the policy allows it, and removes the sessions that it replaces.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooMany`] where the policy forbids it, [`StoreError::Refused`] where the store does,
    /// [`StoreError::Unavailable`] where it cannot decide.
    async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Inserted, StoreError>;

    /// Removes a session.
    async fn remove(&self, session: &Session) -> Removed;

    /// Applies the order to all recipients.
    async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery;

    /// Applies the order as [`dispatch`](Self::dispatch) does, if that needs no await. It saves the future.
    /// `None`: nothing was done, and `dispatch` is called. Default: `None`. A store round another store leaves it at that, unless it
    /// has nothing to do when something is sent.
    fn dispatch_now(&self, _to: &Recipients, _order: &Order) -> Option<Delivery> {
        None
    }

    /// The sessions on this node that `of` includes.
    async fn sessions(&self, of: &Recipients) -> Vec<Session>;

    /// The number of sessions and keys on this node.
    async fn counts(&self) -> Counts;

    /// Makes a session a member of a group. Default: the session alone knows it, as [`Recipients::includes`] does then.
    ///
    /// # Errors
    ///
    /// [`JoinError::Ended`] if the session is not in the store, [`JoinError::TooMany`] if it is in too many groups,
    /// [`JoinError::Unavailable`] if the store cannot add it.
    async fn join(&self, session: &Session, group: &Group) -> Result<Joined, JoinError> {
        let first = self.members(group).await == 0;
        let joined = session.add_group(group, || Ok(first))?;
        if joined.joined && !self.sessions(&Recipients::group(group.clone())).await.contains(session) {
            session.remove_group(group, || false);
            return Err(match self.sessions(&Recipients::session(session)).await.is_empty() {
                true => JoinError::Ended,
                false => JoinError::Unavailable(NO_GROUPS.into()),
            });
        }
        Ok(joined)
    }

    /// Ends the membership of a session in a group. Nothing happens if it is not a member.
    async fn leave(&self, session: &Session, group: &Group) -> Left {
        let left = session.remove_group(group, || false);
        Left { last: left.left && self.members(group).await == 0, ..left }
    }

    /// The number of members of a group on this node. Default: the length of [`sessions`](Self::sessions).
    async fn members(&self, group: &Group) -> usize {
        self.sessions(&Recipients::group(group.clone())).await.len()
    }
}

/// The defaults for groups are of no use to this store.
const NO_GROUPS: &str = "the store neither finds sessions by Recipients::includes nor implements SessionStore::join, leave and \
     members: a store around another store forwards these three";

/// Result of [`SessionStore::insert`].
#[derive(Debug, Default)]
pub struct Inserted {
    /// The sessions that the new one replaced, which the store has removed. keywire closes them with 4504.
    pub replaced: Vec<Session>,
    /// The new session is the first of its key: the store had none before.
    pub first: bool,
}

/// Result of [`SessionStore::remove`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// This call removed the last session of its key.
    pub last: bool,
}

/// The number of sessions and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// Live connections.
    pub sessions: usize,
    /// Keys that have at least one.
    pub keys: usize,
}

/// A session was not inserted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The key has the maximum number of sessions.
    #[error("too many sessions for this key")]
    TooMany,
    /// The store refuses this session, for example by [`Rejection::Forbidden`]. The client gets the
    /// [close code](Rejection::close_code) of the rejection. The log has a line at `info`.
    #[error("refused: {0}")]
    Refused(Rejection),
    /// The store cannot decide now, which is logged as an error.
    #[error("session store unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

impl SessionPolicy {
    /// Decides about a new session of a key that has the sessions `present`, the oldest first. Returns those that the
    /// new one replaces.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooMany`] if the policy forbids another session.
    pub fn admit(self, present: Vec<Session>) -> Result<Vec<Session>, StoreError> {
        self.check(present.len())?;
        Ok(if self == Self::Replace { present } else { Vec::new() })
    }

    /// [`SessionPolicy::admit`] without a copy of sessions that stay.
    pub(crate) fn replaced(self, present: &[Session]) -> Result<Vec<Session>, StoreError> {
        self.check(present.len())?;
        Ok(if self == Self::Replace { present.to_vec() } else { Vec::new() })
    }

    /// Whether a key that has this many sessions may have a new one.
    fn check(self, present: usize) -> Result<(), StoreError> {
        let has_room = match self {
            Self::Many { cap } => present < cap.get(),
            Self::Replace => true,
            Self::Reject => present == 0,
        };
        if has_room { Ok(()) } else { Err(StoreError::TooMany) }
    }
}

// A method with a default that is not forwarded would be replaced by it.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: SessionStore + ?Sized> SessionStore for Arc<S> {
    async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Inserted, StoreError> {
        (**self).insert(session, policy).await
    }

    async fn remove(&self, session: &Session) -> Removed {
        (**self).remove(session).await
    }

    async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
        (**self).dispatch(to, order).await
    }

    fn dispatch_now(&self, to: &Recipients, order: &Order) -> Option<Delivery> {
        (**self).dispatch_now(to, order)
    }

    async fn sessions(&self, of: &Recipients) -> Vec<Session> {
        (**self).sessions(of).await
    }

    async fn counts(&self) -> Counts {
        (**self).counts().await
    }

    async fn join(&self, session: &Session, group: &Group) -> Result<Joined, JoinError> {
        (**self).join(session, group).await
    }

    async fn leave(&self, session: &Session, group: &Group) -> Left {
        (**self).leave(session, group).await
    }

    async fn members(&self, group: &Group) -> usize {
        (**self).members(group).await
    }
}

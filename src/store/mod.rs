//! Where sessions live, and how what is sent finds them.

mod delivery;
mod memory;
mod recipients;

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;

pub use delivery::{Delivery, Outcome, Remote};
pub use memory::MemoryStore;
pub use recipients::{Recipients, To};

use crate::config::SessionPolicy;
use crate::drain::Roll;
use crate::frame::Frame;
use crate::key::Key;
use crate::session::Session;
use crate::websocket::CloseCode;

/// The registry of live sessions, by key.
///
/// [`MemoryStore`] is the one to use. Write one to count, to log, to keep presence somewhere else, as a
/// decorator around it or from scratch:
///
/// ```
/// use std::sync::Mutex;
///
/// use keywire::{
///     Counts, Delivery, Key, Order, Recipients, Session, SessionPolicy, SessionStore, StoreError, async_trait,
/// };
///
/// /// All sessions in one list.
/// #[derive(Default)]
/// struct ListStore(Mutex<Vec<Session>>);
///
/// #[async_trait]
/// impl SessionStore for ListStore {
///     async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Vec<Session>, StoreError> {
///         let mut list = self.0.lock().unwrap();
///         let present = list.iter().filter(|other| other.key() == session.key()).cloned().collect();
///         let replaced = policy.admit(present)?;
///         list.retain(|other| !replaced.contains(other));
///         list.push(session);
///         Ok(replaced)
///     }
///
///     async fn remove(&self, session: &Session) {
///         self.0.lock().unwrap().retain(|other| other != session);
///     }
///
///     async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
///         let list = self.0.lock().unwrap().clone();
///         list.iter().filter(|session| to.include(session)).map(|session| session.apply(order)).collect()
///     }
///
///     async fn sessions(&self, key: &Key) -> Vec<Session> {
///         self.0.lock().unwrap().iter().filter(|session| session.key() == key).cloned().collect()
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
/// - `insert` decides and inserts as one step: two sessions of one key at the same moment must not both be
///   let in where the policy allows one.
/// - `remove` forgets that very session and no other of its key. Removing what is not there does nothing.
/// - `dispatch` gives the order to each session that was inserted before the call and is not removed, at
///   most once, and two calls by one caller reach every session in their order. It never waits for a
///   socket: [`Session::apply`] does not.
/// - Nothing is locked while an order is applied that `insert` and `remove` of others wait for.
///
/// # Failures
///
/// A call that panics, or takes longer than [`Config::store_timeout`](crate::Config::store_timeout), is dropped and
/// logged, and harms nobody else. After such an `insert` the client is sent away with 1013; such a `dispatch` is told by
/// [`Delivery::unfinished`]; `sessions` and `counts` then say that there are none. After such a `remove` the session ends
/// as it would have, and the store may have to forget it later by itself: it does [not live](Session::is_open) any more.
///
/// # Cancel safety
///
/// So each call may be dropped before its end. After an `insert` the session must then not stay behind: keywire calls
/// `remove` for it in any case.
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// Adds a session if the policy allows it, and takes those out which it replaces and returns them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] where the policy forbids it, [`StoreError::Unavailable`] where the store cannot
    /// decide.
    async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Vec<Session>, StoreError>;

    /// Forgets a session.
    async fn remove(&self, session: &Session);

    /// Gives the order to all recipients.
    async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery;

    /// The sessions of a key on this node.
    async fn sessions(&self, key: &Key) -> Vec<Session>;

    /// How many there are on this node.
    async fn counts(&self) -> Counts;
}

/// What is to be done with a session: sending, broadcasting and disconnecting are one path.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Order {
    /// Send this.
    Deliver(Frame),
    /// End it with this code and reason.
    Close(CloseCode, Box<str>),
    /// Put it on this list, by which [`Hub::shutdown`](crate::Hub::shutdown) finds the sessions of its node. A store that
    /// forwards orders to other nodes keeps this one.
    Enlist(Roll),
}

/// How many sessions there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// Live connections.
    pub sessions: usize,
    /// Different keys that have at least one.
    pub keys: usize,
}

/// Why a session was not let in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The key has as many sessions as it may have.
    #[error("too many sessions for this key")]
    Full,
    /// The store cannot decide now.
    #[error("session store unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

impl SessionPolicy {
    /// Decides about one more session for a key that has these, the oldest first: which of them it replaces.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] if there may be no more.
    pub fn admit(self, present: Vec<Session>) -> Result<Vec<Session>, StoreError> {
        match self {
            Self::Many { cap } if present.len() < cap.get() => Ok(Vec::new()),
            Self::Replace => Ok(present),
            Self::Reject if present.is_empty() => Ok(Vec::new()),
            Self::Many { .. } | Self::Reject => Err(StoreError::Full),
        }
    }
}

#[async_trait]
impl<S: SessionStore + ?Sized> SessionStore for Arc<S> {
    async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Vec<Session>, StoreError> {
        (**self).insert(session, policy).await
    }

    async fn remove(&self, session: &Session) {
        (**self).remove(session).await;
    }

    async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
        (**self).dispatch(to, order).await
    }

    async fn sessions(&self, key: &Key) -> Vec<Session> {
        (**self).sessions(key).await
    }

    async fn counts(&self) -> Counts {
        (**self).counts().await
    }
}

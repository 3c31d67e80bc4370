//! A store from scratch.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

use keywire::limits::SessionPolicy;
use keywire::store::{Counts, Inserted, Order, Recipients, Removed, StoreError};
use keywire::{Delivery, Session, SessionStore, async_trait};

/// All sessions in one list, without a word about groups.
#[derive(Default)]
pub(crate) struct ListStore(Mutex<Vec<Session>>);

impl ListStore {
    fn list(&self) -> MutexGuard<'_, Vec<Session>> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

#[async_trait]
impl SessionStore for ListStore {
    async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Inserted, StoreError> {
        let mut list = self.list();
        let present: Vec<_> = list.iter().filter(|other| other.key() == session.key()).cloned().collect();
        let first = present.is_empty();
        let replaced = policy.admit(present)?;
        list.retain(|other| !replaced.contains(other));
        list.push(session);
        Ok(Inserted { replaced, first })
    }

    async fn remove(&self, session: &Session) -> Removed {
        let mut list = self.list();
        let before = list.len();
        list.retain(|other| other != session);
        Removed { last: list.len() < before && list.iter().all(|other| other.key() != session.key()) }
    }

    async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
        self.sessions(to).await.iter().map(|session| session.apply(order)).collect()
    }

    async fn sessions(&self, of: &Recipients) -> Vec<Session> {
        self.list().iter().filter(|session| of.includes(session)).cloned().collect()
    }

    async fn counts(&self) -> Counts {
        let list = self.list();
        let keys: HashSet<_> = list.iter().map(Session::key).collect();
        Counts { sessions: list.len(), keys: keys.len() }
    }
}

//! Sessions for the checks of a store.

use crate::auth::RawKey;
use crate::group::Group;
use crate::hub::Hub;
use crate::key::{Identity, Key};
use crate::limits::SessionPolicy;
use crate::session::{Sent, Session};
use crate::store::{Inserted, SessionStore, StoreError};
use crate::testing::new_key;

/// A session that is in no store, without a client.
pub(super) fn session(key: &Key) -> Session {
    listener(key).0
}

pub(super) fn listener(key: &Key) -> (Session, Sent) {
    listener_on(&hub(), key)
}

pub(super) fn hub() -> Hub {
    Hub::builder(RawKey::from_path()).build()
}

pub(super) fn listener_on(hub: &Hub, key: &Key) -> (Session, Sent) {
    Session::detached_on(hub, Identity::new(key.clone()))
}

pub(super) fn many(cap: usize) -> SessionPolicy {
    SessionPolicy::Many { cap: cap.try_into().expect("not zero") }
}

pub(super) async fn insert(store: &dyn SessionStore, session: &Session) -> Inserted {
    insert_as(store, session, SessionPolicy::default()).await.expect("a session that the policy allows")
}

pub(super) async fn insert_as(
    store: &dyn SessionStore,
    session: &Session,
    policy: SessionPolicy,
) -> Result<Inserted, StoreError> {
    store.insert(session.clone(), policy).await
}

pub(super) async fn remove_all(store: &dyn SessionStore, sessions: impl IntoIterator<Item = Session>) {
    for session in sessions {
        store.remove(&session).await;
    }
}

pub(super) fn refused(inserted: Result<Inserted, StoreError>) {
    assert!(matches!(inserted, Err(StoreError::TooMany)), "not refused as too many: {inserted:?}");
}

/// A group that no other run uses.
pub(super) fn new_group(name: &str) -> Group {
    Group::new(new_key(name)).expect("what is a key is a group")
}

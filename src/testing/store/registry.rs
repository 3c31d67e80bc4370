use std::slice::from_ref;

use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::scene::{insert, insert_as, many, refused, remove_all, session};
use crate::delivery::Recipients;
use crate::limits::SessionPolicy;
use crate::store::{Counts, Inserted, Removed, SessionStore, StoreError};
use crate::testing::new_key;

/// The first session of a key comes, further ones come and go, the last one goes. Each key has its own.
pub async fn first_and_last_alternate(store: &dyn SessionStore) {
    let (key, other) = (new_key("first"), new_key("first-other"));
    for round in 0..2 {
        let sessions = [session(&key), session(&key), session(&key)];
        let elsewhere = session(&other);
        for (at, session) in sessions.iter().enumerate() {
            assert_eq!(
                insert(store, session).await.first,
                at == 0,
                "round {round}: session {at} is the first"
            );
        }
        assert!(insert(store, &elsewhere).await.first, "each key has a first session");
        // Not in the order in which they came.
        for (at, session) in [1, 0, 2].map(|at| &sessions[at]).into_iter().enumerate() {
            assert_eq!(store.remove(session).await.last, at == 2, "round {round}: session {at} is the last");
        }
        assert_eq!(store.sessions(&Recipients::key(other.clone())).await, from_ref(&elsewhere));
        assert!(store.remove(&elsewhere).await.last, "each key has a last session");
    }
}

/// `remove` of a session that is not there does nothing: one that was removed, or never came.
pub async fn a_session_is_removed_once(store: &dyn SessionStore) {
    let key = new_key("remove");
    let (one, other, stranger) = (session(&key), session(&key), session(&key));
    insert(store, &one).await;
    assert!(!store.remove(&stranger).await.last, "a session that never came is not the last one");
    insert(store, &other).await;
    assert_eq!(store.remove(&one).await, Removed { last: false });
    assert_eq!(store.remove(&one).await, Removed { last: false });
    assert_eq!(store.sessions(&Recipients::key(key)).await, from_ref(&other));
    assert_eq!(store.remove(&other).await, Removed { last: true });
    assert_eq!(store.remove(&other).await, Removed { last: false }, "it was the last one, once");
}

/// `sessions` has those of one key in the order of their insertion, and only those that are there and meant.
pub async fn sessions_have_the_order_of_their_insertion(store: &dyn SessionStore) {
    let (key, other) = (new_key("order"), new_key("order-other"));
    let mut sessions: Vec<_> = (0..20).map(|_| session(&key)).collect();
    // A session of an earlier opening may come later.
    sessions.rotate_left(7);
    for session in &sessions {
        insert(store, session).await;
    }
    let elsewhere = session(&other);
    insert(store, &elsewhere).await;
    store.remove(&sessions.remove(5)).await;
    assert_eq!(store.sessions(&Recipients::key(key.clone())).await, sessions);
    let except = Recipients::key(key.clone()).except(&sessions[0]);
    assert_eq!(store.sessions(&except).await, sessions[1..]);
    assert_eq!(store.sessions(&Recipients::session(&sessions[3])).await, sessions[3..4]);
    assert_eq!(store.sessions(&Recipients::key(new_key("order-nobody"))).await, []);
    let everyone = store.sessions(&Recipients::everyone()).await;
    let of_key: Vec<_> = everyone.iter().filter(|session| *session.key() == key).cloned().collect();
    assert_eq!(of_key, sessions, "everyone");
    assert!(everyone.contains(&elsewhere), "everyone includes each key");
    remove_all(store, sessions.into_iter().chain([elsewhere])).await;
}

/// `counts` has the sessions and the keys that have one.
pub async fn sessions_and_keys_are_counted(store: &dyn SessionStore) {
    let (key, other) = (new_key("count"), new_key("count-other"));
    let sessions = [session(&key), session(&key), session(&other)];
    let before = store.counts().await;
    let with = |sessions, keys| Counts { sessions: before.sessions + sessions, keys: before.keys + keys };
    for (session, expected) in sessions.iter().zip([with(1, 1), with(2, 1), with(3, 2)]) {
        insert(store, session).await;
        assert_eq!(store.counts().await, expected, "after an insertion");
    }
    for (session, expected) in sessions.iter().zip([with(2, 2), with(1, 1), with(0, 0)]) {
        store.remove(session).await;
        assert_eq!(store.counts().await, expected, "after a removal");
    }
}

/// [`SessionPolicy::Many`]: a session beyond the cap is refused, and its `remove` does nothing.
pub async fn a_key_has_as_many_sessions_as_it_may(store: &dyn SessionStore) {
    let key = new_key("many");
    let (one, other, third) = (session(&key), session(&key), session(&key));
    insert_as(store, &one, many(2)).await.expect("room for one");
    let inserted = insert_as(store, &other, many(2)).await.expect("room for another");
    assert!(inserted.replaced.is_empty(), "a policy that lets all sessions live replaces none");
    refused(insert_as(store, &third, many(2)).await);
    assert_eq!(store.sessions(&Recipients::key(key.clone())).await, [one.clone(), other.clone()]);
    assert!(!store.remove(&third).await.last, "a session that was refused is not the last one");
    store.remove(&one).await;
    insert_as(store, &third, many(2)).await.expect("room after a removal");
    remove_all(store, [other, third]).await;
}

/// [`SessionPolicy::Reject`]: the oldest session stays.
pub async fn the_oldest_session_stays(store: &dyn SessionStore) {
    let (key, other) = (new_key("reject"), new_key("reject-other"));
    let (oldest, newest, elsewhere) = (session(&key), session(&key), session(&other));
    insert_as(store, &oldest, SessionPolicy::Reject).await.expect("room for one");
    refused(insert_as(store, &newest, SessionPolicy::Reject).await);
    insert_as(store, &elsewhere, SessionPolicy::Reject).await.expect("room for another key");
    assert_eq!(store.sessions(&Recipients::key(key)).await, from_ref(&oldest));
    assert!(!store.remove(&newest).await.last);
    remove_all(store, [oldest, elsewhere]).await;
}

/// [`SessionPolicy::Replace`]: the newest session takes the place of all others of its key, which the store returns and has removed.
pub async fn the_newest_session_replaces_the_others(store: &dyn SessionStore) {
    let (key, other) = (new_key("replace"), new_key("replace-other"));
    let (one, two, newest, elsewhere) = (session(&key), session(&key), session(&key), session(&other));
    insert(store, &one).await;
    insert(store, &two).await;
    insert(store, &elsewhere).await;
    let inserted = insert_as(store, &newest, SessionPolicy::Replace).await.expect("room for the newest");
    assert_eq!(inserted.replaced, [one.clone(), two.clone()], "the replaced sessions, the oldest first");
    assert!(!inserted.first, "there were sessions of the key before");
    assert_eq!(store.sessions(&Recipients::key(key)).await, from_ref(&newest));
    assert_eq!(store.sessions(&Recipients::key(other)).await, from_ref(&elsewhere), "another key");
    // keywire removes each session once, also those that were replaced.
    for session in [&one, &two] {
        assert!(!store.remove(session).await.last, "a replaced session is not the last one");
    }
    assert!(store.remove(&newest).await.last);
    store.remove(&elsewhere).await;
}

/// Of several sessions that come or go at the same moment each is decided about in one step.
pub async fn concurrent_calls_are_decided_one_by_one(store: &dyn SessionStore) {
    let count = |inserted: &[Result<Inserted, StoreError>]| inserted.iter().filter(|one| one.is_ok()).count();
    for (policy, let_in) in [(SessionPolicy::Reject, 1), (many(3), 3), (SessionPolicy::Replace, 8)] {
        let key = new_key("concurrent");
        let sessions: Vec<_> = (0..8).map(|_| session(&key)).collect();
        let inserted = join_all(sessions.iter().map(|session| store.insert(session.clone(), policy))).await;
        assert_eq!(count(&inserted), let_in, "{policy:?}");
        let inserted: Vec<_> = inserted.into_iter().flatten().collect();
        assert_eq!(inserted.iter().filter(|one| one.first).count(), 1, "{policy:?}: one is the first");
        let replaced = inserted.iter().map(|one| one.replaced.len()).sum::<usize>();
        assert_eq!(store.sessions(&Recipients::key(key)).await.len() + replaced, let_in, "{policy:?}");
        let removed = join_all(sessions.iter().map(|session| store.remove(session))).await;
        assert_eq!(removed.iter().filter(|one| one.last).count(), 1, "{policy:?}: one is the last");
    }
}

/// An `insert` that is dropped at any of its awaits, and the `remove` after it, leave nothing behind.
pub async fn a_dropped_insertion_is_taken_back(store: &dyn SessionStore) {
    let key = new_key("dropped");
    let before = store.counts().await;
    for polls in 1..=4 {
        let dropped = session(&key);
        let mut insertion = store.insert(dropped.clone(), SessionPolicy::default());
        for _ in 0..polls {
            if (&mut insertion).now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(insertion);
        store.remove(&dropped).await;
        assert_eq!(store.sessions(&Recipients::key(key.clone())).await, [], "dropped after {polls} polls");
        assert_eq!(store.counts().await, before, "dropped after {polls} polls");
        let next = session(&key);
        assert!(insert(store, &next).await.first, "the next one is the first");
        assert!(store.remove(&next).await.last, "and the last one");
    }
}

//! A dispatch gives other tasks a turn after so many sessions, however they are spread over keys and shards.

use std::num::NonZeroUsize;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::auth::RawKey;
use crate::hub::Hub;
use crate::key::Identity;
use crate::websocket::CloseCode;

/// How many sessions each turn of a dispatch reaches where these keys have so many sessions.
fn turns(
    store: &MemoryStore,
    to: &Recipients,
    keys: impl IntoIterator<Item = (String, usize)>,
) -> Vec<usize> {
    let hub = Hub::builder(RawKey::from_path()).build();
    let cap = NonZeroUsize::new(SESSIONS_PER_TURN * 4).unwrap();
    let mut sessions = Vec::new();
    for (key, number) in keys {
        let identity = Identity::new(Key::new(key).unwrap());
        for _ in 0..number {
            let session = Session::new(hub.clone(), identity.clone(), None, true, false);
            let inserted = store.insert(session.clone(), SessionPolicy::Many { cap });
            poll(pin!(inserted)).expect("done at once").unwrap();
            sessions.push(session);
        }
    }
    let open = |sessions: &[Session]| sessions.iter().filter(|session| session.is_open()).count();
    let order = Order::Close(CloseCode::NORMAL, "".into());
    let mut dispatch = pin!(store.dispatch(to, &order));
    let (mut turns, mut before) = (Vec::new(), open(&sessions));
    loop {
        let delivery = poll(dispatch.as_mut());
        let after = open(&sessions);
        turns.push(before - after);
        before = after;
        if let Some(delivery) = delivery {
            assert_eq!(delivery.delivered, sessions.len(), "each once");
            return turns;
        }
    }
}

fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Short turns would be a waste, long ones hold others up.
fn assert_bounded(turns: &[usize]) {
    let sessions: usize = turns.iter().sum();
    assert!(turns.iter().all(|turn| *turn <= SESSIONS_PER_TURN), "{turns:?}");
    assert!(turns.len() <= sessions / SESSIONS_PER_TURN + 2, "{turns:?}");
}

#[test]
fn a_key_with_many_sessions_takes_several_turns() {
    for to in [Recipients::everyone(), Recipients::key(Key::new("alice").unwrap())] {
        assert_bounded(&turns(&MemoryStore::new(), &to, [("alice".into(), SESSIONS_PER_TURN + 100)]));
    }
}

#[test]
fn sessions_are_counted_and_not_keys() {
    let turns = turns(
        &MemoryStore::new(),
        &Recipients::everyone(),
        (0..SESSIONS_PER_TURN / 2).map(|key| (format!("user{key}"), 5)),
    );
    assert_bounded(&turns);
}

#[test]
fn a_full_shard_takes_several_turns() {
    let store = MemoryStore::new();
    let in_one_shard = |key: &String| (store.hash(key) >> 32) as usize % SHARDS == 7;
    let keys: Vec<_> = (0..)
        .map(|key| format!("user{key}"))
        .filter(in_one_shard)
        .take(2 * SESSIONS_PER_TURN + 100)
        .collect();
    assert_bounded(&turns(&store, &Recipients::everyone(), keys.into_iter().map(|key| (key, 1))));
}

#[test]
fn a_few_are_reached_in_one_turn() {
    assert_eq!(
        turns(&MemoryStore::new(), &Recipients::everyone(), (0..1_000).map(|key| (format!("user{key}"), 1))),
        [1_000]
    );
}

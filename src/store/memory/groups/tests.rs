//! Groups with many members, sessions with many groups, and many threads that join and leave.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use futures_util::FutureExt as _;

use super::super::*;
use crate::auth::RawKey;
use crate::frame::Frame;
use crate::hub::Hub;
use crate::key::Identity;
use crate::limits::Config;
use crate::websocket::CloseCode;

fn hub(groups_per_session: Option<usize>) -> Hub {
    let config = Config { groups_per_session, ..Config::default() };
    Hub::builder(RawKey::from_path()).config(config).build()
}

fn group(name: impl ToString) -> Group {
    Group::new(name.to_string()).unwrap()
}

fn enter(hub: &Hub, store: &MemoryStore, key: &str) -> Session {
    let identity = Identity::new(Key::new(key).unwrap());
    let session = Session::new(hub.clone(), identity, None, true, false);
    now(store.insert(session.clone(), SessionPolicy::default())).unwrap();
    session
}

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("done at once")
}

#[test]
fn a_dispatch_reaches_each_of_many_members_once_and_others_get_turns() {
    const MEMBERS: usize = 100_000;
    let (hub, store, all) = (hub(None), MemoryStore::new(), group("all"));
    let mut sessions = Vec::new();
    for number in 0..MEMBERS {
        let session = enter(&hub, &store, &number.to_string());
        let joined = now(store.join(&session, &all)).unwrap();
        assert_eq!(joined, Joined { joined: true, first: number == 0 });
        sessions.push(session);
    }
    // Others move into the places of those that leave.
    let (gone, mut stay): (Vec<_>, Vec<_>) =
        sessions.into_iter().enumerate().partition(|(at, _)| at % 3 == 0);
    for (_, session) in &gone {
        assert_eq!(now(store.leave(session, &all)), Left { left: true, last: false });
    }
    assert_eq!(now(store.members(&all)), stay.len());
    let (_, out) = stay.pop().unwrap();

    let (to, order) =
        (Recipients::group(all.clone()).except(&out), Order::Close(CloseCode::NORMAL, "".into()));
    let mut dispatch = pin!(store.dispatch(&to, &order));
    let mut turns = 1;
    let delivery = loop {
        match dispatch.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(delivery) => break delivery,
            Poll::Pending => turns += 1,
        }
        // A change during the dispatch, which has the chunks.
        let (number, session) = &gone[turns];
        assert!(now(store.join(session, &all)).unwrap().joined, "{number}");
    };
    assert_eq!(delivery.delivered, stay.len());
    assert_eq!(turns, (stay.len() + 1).div_ceil(SESSIONS_PER_TURN));
    assert!(stay.iter().all(|(_, session)| !session.is_open()));
    assert!(gone.iter().all(|(_, session)| session.is_open()) && out.is_open());

    let joined = turns - 1;
    assert_eq!(now(store.members(&all)), stay.len() + 1 + joined);
    for (_, session) in stay.iter().chain(&gone) {
        now(store.remove(session));
    }
    assert_eq!(now(store.sessions(&Recipients::group(all.clone()))), std::slice::from_ref(&out));
    assert_eq!(now(store.leave(&out, &all)), Left { left: true, last: true });
    assert!(store.groups.is_empty());
}

#[test]
fn keys_without_sessions_take_their_time_too() {
    let (hub, store) = (hub(None), MemoryStore::new());
    let last = enter(&hub, &store, "zoe");
    let absent = (0..3 * SESSIONS_PER_TURN).map(|number| Key::new(number.to_string()).unwrap());
    let to = Recipients::keys(absent.chain([last.key().clone()]));
    let order = Order::Deliver(Frame::text("x"));
    let mut dispatch = pin!(store.dispatch(&to, &order));
    let mut turns = 1;
    while dispatch.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        turns += 1;
    }
    assert_eq!(turns, 4);
}

#[test]
fn a_session_is_in_a_thousand_groups_and_not_in_more_than_the_limit() {
    let (hub, store) = (hub(Config::default().groups_per_session), MemoryStore::new());
    let [alice, bob] = ["alice", "bob"].map(|key| enter(&hub, &store, key));
    for number in 0..1024 {
        assert_eq!(now(store.join(&alice, &group(number))).unwrap(), Joined { joined: true, first: true });
    }
    assert!(matches!(now(store.join(&alice, &group("more"))), Err(JoinError::TooMany { limit: 1024 })));
    assert_eq!(now(store.join(&alice, &group(7))).unwrap(), Joined::default(), "it is in there");
    assert_eq!(now(store.join(&bob, &group(7))).unwrap(), Joined { joined: true, first: false });
    assert_eq!(now(store.leave(&alice, &group(8))), Left { left: true, last: true });
    now(store.join(&alice, &group("more"))).unwrap();
    assert_eq!(alice.groups().into_iter().collect::<HashSet<_>>().len(), 1024);

    now(store.remove(&alice));
    assert_eq!(alice.groups().len(), 1024, "what it was in can be told");
    assert!(matches!(now(store.join(&alice, &group("late"))), Err(JoinError::Ended)));
    assert_eq!(now(store.sessions(&Recipients::group(group(7)))), std::slice::from_ref(&bob));
    now(store.remove(&bob));
    assert!(store.groups.is_empty());
}

/// Threads let sessions join and leave while others remove the same sessions.
#[test]
fn no_member_is_left_behind() {
    const TURNS: usize = 1_000;
    let (hub, store, done) = (&hub(Some(2)), &MemoryStore::new(), &AtomicBool::new(false));
    let witness = &enter(hub, store, "witness");
    now(store.join(witness, &group(0))).unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let (to, order) = (Recipients::group(group(0)), Order::Deliver(Frame::join([])));
            while !done.load(Ordering::SeqCst) {
                assert!(now(store.dispatch(&to, &order)).delivered >= 1);
                assert!(now(store.members(&group(0))) >= 1);
            }
        });
        for turn in 0..TURNS {
            let session = &enter(hub, store, &turn.to_string());
            thread::scope(|scope| {
                for number in 0..3 {
                    scope.spawn(move || {
                        let group = group(number);
                        for _ in 0..3 {
                            match now(store.join(session, &group)) {
                                Ok(Joined { joined, first }) => {
                                    assert!(joined && first == (number != 0), "{number}");
                                }
                                Err(JoinError::TooMany { .. }) => continue,
                                Err(JoinError::Ended) => break,
                                Err(error) => panic!("{error}"),
                            }
                            let Left { left, last } = now(store.leave(session, &group));
                            assert_eq!(last, left && number != 0);
                        }
                    });
                }
                if turn % 2 == 0 {
                    scope.spawn(move || now(store.remove(session)));
                }
            });
            // Also if nobody has been quicker.
            let _ = now(store.join(session, &group(0)));
            now(store.remove(session));
            assert!(matches!(now(store.join(session, &group(0))), Err(JoinError::Ended)));
            let members = |number| now(store.members(&group(number)));
            assert_eq!([members(0), members(1), members(2)], [1, 0, 0], "after turn {turn}");
        }
        done.store(true, Ordering::SeqCst);
    });
    assert_eq!(now(store.sessions(&Recipients::group(group(0)))), std::slice::from_ref(witness));
    assert_eq!(now(store.leave(witness, &group(0))), Left { left: true, last: true });
    assert!(store.groups.is_empty());
}

/// A first group, since later ones find out in the session itself that it has ended.
#[test]
fn a_first_join_meets_the_end() {
    const TURNS: usize = 20_000;
    let (hub, store) = (&hub(None), &MemoryStore::new());
    let sessions: Vec<_> = (0..TURNS).map(|number| enter(hub, store, &number.to_string())).collect();
    let (sessions, joined, removed) = (&sessions, &AtomicUsize::new(0), &AtomicUsize::new(0));
    // Both begin with a session at the same time, as far as that can be.
    let meet = |mine: &AtomicUsize, other: &AtomicUsize, turn| {
        mine.store(turn, Ordering::SeqCst);
        while other.load(Ordering::SeqCst) < turn {
            thread::yield_now();
        }
    };
    thread::scope(|scope| {
        scope.spawn(move || {
            for (turn, session) in sessions.iter().enumerate() {
                meet(joined, removed, turn + 1);
                let _ = now(store.join(session, &group("all")));
            }
        });
        scope.spawn(move || {
            for (turn, session) in sessions.iter().enumerate() {
                meet(removed, joined, turn + 1);
                // At another moment of the join each time.
                (0..turn % 64).for_each(|_| std::hint::spin_loop());
                now(store.remove(session));
            }
        });
    });
    assert!(store.groups.is_empty());
}

//! The store against a list: for any sequence of calls it says the same. And with many threads at once, what must hold of
//! any order of them.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use futures_util::FutureExt as _;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::auth::RawKey;
use crate::delivery::Outcome;
use crate::frame::Frame;
use crate::hub::Hub;
use crate::key::Identity;
use crate::limits::Config;
use crate::websocket::CloseCode;

const KEYS: usize = 3;

const GROUPS: usize = 3;

const GROUPS_PER_SESSION: usize = 2;

#[derive(Debug, Clone)]
enum Call {
    Insert {
        key: usize,
    },
    /// Of the session with this number, be it there or not.
    Remove {
        session: usize,
    },
    Join {
        session: usize,
        group: usize,
    },
    Leave {
        session: usize,
        group: usize,
    },
    Dispatch {
        to: Whom,
        except: Option<usize>,
        close: bool,
    },
}

#[derive(Debug, Clone)]
enum Whom {
    Key(usize),
    Keys(Vec<usize>),
    Group(usize),
    Session(usize),
    Everyone,
}

fn call() -> impl Strategy<Value = Call> {
    let session = 0..30_usize;
    let to = prop_oneof![
        (0..KEYS).prop_map(Whom::Key),
        vec(0..KEYS, 0..4).prop_map(Whom::Keys),
        (0..GROUPS).prop_map(Whom::Group),
        session.clone().prop_map(Whom::Session),
        Just(Whom::Everyone)
    ];
    let except = proptest::option::of(session.clone());
    prop_oneof![
        3 => (0..KEYS).prop_map(|key| Call::Insert { key }),
        2 => session.clone().prop_map(|session| Call::Remove { session }),
        4 => (session.clone(), 0..GROUPS).prop_map(|(session, group)| Call::Join { session, group }),
        1 => (session, 0..GROUPS).prop_map(|(session, group)| Call::Leave { session, group }),
        2 => (to, except, proptest::bool::weighted(0.2))
            .prop_map(|(to, except, close)| Call::Dispatch { to, except, close }),
    ]
}

fn policy() -> impl Strategy<Value = SessionPolicy> {
    let many = (1..4_usize).prop_map(|cap| SessionPolicy::Many { cap: NonZeroUsize::new(cap).unwrap() });
    prop_oneof![many, Just(SessionPolicy::Replace), Just(SessionPolicy::Reject)]
}

fn hub() -> Hub {
    let config = Config { groups_per_session: Some(GROUPS_PER_SESSION), ..Config::default() };
    Hub::builder(RawKey::from_path()).config(config).build()
}

fn group(number: usize) -> Group {
    Group::new(format!("group-{number}")).unwrap()
}

fn key(number: usize) -> Key {
    Key::new(format!("key-{number}")).unwrap()
}

fn session(hub: &Hub, number: usize) -> Session {
    Session::new(hub.clone(), Identity::new(key(number)), None, true, false)
}

fn of(key: &Key) -> Recipients {
    Recipients::key(key.clone())
}

/// The store in memory waits for nobody but other tasks.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("done at once")
}

/// All sessions in one list, with whether they are still open, and which are in the store, in the order in which they came.
#[derive(Default)]
struct Model {
    sessions: Vec<(Session, bool)>,
    stored: Vec<usize>,
    /// Sessions and groups that they have joined, also of sessions that have ended.
    joined: HashSet<(usize, usize)>,
}

impl Model {
    fn of_key(&self, key: &Key) -> Vec<usize> {
        self.stored.iter().copied().filter(|&number| self.sessions[number].0.key() == key).collect()
    }

    /// What the policy says: the ones to replace, or none may come.
    fn insert(&mut self, session: &Session, policy: SessionPolicy) -> Option<Vec<Session>> {
        let present = self.of_key(session.key());
        let replaced = match policy {
            SessionPolicy::Many { cap } if present.len() < cap.get() => vec![],
            SessionPolicy::Replace => present,
            SessionPolicy::Reject if present.is_empty() => vec![],
            _ => {
                self.sessions.push((session.clone(), true));
                return None;
            }
        };
        self.stored.retain(|number| !replaced.contains(number));
        self.stored.push(self.sessions.len());
        self.sessions.push((session.clone(), true));
        Some(replaced.into_iter().map(|number| self.sessions[number].0.clone()).collect())
    }

    fn members(&self, group: usize) -> Vec<usize> {
        self.stored.iter().copied().filter(|&session| self.joined.contains(&(session, group))).collect()
    }

    fn groups(&self, session: usize) -> HashSet<Group> {
        (0..GROUPS).filter(|&number| self.joined.contains(&(session, number))).map(group).collect()
    }

    fn join(&mut self, session: usize, group: usize) -> Result<Joined, &'static str> {
        if !self.stored.contains(&session) {
            return Err("ended");
        }
        if self.joined.contains(&(session, group)) {
            return Ok(Joined::default());
        }
        if self.groups(session).len() == GROUPS_PER_SESSION {
            return Err("too many");
        }
        let first = self.members(group).is_empty();
        self.joined.insert((session, group));
        Ok(Joined { joined: true, first })
    }

    fn leave(&mut self, session: usize, group: usize) -> Left {
        if !self.stored.contains(&session) {
            return Left::default();
        }
        let left = self.joined.remove(&(session, group));
        Left { left, last: left && self.members(group).is_empty() }
    }

    fn dispatch(&mut self, to: &Recipients, close: bool) -> usize {
        let meant = |number: usize| match &to.target {
            Target::Group(target) => self.groups(number).contains(target),
            _ => Recipients::from(to.target.clone()).includes(&self.sessions[number].0),
        };
        let excepted = |number: usize| to.except == Some(self.sessions[number].0.id());
        let meant: Vec<_> =
            self.stored.iter().copied().filter(|&number| meant(number) && !excepted(number)).collect();
        let mut delivered = 0;
        for number in meant {
            let open = &mut self.sessions[number].1;
            delivered += usize::from(*open);
            *open &= !close;
        }
        delivered
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_says_what_a_list_would_say(policy in policy(), calls in vec(call(), 0..60)) {
        let (hub, store, mut model) = (hub(), MemoryStore::new(), Model::default());
        for call in calls {
            match call {
                Call::Insert { key } => {
                    let session = session(&hub, key);
                    let first = model.of_key(session.key()).is_empty();
                    let inserted = now(store.insert(session.clone(), policy)).ok();
                    let inserted = inserted.map(|Inserted { replaced, first }| (replaced, first));
                    prop_assert_eq!(inserted, model.insert(&session, policy).map(|replaced| (replaced, first)));
                }
                Call::Remove { session } => {
                    let before = model.stored.len();
                    model.stored.retain(|number| *number != session);
                    if let Some((session, _)) = model.sessions.get(session) {
                        let last = model.stored.len() < before && model.of_key(session.key()).is_empty();
                        prop_assert_eq!(now(store.remove(session)), Removed { last });
                    }
                }
                Call::Join { session: number, group: to } => {
                    let Some((session, _)) = model.sessions.get(number) else { continue };
                    let joined = now(store.join(session, &group(to))).map_err(|error| match error {
                        JoinError::Ended => "ended",
                        JoinError::TooMany { limit: GROUPS_PER_SESSION } => "too many",
                        _ => "an unknown error",
                    });
                    prop_assert_eq!(joined, model.join(number, to));
                }
                Call::Leave { session: number, group: from } => {
                    let Some((session, _)) = model.sessions.get(number) else { continue };
                    let left = now(store.leave(session, &group(from)));
                    prop_assert_eq!(left, model.leave(number, from));
                }
                Call::Dispatch { to, except, close } => {
                    let known = |number: usize| model.sessions.get(number).map(|(session, _)| session);
                    let to = match to {
                        Whom::Key(number) => Recipients::key(key(number)),
                        // Put together by hand, so a key may be in there twice.
                        Whom::Keys(numbers) => Target::Keys(numbers.into_iter().map(key).collect()).into(),
                        Whom::Group(number) => Recipients::group(group(number)),
                        Whom::Session(number) => match known(number) {
                            Some(session) => Recipients::session(session),
                            None => continue,
                        },
                        Whom::Everyone => Recipients::everyone(),
                    };
                    let to = match except.and_then(known) {
                        Some(session) => to.except(session),
                        None => to,
                    };
                    let order = if close {
                        Order::Close(CloseCode::NORMAL, "".into())
                    } else {
                        Order::Deliver(Frame::text("x"))
                    };
                    let delivery = now(store.dispatch(&to, &order));
                    let delivered = model.dispatch(&to, close);
                    prop_assert_eq!((delivery.delivered, delivery.slow), (delivered, 0));
                }
            }
            for number in 0..KEYS {
                let expected: Vec<_> = model.of_key(&key(number)).into_iter().map(|at| &model.sessions[at].0).cloned().collect();
                prop_assert_eq!(now(store.sessions(&of(&key(number)))), expected);
            }
            let keys = Recipients::keys((0..KEYS).map(key));
            prop_assert_eq!(now(store.sessions(&keys)).len(), model.stored.len());
            for number in 0..GROUPS {
                let expected: HashSet<_> = model.members(number).into_iter().map(|at| model.sessions[at].0.id()).collect();
                let members = now(store.sessions(&Recipients::group(group(number))));
                prop_assert_eq!(now(store.members(&group(number))), expected.len());
                prop_assert_eq!(members.len(), expected.len());
                prop_assert_eq!(members.iter().map(Session::id).collect::<HashSet<_>>(), expected);
            }
            prop_assert_eq!(store.groups.is_empty(), (0..GROUPS).all(|number| model.members(number).is_empty()));
            for (number, (session, _)) in model.sessions.iter().enumerate() {
                prop_assert_eq!(session.groups().into_iter().collect::<HashSet<_>>(), model.groups(number));
            }
            let everyone = now(store.sessions(&Recipients::everyone()));
            prop_assert_eq!(everyone.len(), model.stored.len());
            prop_assert!(model.stored.iter().all(|&at| everyone.contains(&model.sessions[at].0)));
            let keys: HashSet<_> = model.stored.iter().map(|&number| model.sessions[number].0.key()).collect();
            prop_assert_eq!(now(store.counts()), Counts { sessions: model.stored.len(), keys: keys.len() });
            for (session, open) in &model.sessions {
                prop_assert_eq!(session.is_open(), *open);
            }
        }
    }
}

/// Threads that come, send and go under few keys, while a session that stays looks on.
#[test]
fn many_at_once_break_no_promise() {
    const THREADS: usize = 4;
    const TURNS: usize = 2_000;
    let cap = NonZeroUsize::new(2).unwrap();
    for policy in [SessionPolicy::Many { cap }, SessionPolicy::Replace, SessionPolicy::Reject] {
        let (hub, store) = (&hub(), &MemoryStore::new());
        let witness = session(hub, KEYS);
        now(store.insert(witness.clone(), policy)).unwrap();
        let (came, went) = (&AtomicUsize::new(0), &AtomicUsize::new(0));
        let (firsts, lasts) = (&AtomicUsize::new(0), &AtomicUsize::new(0));
        let known = &Mutex::new(HashSet::new());
        let end = &|session: &Session, code| {
            if session.close(code, "") == Outcome::Accepted {
                went.fetch_add(1, Ordering::SeqCst);
            }
        };
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let witness = &witness;
                scope.spawn(move || {
                    for turn in 0..TURNS {
                        let mine = session(hub, (turn + thread) % KEYS);
                        let Ok(inserted) = now(store.insert(mine.clone(), policy)) else { continue };
                        let Inserted { replaced, first } = inserted;
                        firsts.fetch_add(usize::from(first), Ordering::SeqCst);
                        came.fetch_add(1, Ordering::SeqCst);
                        for session in replaced {
                            // Only one who comes gets to replace it. Meanwhile it may end by itself.
                            assert!(known.lock().unwrap().insert(session.id()), "replaced twice");
                            end(&session, CloseCode::REPLACED);
                        }
                        let limit = if matches!(policy, SessionPolicy::Many { .. }) { cap.get() } else { 1 };
                        assert!(now(store.sessions(&of(mine.key()))).len() <= limit, "{policy:?}");
                        // Who stays is reached whatever the others do.
                        let nothing = Order::Deliver(Frame::join([]));
                        assert!(now(store.dispatch(&Recipients::everyone(), &nothing)).delivered >= 1);
                        assert!(now(store.sessions(&of(witness.key()))).contains(witness));
                        let was_there = now(store.sessions(&of(mine.key()))).contains(&mine);
                        assert!(was_there || policy == SessionPolicy::Replace, "{policy:?}");
                        let Removed { last } = now(store.remove(&mine));
                        lasts.fetch_add(usize::from(last), Ordering::SeqCst);
                        assert!(!now(store.sessions(&of(mine.key()))).contains(&mine));
                        end(&mine, CloseCode::NORMAL);
                    }
                });
            }
        });
        assert!(came.load(Ordering::SeqCst) > TURNS);
        assert_eq!(came.load(Ordering::SeqCst), went.load(Ordering::SeqCst), "{policy:?}");
        assert_eq!(
            firsts.load(Ordering::SeqCst),
            lasts.load(Ordering::SeqCst),
            "each key that came has gone"
        );
        assert_eq!(now(store.counts()), Counts { sessions: 1, keys: 1 });
    }
}

#[test]
fn a_session_that_was_inserted_twice_leaves_as_a_whole() {
    let (hub, store) = (hub(), MemoryStore::new());
    let session = session(&hub, 0);
    let policy = SessionPolicy::Many { cap: NonZeroUsize::new(2).unwrap() };
    for _ in 0..2 {
        now(store.insert(session.clone(), policy)).unwrap();
    }
    assert!(now(store.remove(&session)).last);
    let order = Order::Deliver(Frame::text("x"));
    assert_eq!(now(store.dispatch(&Recipients::everyone(), &order)), Delivery::default());
    assert_eq!(now(store.counts()), Counts::default());
}

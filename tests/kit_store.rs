//! `keywire::testing::store`: keywire's own stores keep the contract, and a store with any one of these bugs does not pass.
#![cfg(feature = "testing")]

mod support;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use keywire::limits::SessionPolicy;
use keywire::session::{Group, JoinError, Joined, Left};
use keywire::store::{Counts, Inserted, MemoryStore, Order, Recipients, Removed, StoreError, Target};
use keywire::testing::store;
use keywire::{Delivery, Session, SessionStore, async_trait};
use support::ListStore;

#[tokio::test]
async fn the_store_in_memory() {
    let memory = MemoryStore::new();
    store::all(&memory).await;
    // Nothing was left behind.
    assert_eq!(memory.counts().await, Counts::default());
    store::all(&memory).await;
    store::all(&Arc::new(memory)).await;
}

#[tokio::test]
async fn a_store_from_scratch() {
    store::all(&ListStore::default()).await;
}

/// A decorator that takes a turn of the runtime for each call.
#[tokio::test]
async fn a_decorator_that_forwards() {
    store::all(&Mutant::new(Bug::None)).await;
}

/// A decorator without the three methods of groups, and what the check says to it.
#[tokio::test]
async fn a_decorator_that_forgets_groups_is_told_the_rule() {
    struct Forgetful(MemoryStore);

    #[async_trait]
    impl SessionStore for Forgetful {
        async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Inserted, StoreError> {
            self.0.insert(session, policy).await
        }

        async fn remove(&self, session: &Session) -> Removed {
            self.0.remove(session).await
        }

        async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
            self.0.dispatch(to, order).await
        }

        async fn sessions(&self, of: &Recipients) -> Vec<Session> {
            self.0.sessions(of).await
        }

        async fn counts(&self) -> Counts {
            self.0.counts().await
        }
    }

    let checked = tokio::spawn(async { store::all(&Forgetful(MemoryStore::new())).await }).await;
    let panic = checked.expect_err("it has no groups").into_panic();
    let said = panic.downcast_ref::<String>().expect("a message");
    assert!(said.contains("a store around another store forwards these three"), "{said}");
}

#[tokio::test]
async fn each_bug_is_found() {
    let bugs = [
        Bug::AlwaysFirst,
        Bug::NeverFirst,
        Bug::FirstDecidedEarly,
        Bug::NeverLast,
        Bug::LastIfNoneIsLeft,
        Bug::RemovesTheKey,
        Bug::RemovesNothing,
        Bug::KeepsReplaced,
        Bug::ForgetsReplaced,
        Bug::IgnoresThePolicy,
        Bug::InsertsRefused,
        Bug::RemembersDropped,
        Bug::NewestFirst,
        Bug::IgnoresExceptInSessions,
        Bug::OneKeyEach,
        Bug::CountsForever,
        Bug::Twice,
        Bug::TwiceIfNamedTwice,
        Bug::IgnoresExcept,
        Bug::KeysAsEveryone,
        Bug::SessionAsKey,
        Bug::SessionAsKeyNow,
        Bug::SendsAndSaysNothingNow,
        Bug::OthersLater,
        Bug::SaysNothing,
        Bug::ClosesNobody,
        Bug::RemovesClosed,
        Bug::AFewThousand,
        Bug::ForgetsGroups,
        Bug::AnyoneJoins,
        Bug::NobodyLeaves,
        Bug::AlwaysLastOfGroup,
        Bug::MembersStay,
    ];
    for bug in bugs {
        let checked = tokio::spawn(async move { store::all(&Mutant::new(bug)).await }).await;
        assert!(checked.is_err_and(|error| error.is_panic()), "{bug:?} is not found");
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    AlwaysFirst,
    NeverFirst,
    FirstDecidedEarly,
    NeverLast,
    LastIfNoneIsLeft,
    RemovesTheKey,
    RemovesNothing,
    KeepsReplaced,
    ForgetsReplaced,
    IgnoresThePolicy,
    InsertsRefused,
    RemembersDropped,
    NewestFirst,
    IgnoresExceptInSessions,
    OneKeyEach,
    CountsForever,
    Twice,
    TwiceIfNamedTwice,
    IgnoresExcept,
    KeysAsEveryone,
    SessionAsKey,
    SessionAsKeyNow,
    SendsAndSaysNothingNow,
    OthersLater,
    SaysNothing,
    ClosesNobody,
    RemovesClosed,
    AFewThousand,
    ForgetsGroups,
    AnyoneJoins,
    NobodyLeaves,
    AlwaysLastOfGroup,
    MembersStay,
}

/// A decorator of a good store, with one bug.
struct Mutant {
    store: Arc<MemoryStore>,
    bug: Bug,
    /// What its bug makes it remember.
    memory: Mutex<HashSet<Session>>,
}

impl Mutant {
    fn new(bug: Bug) -> Self {
        Self { store: Arc::default(), bug, memory: Mutex::default() }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    fn remembers(&self, session: &Session) -> bool {
        self.memory.lock().expect("no panic").contains(session)
    }

    fn remember(&self, session: &Session) {
        self.memory.lock().expect("no panic").insert(session.clone());
    }

    async fn of_key(&self, session: &Session) -> Vec<Session> {
        self.store.sessions(&Recipients::key(session.key().clone())).await
    }
}

#[async_trait]
impl SessionStore for Mutant {
    async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Inserted, StoreError> {
        const ALL: SessionPolicy = SessionPolicy::Many { cap: std::num::NonZeroUsize::MAX };
        let was_empty = self.of_key(&session).await.is_empty();
        if !self.has(Bug::RemembersDropped) {
            tokio::task::yield_now().await;
        }
        let policy = if self.has(Bug::IgnoresThePolicy) { ALL } else { policy };
        let inserted = self.store.insert(session.clone(), policy).await;
        if self.has(Bug::InsertsRefused) && inserted.is_err() {
            let _ = self.store.insert(session.clone(), ALL).await;
        }
        if self.has(Bug::RemembersDropped) {
            tokio::task::yield_now().await;
            self.remember(&session);
        }
        let Inserted { replaced, first } = inserted?;
        if self.has(Bug::KeepsReplaced) {
            for session in &replaced {
                let _ = self.store.insert(session.clone(), ALL).await;
            }
        }
        if self.has(Bug::CountsForever) {
            self.remember(&session);
        }
        Ok(Inserted {
            replaced: if self.has(Bug::ForgetsReplaced) { Vec::new() } else { replaced },
            first: match self.bug {
                Bug::AlwaysFirst => true,
                Bug::NeverFirst => false,
                Bug::FirstDecidedEarly => was_empty,
                _ => first,
            },
        })
    }

    async fn remove(&self, session: &Session) -> Removed {
        tokio::task::yield_now().await;
        if self.has(Bug::RemovesNothing) || self.has(Bug::RemembersDropped) && !self.remembers(session) {
            return Removed::default();
        }
        let Removed { last } = self.store.remove(session).await;
        if self.has(Bug::RemovesTheKey) {
            for session in self.of_key(session).await {
                self.store.remove(&session).await;
            }
        }
        let last = match self.bug {
            Bug::NeverLast => false,
            Bug::LastIfNoneIsLeft => self.of_key(session).await.is_empty(),
            _ => last,
        };
        Removed { last }
    }

    fn dispatch_now(&self, to: &Recipients, order: &Order) -> Option<Delivery> {
        match (self.bug, &to.target) {
            (Bug::SessionAsKeyNow, Target::Session(key, _)) => {
                self.store.dispatch_now(&Recipients::key(key.clone()), order)
            }
            (Bug::SendsAndSaysNothingNow, _) => {
                self.store.dispatch_now(to, order);
                None
            }
            _ => None,
        }
    }

    async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
        tokio::task::yield_now().await;
        let mut to = to.clone();
        match (self.bug, &to.target) {
            (Bug::IgnoresExcept, _) => to.except = None,
            (Bug::KeysAsEveryone, Target::Keys(_)) => to.target = Target::Everyone,
            (Bug::SessionAsKey, Target::Session(key, _)) => to.target = Target::Key(key.clone()),
            (Bug::Twice, _) => _ = self.store.dispatch(&to, order).await,
            (Bug::TwiceIfNamedTwice, Target::Keys(keys)) => {
                let mut delivery = Delivery::default();
                for key in keys {
                    let mut to = to.clone();
                    to.target = Target::Key(key.clone());
                    delivery.delivered += self.store.dispatch(&to, order).await.delivered;
                }
                return delivery;
            }
            (Bug::OthersLater, Target::Everyone) => {
                let (store, order) = (self.store.clone(), order.clone());
                tokio::spawn(async move { store.dispatch(&to, &order).await });
                return Delivery::default();
            }
            (Bug::ClosesNobody, _) if matches!(order, Order::Close(..)) => return Delivery::default(),
            (Bug::AFewThousand, _) => {
                let all = self.store.sessions(&to).await;
                return all.iter().take(4096).map(|session| session.apply(order)).collect();
            }
            _ => {}
        }
        let delivery = self.store.dispatch(&to, order).await;
        if self.has(Bug::RemovesClosed) && matches!(order, Order::Close(..)) {
            for session in self.store.sessions(&to).await {
                for session in self.of_key(&session).await {
                    self.store.remove(&session).await;
                }
            }
        }
        if self.has(Bug::SaysNothing) { Delivery::default() } else { delivery }
    }

    async fn sessions(&self, of: &Recipients) -> Vec<Session> {
        tokio::task::yield_now().await;
        let except = of.except.filter(|_| !self.has(Bug::IgnoresExceptInSessions));
        let mut to = of.clone();
        to.except = except;
        let mut sessions = self.store.sessions(&to).await;
        if self.has(Bug::NewestFirst) {
            sessions.reverse();
        }
        sessions
    }

    async fn counts(&self) -> Counts {
        tokio::task::yield_now().await;
        let Counts { sessions, keys } = self.store.counts().await;
        match self.bug {
            Bug::OneKeyEach => Counts { sessions, keys: sessions },
            Bug::CountsForever => Counts { sessions: self.memory.lock().expect("no panic").len(), keys },
            _ => Counts { sessions, keys },
        }
    }

    async fn join(&self, session: &Session, group: &Group) -> Result<Joined, JoinError> {
        tokio::task::yield_now().await;
        match (self.bug, self.store.join(session, group).await) {
            (Bug::ForgetsGroups, _) => Err(JoinError::Unavailable("groups are not supported".into())),
            (Bug::AnyoneJoins, Err(JoinError::Ended)) => Ok(Joined { joined: true, first: false }),
            (Bug::MembersStay, joined) => {
                self.remember(session);
                joined
            }
            (_, joined) => joined,
        }
    }

    async fn leave(&self, session: &Session, group: &Group) -> Left {
        tokio::task::yield_now().await;
        if self.has(Bug::NobodyLeaves) {
            return Left { left: session.is_in(group), last: false };
        }
        let left = self.store.leave(session, group).await;
        Left { last: left.last || self.has(Bug::AlwaysLastOfGroup) && left.left, ..left }
    }

    async fn members(&self, group: &Group) -> usize {
        tokio::task::yield_now().await;
        if self.has(Bug::MembersStay) {
            return self
                .memory
                .lock()
                .expect("no panic")
                .iter()
                .filter(|session| session.is_in(group))
                .count();
        }
        self.store.members(group).await
    }
}

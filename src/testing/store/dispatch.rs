use super::scene::{hub, insert, listener, listener_on, new_group, remove_all};
use crate::delivery::{Delivery, Order, Recipients, Target};
use crate::frame::Frame;
use crate::key::Key;
use crate::message::Push;
use crate::session::{Sent, Session};
use crate::store::SessionStore;
use crate::testing::new_key;
use crate::websocket::CloseCode;

/// Sessions of two keys, two of the first.
struct Scene {
    keys: [Key; 2],
    sessions: Vec<Session>,
    sent: Vec<Sent>,
}

impl Scene {
    async fn begin(store: &dyn SessionStore, name: &str) -> Self {
        let keys = [new_key(name), new_key(name)];
        let (sessions, sent) = [&keys[0], &keys[0], &keys[1]].into_iter().map(listener).unzip();
        for session in &sessions {
            insert(store, session).await;
        }
        Self { keys, sessions, sent }
    }

    /// Sends, and checks which of the three got it.
    async fn check(&mut self, store: &dyn SessionStore, to: &Recipients, expected: [usize; 3]) {
        let delivery = deliver(store, to, 1).await;
        self.got(to, expected, &delivery);
        // What is done at once is the same.
        match store.dispatch_now(to, &order(1)) {
            Some(delivery) => self.got(to, expected, &delivery),
            None => {
                let got = [0, 1, 2].map(|at| self.sent[at].pushes().len());
                assert_eq!(got, [0; 3], "who got what `dispatch_now` has not sent to {to:?}");
            }
        }
    }

    fn got(&mut self, to: &Recipients, expected: [usize; 3], delivery: &Delivery) {
        let got = [0, 1, 2].map(|at| self.sent[at].pushes().len());
        assert_eq!(got, expected, "who got what was sent to {to:?}");
        // Everyone may be more than these.
        if to.target != Target::Everyone {
            let expected =
                Delivery { delivered: expected.iter().sum(), remote: delivery.remote, ..Delivery::default() };
            assert_eq!(*delivery, expected, "what was told of {to:?}");
        }
    }
}

/// An order reaches each of its recipients once, and no other session: a key, several keys, one session, everyone, and each of them without
/// one session. The [`Delivery`] says how many took it.
pub async fn an_order_reaches_its_recipients_once(store: &dyn SessionStore) {
    let mut scene = Scene::begin(store, "reach").await;
    let [one, other] = scene.keys.clone();
    let session = scene.sessions[1].clone();
    // Also a list that an application has made itself.
    let repeated = || Recipients::from(Target::Keys([&one, &other, &one].map(Key::clone).into()));
    for (to, expected) in [
        (Recipients::key(one.clone()), [1, 1, 0]),
        (Recipients::key(other.clone()), [0, 0, 1]),
        (Recipients::key(one.clone()).except(&session), [1, 0, 0]),
        (Recipients::keys([one.clone(), other.clone(), new_key("reach-nobody")]), [1, 1, 1]),
        (Recipients::keys([other.clone()]), [0, 0, 1]),
        (repeated(), [1, 1, 1]),
        (repeated().except(&session), [1, 0, 1]),
        (Recipients::session(&session), [0, 1, 0]),
        (Recipients::session(&session).except(&session), [0, 0, 0]),
        (Recipients::everyone(), [1, 1, 1]),
        (Recipients::everyone().except(&session), [1, 0, 1]),
    ] {
        scene.check(store, &to, expected).await;
    }
    store.remove(&session).await;
    scene.check(store, &Recipients::key(one), [1, 0, 0]).await;
    scene.check(store, &Recipients::session(&session), [0, 0, 0]).await;
    scene.check(store, &Recipients::everyone(), [1, 0, 1]).await;
    remove_all(store, scene.sessions).await;
}

/// Recipients that are not there get nothing, which is no error.
pub async fn unknown_recipients_get_nothing(store: &dyn SessionStore) {
    let mut scene = Scene::begin(store, "unknown").await;
    let (stranger, _sent) = listener(&scene.keys[0]);
    for to in [
        Recipients::key(new_key("unknown-key")),
        Recipients::keys([new_key("unknown-key")]),
        Recipients::keys([]),
        Recipients::session(&stranger),
        Recipients::group(new_group("unknown")),
    ] {
        scene.check(store, &to, [0, 0, 0]).await;
    }
    remove_all(store, scene.sessions).await;
}

/// What one caller sends in several calls reaches each session in their order, whatever the recipients are.
pub async fn orders_keep_their_order(store: &dyn SessionStore) {
    let mut scene = Scene::begin(store, "calls").await;
    let to = [
        Recipients::key(scene.keys[0].clone()),
        Recipients::everyone(),
        Recipients::session(&scene.sessions[0]),
        Recipients::keys(scene.keys.clone()),
    ];
    for number in 0..100 {
        deliver(store, &to[number % to.len()], number).await;
    }
    let expected: Vec<_> = (0..100).map(Push::data).collect();
    assert_eq!(scene.sent[0].pushes(), expected);
    remove_all(store, scene.sessions).await;
}

/// An order to close is applied like any other. A session that is closed takes nothing more, which [`Delivery`] says.
pub async fn a_closed_session_stays_until_it_is_removed(store: &dyn SessionStore) {
    let mut scene = Scene::begin(store, "close").await;
    let to = Recipients::key(scene.keys[0].clone()).except(&scene.sessions[0]);
    let order = Order::Close(CloseCode::DISCONNECTED, "away".into());
    assert_eq!(store.dispatch(&to, &order).await.delivered, 1);
    let closed = scene.sent[1].closed().expect("a closed session");
    assert_eq!((closed.code, &*closed.reason), (CloseCode::DISCONNECTED, "away"));
    assert!(scene.sessions[0].is_open() && scene.sessions[2].is_open(), "others are not closed");
    scene.check(store, &Recipients::key(scene.keys[0].clone()), [1, 0, 0]).await;
    assert!(!store.remove(&scene.sessions[1]).await.last);
    remove_all(store, scene.sessions).await;
}

/// More sessions than a store applies an order to in one turn.
pub async fn many_sessions_are_reached_once(store: &dyn SessionStore) {
    const KEYS: usize = 50;
    const SESSIONS: usize = 5000;
    let (hub, keys) = (hub(), [(); KEYS].map(|()| new_key("crowd")));
    let mut crowd: Vec<_> = (0..SESSIONS).map(|at| listener_on(&hub, &keys[at % KEYS])).collect();
    for (session, _) in &crowd {
        insert(store, session).await;
    }
    let except = Recipients::everyone().except(&crowd[SESSIONS / 2].0);
    let expected =
        [(Recipients::keys(keys), SESSIONS), (Recipients::everyone(), SESSIONS), (except, SESSIONS - 1)];
    for (to, expected) in expected {
        deliver(store, &to, 1).await;
        let got: Vec<_> = crowd.iter_mut().map(|(_, sent)| sent.pushes().len()).collect();
        assert!(got.iter().all(|got| *got <= 1), "a session got an order twice");
        assert_eq!(got.iter().sum::<usize>(), expected, "sessions that got what was for all, or all but one");
    }
    remove_all(store, crowd.into_iter().map(|(session, _)| session)).await;
}

async fn deliver(store: &dyn SessionStore, to: &Recipients, number: usize) -> Delivery {
    store.dispatch(to, &order(number)).await
}

fn order(number: usize) -> Order {
    Order::Deliver(Frame::push(&Push::data(number)))
}

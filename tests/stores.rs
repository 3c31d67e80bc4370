//! A store that hangs or panics, in whatever it is asked: nobody else is harmed, and what is told is true.
#![cfg(feature = "testing")]

mod support;

use std::collections::HashSet;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keywire::auth::RawKey;
use keywire::limits::SessionPolicy;
use keywire::session::{CloseCode, RequestError};
use keywire::store::{Counts, Inserted, MemoryStore, Order, Recipients, Removed, StoreError};
use keywire::testing::Tab;
use keywire::{Config, Delivery, Hub, Push, Session, SessionStore, async_trait};
use support::{telling_ends, within};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Hangs,
    Panics,
    /// Comes back once it has been asked a second time.
    Yields,
}

/// In place of a method.
const ALL: &str = "all";

const BOTH: [Fault; 2] = [Fault::Hangs, Fault::Panics];

/// A store in memory that fails where it is told to.
#[derive(Clone, Default)]
struct Faulty(Arc<Inner>);

#[derive(Default)]
struct Inner {
    store: MemoryStore,
    fault: Mutex<Option<(&'static str, Fault)>>,
    asked: Mutex<HashSet<&'static str>>,
}

impl Faulty {
    fn fails(&self, method: &'static str, fault: Fault) {
        *self.0.fault.lock().expect("no panic") = Some((method, fault));
    }

    fn recovers(&self) {
        *self.0.fault.lock().expect("no panic") = None;
    }

    async fn pass(&self, method: &'static str) {
        self.0.asked.lock().expect("no panic").insert(method);
        let fault = *self.0.fault.lock().expect("no panic");
        match fault {
            Some((failing, Fault::Hangs)) if failing == method || failing == ALL => pending().await,
            Some((failing, Fault::Panics)) if failing == method => panic!("a store's bug"),
            Some((failing, Fault::Yields)) if failing == method => tokio::task::yield_now().await,
            _ => {}
        }
    }
}

#[async_trait]
impl SessionStore for Faulty {
    async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Inserted, StoreError> {
        // It has done its work, and is late to say so.
        let inserted = self.0.store.insert(session, policy).await;
        self.pass("insert").await;
        inserted
    }

    async fn remove(&self, session: &Session) -> Removed {
        self.pass("remove").await;
        self.0.store.remove(session).await
    }

    async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
        self.pass("dispatch").await;
        self.0.store.dispatch(to, order).await
    }

    async fn sessions(&self, of: &Recipients) -> Vec<Session> {
        self.pass("sessions").await;
        self.0.store.sessions(of).await
    }

    async fn counts(&self) -> Counts {
        self.pass("counts").await;
        self.0.store.counts().await
    }
}

fn hub(store: &Faulty) -> keywire::HubBuilder {
    let config = Config { store_timeout: Duration::from_secs(5), ..Config::default() };
    Hub::builder(RawKey::from_path()).config(config).store(store.clone())
}

#[tokio::test(start_paused = true)]
async fn an_opening_that_it_does_not_take_is_sent_away_and_leaves_nothing_behind() {
    for fault in BOTH {
        let store = Faulty::default();
        let hub = hub(&store).build();
        let mut bob = Tab::open(&hub, "bob").await;
        store.fails("insert", fault);
        let refused = Tab::connect(&hub, Tab::builder().path_key("alice")).await.expect_err("refused");
        assert_eq!(refused.code(), 1013, "{fault:?}");
        bob.assert_silent().await;
        assert_eq!(hub.counts().await.sessions, 1);
        store.recovers();
        Tab::open(&hub, "alice").await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_opening_that_it_cannot_decide_about_is_refused() {
    for fault in BOTH {
        let store = Faulty::default();
        let hub = hub(&store).build();
        store.fails("sessions", fault);
        let refused =
            Tab::connect(&hub, Tab::builder().path_key("alice").plain()).await.expect_err("refused");
        assert_eq!((refused.code(), refused.kind()), (503, "unavailable"));
        assert_eq!(hub.counts().await, Counts::default());
        store.recovers();
        Tab::open(&hub, "alice").await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_it_does_not_notice_is_one_all_the_same() {
    for fault in BOTH {
        let store = Faulty::default();
        let (switch, mut ends) = telling_ends();
        let hub = hub(&store).handler(switch).build();
        let mut alice = Tab::open(&hub, "alice").await;
        store.fails("remove", fault);
        hub.disconnect("alice").await;
        assert_eq!(u16::from(alice.closed().await.code), 4505);
        let (session, closed) = ends.next("the end").await;
        assert_eq!(u16::from(closed.code), 4505);
        assert!(!session.is_open());
        // It still has her, but she takes nothing.
        let delivery = hub.send_to("alice", Push::message("")).await;
        assert!(delivery.is_absent() && !delivery.incomplete);
        assert_eq!(within("the last connection", hub.shutdown(Duration::MAX)).await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_delays_a_close_frame_once() {
    let store = Faulty::default();
    let hub = hub(&store).build();
    let mut alice = Tab::open(&hub, "alice").await;
    let sessions = hub.sessions("alice").await;
    store.fails(ALL, Fault::Hangs);
    let start = tokio::time::Instant::now();
    sessions[0].close(CloseCode::DISCONNECTED, "");
    assert_eq!(u16::from(alice.closed().await.code), 4505);
    assert_eq!(start.elapsed().as_secs(), 5, "the store's timeout");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_it_does_not_finish_says_so() {
    for fault in BOTH {
        let store = Faulty::default();
        let hub = hub(&store).build();
        let mut alice = Tab::open(&hub, "alice").await;
        store.fails("dispatch", fault);
        let delivery = hub.send_to("alice", Push::message("lost")).await;
        assert!(delivery.incomplete, "{fault:?}");
        assert!(!delivery.is_absent());
        assert!(hub.broadcast(Push::message("lost")).await.incomplete);
        assert!(hub.disconnect("alice").await.incomplete);
        alice.assert_silent().await;
        store.recovers();
        let delivery = hub.send_to("alice", Push::message("found")).await;
        assert_eq!((delivery.delivered, delivery.incomplete), (1, false));
        assert_eq!(alice.next().await, Push::message("found"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_to_sessions_that_it_does_not_find_fails() {
    for fault in BOTH {
        let store = Faulty::default();
        let hub = hub(&store).build();
        store.fails("sessions", fault);
        let question = Push::message("").with_flag("visible");
        let asked = hub.request(Recipients::everyone(), question, Duration::from_secs(1)).await;
        assert_eq!(asked.err(), Some(RequestError::Unavailable), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_it_does_not_count_is_nothing() {
    for fault in BOTH {
        let store = Faulty::default();
        let hub = hub(&store).build();
        let _alice = Tab::open(&hub, "alice").await;
        store.fails("counts", fault);
        assert_eq!(hub.counts().await, Counts::default());
        store.fails("sessions", fault);
        assert_eq!(hub.sessions("alice").await, []);
        store.recovers();
        assert_eq!(hub.counts().await.sessions, 1);
    }
}

/// Where nobody counts the time it is waited for, and that is all.
#[tokio::test]
async fn a_runtime_without_a_clock_may_send() {
    let store = Faulty::default();
    let hub = hub(&store).build();
    let mut alice = Tab::open(&hub, "alice").await;
    store.fails("dispatch", Fault::Yields);
    let sender = hub.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(sender.send_to("alice", Push::message("from afar")))
    });
    assert_eq!(alice.next().await, Push::message("from afar"));
    assert_eq!(thread.join().expect("no panic").delivered, 1);
}

/// Nobody is left to wait for the store, and a second panic while the first one unwinds would end the process.
#[test]
fn a_runtime_that_goes_away_takes_its_sessions_along() {
    for fault in [None, Some(Fault::Hangs), Some(Fault::Panics)] {
        let store = Faulty::default();
        let alive = Arc::new(());
        let handler = alive.clone();
        let switch = keywire::Switch::new().closed(move |_, _| {
            let _handler = &handler;
            async {}
        });
        let hub = hub(&store).handler(switch).build();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let session = runtime.block_on(async {
            let mut alice = tokio::spawn({
                let hub = hub.clone();
                async move { Tab::open(&hub, "alice").await }
            })
            .await
            .expect("no panic");
            alice.assert_silent().await;
            hub.sessions("alice").await.remove(0)
        });
        if let Some(fault) = fault {
            store.fails("remove", fault);
        }
        drop(runtime);
        assert!(store.0.asked.lock().expect("no panic").contains("remove"));
        assert!(!session.is_open());
        assert_eq!(session.send(Push::message("too late")), keywire::store::Outcome::Gone);
        // Of what was kept nothing else is kept alive.
        drop((hub, session));
        if fault.is_none() {
            drop(store);
            assert_eq!(Arc::strong_count(&alive), 1, "somebody still has the handler");
        }
    }
}

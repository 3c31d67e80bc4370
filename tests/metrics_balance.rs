//! Whatever comes, and however it goes: what was counted as opened is counted as closed, once.
#![cfg(all(feature = "metrics", feature = "warp"))]

mod support;

use std::sync::Arc;

use keywire::auth::{RawKey, Rejection};
use keywire::limits::SessionPolicy;
use keywire::store::{Counts, Inserted, MemoryStore, Order, Recipients, Removed, StoreError};
use keywire::{Delivery, Hub, HubBuilder, Session, SessionStore, async_trait};
use support::{CLOSE, Lines, Numbers, Server, masked, moves, until, watched};
use tokio::sync::Barrier;

fn hub() -> HubBuilder {
    Hub::builder(RawKey::from_path())
}

#[tokio::test]
async fn tabs_share_a_key_and_hubs_a_recorder() {
    let numbers = Numbers::new();
    let [one, two] = [Server::start(numbers.hub(hub())).await, Server::start(numbers.hub(hub())).await];
    let shown = || (numbers.get("sessions"), numbers.get("keys"));
    let mut first = one.client("alice").await;
    let mut second = one.client("alice").await;
    assert_eq!(shown(), (2.0, 1.0));
    let mut elsewhere = two.client("alice").await;
    assert_eq!(shown(), (3.0, 2.0));
    first.close(1000, "").await;
    assert_eq!(shown(), (2.0, 2.0));
    second.close(1000, "").await;
    assert_eq!(shown(), (1.0, 1.0));
    elsewhere.close(1000, "").await;
    assert_eq!(shown(), (0.0, 0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_crowd_that_comes_and_goes_at_once() {
    let (server, numbers) = watched(hub()).await;
    let server = Arc::new(server);
    let start = Arc::new(Barrier::new(16));
    let crowd = (0..16).map(|number| {
        let (server, start) = (server.clone(), start.clone());
        tokio::spawn(async move {
            for round in 0..20 {
                start.wait().await;
                // Two keys, so that many come while others of the same key go.
                let mut client = server.client(["alice", "bob"][number % 2]).await;
                if (number + round) % 3 == 0 { client.reset() } else { drop(client.close(1000, "").await) }
            }
        })
    });
    for one in crowd.collect::<Vec<_>>() {
        one.await.expect("no panic");
    }
    until("the end of all", async || match (numbers.get("sessions"), numbers.get("keys")) {
        (0.0, 0.0) => Ok(()),
        left => Err(format!("{left:?}")),
    })
    .await;
    let closed = numbers.all().into_iter().filter(|(name, _)| name.starts_with("sessions_closed_total"));
    assert_eq!(closed.map(|(_, count)| count).sum::<f64>(), 320.0);
    assert_eq!(numbers.get("sessions_opened_total"), 320.0);
}

#[test]
fn a_runtime_that_goes_away_ends_its_sessions() {
    let numbers = Numbers::new();
    let hub = numbers.hub(hub());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let clients = runtime.block_on(async {
        let server = Server::start(hub.clone()).await;
        (server.client("alice").await, server.client("alice").await, server.client("bob").await)
    });
    assert_eq!((numbers.get("sessions"), numbers.get("keys")), (3.0, 2.0));
    drop(runtime);
    assert_eq!((numbers.get("sessions"), numbers.get("keys")), (0.0, 0.0));
    assert_eq!(numbers.get(r#"sessions_closed_total{by="server",code="1006"}"#), 3.0);
    drop(clients);
}

/// A store that fails as the key says.
struct Faulty(MemoryStore);

#[async_trait]
impl SessionStore for Faulty {
    async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Inserted, StoreError> {
        match session.key().as_str() {
            "full" => Err(StoreError::TooMany),
            "banned" => Err(StoreError::Refused(Rejection::Forbidden)),
            "gone" => Err(StoreError::Unavailable("no connection".into())),
            "insert panics" => panic!("a store's bug"),
            _ => self.0.insert(session, policy).await,
        }
    }

    async fn remove(&self, session: &Session) -> Removed {
        let removed = self.0.remove(session).await;
        assert_ne!(session.key().as_str(), "remove panics", "a store's bug");
        removed
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

#[tokio::test]
async fn a_store_that_fails() {
    let (server, mut numbers) = watched(hub().store(Faulty(MemoryStore::new()))).await;
    for (key, code, kind) in [
        ("full", 4506, "too_many"),
        ("banned", 4503, "forbidden"),
        ("gone", 1013, "unavailable"),
        ("insert%20panics", 1013, "unavailable"),
    ] {
        assert_eq!(server.open(&format!("/websocket/{key}")).await.end().await.code, code);
        assert_eq!(numbers.moved(), moves(&[(&format!(r#"refusals_total{{kind="{kind}"}}"#), 1.0)]));
    }

    // A refusal is no failure of the store.
    let lines = Lines::default();
    let log = tracing_subscriber::fmt().with_ansi(false).with_writer(lines.clone()).finish();
    let guard = tracing::subscriber::set_default(log);
    server.open("/websocket/banned").await.end().await;
    drop(guard);
    let said = lines.take();
    let line = "INFO keywire::refusal: refused: the store says: forbidden. Setting: HubBuilder::store";
    assert!(said.contains(line) && !said.contains("ERROR"), "{said}");
    numbers.moved();

    let mut alice = server.raw_session("remove%20panics").await;
    assert_eq!(numbers.get("sessions"), 1.0);
    alice.write(&masked(CLOSE, &1000u16.to_be_bytes())).await;
    alice.gone().await;
    assert_eq!(numbers.ended().await, [r#"{by="peer",code="1000"}"#]);
}

//! What the API answers when a part of the server fails: 503, and what is known about the push.

use keywire::auth::RawKey;
use keywire::cluster::NodeId;
use keywire::cluster::presence::{
    ClusterCounts, NodeSessions, Presence, PresenceError, Renewed, Swept, Updated,
};
use keywire::limits::SessionPolicy;
use keywire::log::{LogError, MemoryLog};
use keywire::store::{Counts, Inserted, MemoryStore, Order, Recipients, Removed, SessionStore, StoreError};
use keywire::{Delivery, Hub, Key, Session, async_trait};
use serde_json::json;

use crate::api::{Api, delivery};
use crate::support::{FaultyLog, Moment};

#[tokio::test]
async fn a_log_that_fails_or_does_not_answer() {
    type Fault = fn() -> LogError;
    let faults: [(Moment, Fault, &str, &str); 2] = [
        (
            Moment::BeforeAppend,
            || LogError::Failed("the disk is full".into()),
            "failed",
            "the push is not kept, since the log failed or has no room for it; no session got it",
        ),
        (
            Moment::AfterAppend,
            || LogError::Unknown("no answer".into()),
            "unknown",
            "the log gave no answer in time, so the push may be kept; repeat it with the same `once`",
        ),
    ];
    for (when, fault, state, error) in faults {
        let log = FaultyLog::new(MemoryLog::new(), move |moment| async move {
            if moment == when { Err(fault()) } else { Ok(()) }
        });
        let hub = Hub::builder(RawKey::from_path()).log(log).build();
        let api = Api::start_with(hub, |api| api).await;
        let mut alice = api.tab("alice").await;
        let mut failed = delivery(0);
        failed["kept"]["state"] = state.into();
        let answer = api.post("/push/alice", json!({ "kept": true })).await;
        assert_eq!(answer, (503, json!({ "error": error, "delivery": failed })));
        let answer = api.post("/push", json!({ "keys": ["alice"], "push": { "kept": true } })).await;
        assert_eq!(answer, (503, json!({ "error": error, "deliveries": [failed] })));
        alice.ping().await;
        assert_eq!(api.post("/push/alice", json!({})).await, (200, delivery(1)));
    }
}

/// A store that fails whenever it is asked for anything but to hold a session.
struct Failing(MemoryStore);

#[async_trait]
impl SessionStore for Failing {
    async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Inserted, StoreError> {
        self.0.insert(session, policy).await
    }

    async fn remove(&self, session: &Session) -> Removed {
        self.0.remove(session).await
    }

    async fn dispatch(&self, _: &Recipients, _: &Order) -> Delivery {
        panic!("a store's bug")
    }

    async fn sessions(&self, _: &Recipients) -> Vec<Session> {
        panic!("a store's bug")
    }

    async fn counts(&self) -> Counts {
        panic!("a store's bug")
    }
}

#[tokio::test]
async fn a_store_that_fails() {
    let hub = Hub::builder(RawKey::from_path()).store(Failing(MemoryStore::new())).build();
    let api = Api::start_with(hub, |api| api).await;
    let mut incomplete = delivery(0);
    incomplete["incomplete"] = true.into();
    let error = "the store of sessions failed; some of them may have got it";
    let said = json!({ "error": error, "delivery": incomplete });
    assert_eq!(api.post("/push/alice", json!({})).await, (503, said.clone()));
    assert_eq!(api.post("/broadcast", json!({})).await, (503, said.clone()));
    assert_eq!(api.post("/groups/a", json!({})).await, (503, said.clone()));
    assert_eq!(api.delete("/sessions/alice").await, (503, said));
    let said = json!({ "error": "the store of sessions failed" });
    assert_eq!(api.get("/sessions/alice").await, (503, said.clone()));
    assert_eq!(api.get("/stats").await, (503, said));
}

/// A record of presence whose engine is away.
struct Away;

fn away<T>() -> Result<T, PresenceError> {
    Err(PresenceError::new("redis://user:s3cret@engine is away"))
}

#[async_trait]
impl Presence for Away {
    async fn update(&self, _: NodeId, _: &[(Key, usize)]) -> Result<Vec<Updated>, PresenceError> {
        away()
    }

    async fn renew(&self, _: NodeId, _: std::time::Duration) -> Result<Renewed, PresenceError> {
        away()
    }

    async fn sweep(&self, _: NodeId) -> Result<Swept, PresenceError> {
        away()
    }

    async fn live_nodes(&self) -> Result<Vec<NodeId>, PresenceError> {
        away()
    }

    async fn nodes(&self, _: &[Key]) -> Result<Vec<Vec<NodeSessions>>, PresenceError> {
        away()
    }

    async fn counts(&self) -> Result<ClusterCounts, PresenceError> {
        away()
    }
}

#[tokio::test]
async fn a_record_of_presence_that_fails() {
    let hub = Hub::builder(RawKey::from_path()).presence(Away).build();
    let api = Api::start_with(hub, |api| api).await;
    let said = json!({ "error": "the record of presence failed" });
    assert_eq!(api.get("/presence/alice").await, (503, said.clone()));
    assert_eq!(api.get("/stats").await, (503, said));
}

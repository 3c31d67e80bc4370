//! Two nodes, and the API on one of them.

use std::time::Duration;

use keywire::Hub;
use keywire::auth::RawKey;
use keywire::cluster::presence::{MemoryPresence, PresenceTiming};
use keywire::cluster::{Cluster, MemoryBackplane};
use serde_json::json;

use crate::api::{Api, delivery};
use crate::support::until;

async fn nodes() -> [Api; 2] {
    let (backplane, presence) = (MemoryBackplane::new(), MemoryPresence::new());
    let node = async || {
        let cluster = Cluster::from(backplane.join()).presence(presence.clone());
        let timing = PresenceTiming { delay: Duration::ZERO, ..PresenceTiming::default() };
        let hub = Hub::builder(RawKey::from_path()).cluster(cluster).presence_timing(timing).build();
        until("a connected node", async || if hub.health().is_good() { Ok(()) } else { Err(String::new()) })
            .await;
        Api::start_with(hub, |api| api).await
    };
    [node().await, node().await]
}

#[tokio::test]
async fn a_node_answers_for_the_cluster() {
    let [one, other] = nodes().await;
    let mut tabs = [one.tab("alice").await, other.tab("alice").await, other.tab("alice").await];
    let mut published = delivery(1);
    published["remote"] = "published".into();
    assert_eq!(one.post("/push/alice", json!({ "msg": "hi" })).await, (200, published.clone()));
    assert_eq!(one.post("/broadcast", json!({ "msg": "hi" })).await, (200, published.clone()));
    for tab in &mut tabs {
        for _ in 0..2 {
            assert_eq!(tab.next().await, json!({ "code": "00", "msg": "hi" }));
        }
    }

    // The record of presence is written after the sessions have begun.
    let mut nodes = [
        json!({ "node": one.hub.node(), "sessions": 1 }),
        json!({ "node": other.hub.node(), "sessions": 2 }),
    ];
    nodes.sort_by_key(|node| node["node"].to_string());
    until("the presence of alice", async || {
        let (status, mut present) = one.get("/presence/alice").await;
        assert_eq!(status, 200);
        if let Some(nodes) = present["nodes"].as_array_mut() {
            nodes.sort_by_key(|node| node["node"].to_string());
        }
        match present == json!({ "online": true, "nodes": nodes }) {
            true => Ok(()),
            false => Err(present.to_string()),
        }
    })
    .await;
    let (status, stats) = one.get("/stats").await;
    assert_eq!((status, &stats["here"]), (200, &json!({ "sessions": 1, "keys": 1 })));
    assert_eq!(stats["cluster"], json!({ "nodes": 2, "keys": 1, "sessions": 3 }));
    assert_eq!(stats["health"]["cluster"]["is_connected"], true);
    let (_, sessions) = one.get("/sessions/alice").await;
    assert_eq!(sessions["sessions"].as_array().map(Vec::len), Some(1), "the sessions of this node");

    assert_eq!(one.delete("/sessions/alice").await, (200, published));
    for tab in &mut tabs {
        assert_eq!(tab.end().await.code, 4505);
    }
}

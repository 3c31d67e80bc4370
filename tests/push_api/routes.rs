//! What each route does.

use keywire::auth::RawKey;
use keywire::{Hub, Session, Switch};
use serde_json::{Value, json};

use crate::api::{Api, delivery};

#[tokio::test]
async fn a_push_reaches_all_tabs_of_a_key() {
    let api = Api::start().await;
    let mut tabs = [api.tab("zo%C3%AB").await, api.tab("zo%C3%AB").await];
    let mut bob = api.tab("bob").await;
    let push = json!({ "code": "17", "msg": "hi\u{7}", "data": [1, null], "flag": "order", "sender": "bob" });
    assert_eq!(api.post("/push/zo%C3%AB", push.clone()).await, (200, delivery(2)));
    for tab in &mut tabs {
        assert_eq!(tab.next().await, push);
    }
    bob.ping().await;
}

#[tokio::test]
async fn what_is_left_out_or_null_has_its_default() {
    let api = Api::start().await;
    let mut alice = api.tab("alice").await;
    for body in [
        json!({}),
        json!({ "code": null, "msg": null, "data": null, "flag": null, "sender": null, "kept": null, "once": null }),
    ] {
        assert_eq!(api.post("/push/alice", body).await, (200, delivery(1)));
        assert_eq!(alice.next().await, json!({ "code": "00", "msg": "" }));
    }
    assert_eq!(api.post("/push/nobody", json!({})).await, (200, delivery(0)));
}

#[tokio::test]
async fn a_push_that_is_kept_once_is_sent_once() {
    let api = Api::start().await;
    let mut alice = api.tab("alice").await;
    let push = json!({ "msg": "paid", "kept": true, "once": "order-17-paid" });
    let (status, first) = api.post("/push/alice", push.clone()).await;
    assert_eq!((status, &first["delivered"], &first["kept"]["state"]), (200, &json!(1), &json!("at")));
    let (status, again) = api.post("/push/alice", push).await;
    assert_eq!((status, &again["delivered"], &again["kept"]["state"]), (200, &json!(0), &json!("again")));
    assert_eq!(first["kept"]["at"], again["kept"]["at"]);
    let end = api.hub.end("alice").await.expect("a log");
    assert_eq!(first["kept"]["at"], end.to_string());
    let (_, other) = api.post("/push/alice", json!({ "msg": "sent", "kept": true })).await;
    assert_eq!(other["kept"]["state"], "at");
    assert_eq!(alice.next().await, json!({ "code": "00", "msg": "paid" }));
    assert_eq!(alice.next().await, json!({ "code": "00", "msg": "sent" }));
}

#[tokio::test]
async fn a_push_to_several_keys_reaches_each_that_is_valid() {
    let api = Api::start().await;
    let (mut alice, mut bob) = (api.tab("alice").await, api.tab("bob").await);
    let keys = ["alice", "", "bob", "two\nlines", "alice", &"a".repeat(257), "nobody"];
    let (status, answer) = api.post("/push", json!({ "keys": keys, "push": { "msg": "closed" } })).await;
    let invalid = |rule: &str| {
        let mut delivery = delivery(0);
        delivery["invalid_key"] = rule.into();
        delivery
    };
    let deliveries = json!([
        delivery(1),
        invalid("empty"),
        delivery(1),
        invalid("control_character"),
        delivery(1),
        invalid("too_long"),
        delivery(0),
    ]);
    assert_eq!((status, answer), (200, json!({ "deliveries": deliveries })));
    for tab in [&mut alice, &mut bob] {
        assert_eq!(tab.next().await, json!({ "code": "00", "msg": "closed" }));
        tab.ping().await;
    }

    let push = json!({ "kept": true, "once": "a" });
    for state in ["at", "again"] {
        let (_, answer) = api.post("/push", json!({ "keys": ["alice", "bob"], "push": push })).await;
        for delivery in answer["deliveries"].as_array().expect("deliveries") {
            assert_eq!(delivery["kept"]["state"], state);
        }
    }
    assert_eq!(
        api.post("/push", json!({ "keys": [], "push": {} })).await,
        (200, json!({ "deliveries": [] }))
    );
}

#[tokio::test]
async fn a_broadcast_reaches_everyone() {
    let api = Api::start().await;
    let (mut alice, mut bob) = (api.tab("alice").await, api.tab("bob").await);
    assert_eq!(api.post("/broadcast", json!({ "msg": "maintenance" })).await, (200, delivery(2)));
    for tab in [&mut alice, &mut bob] {
        assert_eq!(tab.next().await, json!({ "code": "00", "msg": "maintenance" }));
    }
}

#[tokio::test]
async fn a_group_gets_what_is_sent_to_it() {
    let joins = |session: Session| async move {
        if session.key().as_str() != "carol" {
            let _ = session.join("room 7").await;
        }
        Ok(())
    };
    let hub = Hub::builder(RawKey::from_path()).handler(Switch::new().opened(joins)).build();
    let api = Api::start_with(hub, |api| api).await;
    let mut tabs = [api.tab("alice").await, api.tab("bob").await];
    let mut carol = api.tab("carol").await;
    assert_eq!(api.post("/groups/room%207", json!({ "msg": "hi" })).await, (200, delivery(2)));
    for tab in &mut tabs {
        assert_eq!(tab.next().await, json!({ "code": "00", "msg": "hi", "group": "room 7" }));
    }
    carol.ping().await;
    assert_eq!(api.post("/groups/empty", json!({})).await, (200, delivery(0)));
    let (_, sessions) = api.get("/sessions/alice").await;
    assert_eq!(sessions["sessions"][0]["groups"], json!(["room 7"]));
}

#[tokio::test]
async fn sessions_are_listed_and_closed() {
    let api = Api::start().await;
    let node = api.hub.node();
    assert_eq!(api.get("/sessions/alice").await, (200, json!({ "node": node, "sessions": [] })));
    let mut tabs = [api.tab("alice").await, api.tab("alice").await];
    let mut bob = api.tab("bob").await;
    let listed: Vec<Value> = api
        .hub
        .sessions("alice")
        .await
        .iter()
        .map(|session| json!({ "id": session.id(), "peer": session.peer(), "groups": [] }))
        .collect();
    assert_eq!(listed.len(), 2);
    assert_eq!(api.get("/sessions/alice").await, (200, json!({ "node": node, "sessions": listed })));

    assert_eq!(api.delete("/sessions/alice").await, (200, delivery(2)));
    for tab in &mut tabs {
        let end = tab.end().await;
        assert_eq!((end.code, &*end.reason), (4505, "disconnected"));
    }
    bob.ping().await;
    let close = "/sessions/bob?code=4600&reason=account+closed";
    assert_eq!(api.delete(close).await, (200, delivery(1)));
    let end = bob.end().await;
    assert_eq!((end.code, &*end.reason), (4600, "account closed"));
}

#[tokio::test]
async fn presence_and_counts_of_one_node() {
    let api = Api::start().await;
    let node = api.hub.node();
    assert_eq!(api.get("/presence/alice").await, (200, json!({ "online": false, "nodes": [] })));
    let _tabs = [api.tab("alice").await, api.tab("alice").await, api.tab("bob").await];
    let nodes = json!([{ "node": node, "sessions": 2 }]);
    assert_eq!(api.get("/presence/alice").await, (200, json!({ "online": true, "nodes": nodes })));
    let stats = json!({
        "node": node,
        "here": { "sessions": 3, "keys": 2 },
        "cluster": null,
        "health": { "is_draining": false, "cluster": null },
    });
    assert_eq!(api.get("/stats").await, (200, stats));
}

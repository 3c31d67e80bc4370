//! What the documents say besides: each field of an answer, each route, and the commands of docs/push-api.md.

use std::collections::BTreeSet;

use keywire::Hub;
use keywire::adapter::push_api::OPENAPI;
use keywire::auth::RawKey;
use keywire::cluster::presence::MemoryPresence;
use keywire::cluster::{Cluster, MemoryBackplane};
use keywire::{Session, Switch};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::api::{Api, ROUTES, SECRET};

const PAGE: &str = include_str!("../../docs/push-api.md");

fn document() -> Value {
    serde_json::from_str(OPENAPI).expect("JSON")
}

/// The fields of a value that its schema does not name. schemathesis does not look for them.
fn unnamed(value: &Value, schema: &Value, at: &str) -> Vec<String> {
    if let Some(path) = schema["$ref"].as_str() {
        let document = document();
        return unnamed(value, document.pointer(&path[1..]).expect(path), at);
    }
    if let Some(either) = schema["anyOf"].as_array() {
        // The other is null.
        return if value.is_null() { Vec::new() } else { unnamed(value, &either[0], at) };
    }
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match schema["properties"].get(name) {
                Some(schema) => unnamed(value, schema, &format!("{at}.{name}")),
                None => vec![format!("{at}.{name}")],
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(|item| unnamed(item, &schema["items"], at)).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn each_field_of_an_answer_is_documented() {
    let cluster = Cluster::from(MemoryBackplane::new().join());
    let hub = Hub::builder(RawKey::from_path()).cluster(cluster).presence(MemoryPresence::new()).build();
    let api = Api::start_with(hub, |api| api).await;
    let _alice = api.tab("alice").await;
    let answers = [
        ("Delivery", api.post("/push/alice", json!({})).await),
        ("Deliveries", api.post("/push", json!({ "keys": ["alice", ""], "push": {} })).await),
        ("Error", api.post("/push/alice", json!({ "kept": true })).await),
        ("Error", api.post("/broadcast", json!({ "msg": 1 })).await),
        ("Sessions", api.get("/sessions/alice").await),
        ("Presence", api.get("/presence/alice").await),
        ("Stats", api.get("/stats").await),
    ];
    for (schema, (_, answer)) in answers {
        let schema = &document()["components"]["schemas"][schema];
        assert_eq!(unnamed(&answer, schema, ""), [""; 0], "{answer}");
    }
    // A push has the documented fields and no others.
    for (schema, path) in [("Push", "/push/alice"), ("LivePush", "/broadcast")] {
        let (_, answer) = api.post(path, json!({ "other": 1 })).await;
        let fields = answer["error"].as_str().and_then(|error| error.split_once("there are "));
        let fields: BTreeSet<&str> = fields.expect("the fields").1.split(", ").collect();
        let document = document();
        let properties = document["components"]["schemas"][schema]["properties"].as_object();
        assert_eq!(
            properties.expect("properties").keys().map(String::as_str).collect::<BTreeSet<_>>(),
            fields
        );
    }
    // The check itself.
    let schema = &document()["components"]["schemas"]["Stats"];
    assert_eq!(unnamed(&json!({ "here": { "more": 1 } }), schema, ""), [".here.more"]);
}

#[test]
fn each_route_is_documented() {
    let routes = ROUTES.iter().filter(|route| !route.ends_with("/unknown"));
    let routes: BTreeSet<String> =
        routes.map(|route| route.replace("/groups/a", "/groups/{group}").replace("alice", "{key}")).collect();
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("methods").keys().filter(|name| *name != "parameters");
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    assert_eq!(operations.collect::<BTreeSet<_>>(), routes);
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter_map(|row| row.split('`').next()).filter(|row| row.contains(" /"));
    assert_eq!(rows.map(str::to_owned).collect::<BTreeSet<_>>(), routes);
}

/// The text of each block of this language, in order.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    PAGE.split(&*fence).skip(1).map(|rest| rest.split("```").next().expect("a block")).collect()
}

#[tokio::test]
async fn the_commands_do_what_the_page_says() {
    let joins = |session: Session| async move {
        let _ = session.join("room-7").await;
        Ok(())
    };
    let hub = Hub::builder(RawKey::from_path()).handler(Switch::new().opened(joins));
    let api = Api::start_with(hub.log(keywire::log::MemoryLog::new()).build(), |api| api).await;
    let (mut alice, _bob) = (api.tab("alice").await, api.tab("bob").await);
    let commands = blocks("sh");
    let answers = blocks("json");
    assert_eq!(commands.len(), answers.len());
    for (command, expected) in commands.into_iter().zip(answers) {
        let url = format!("http://{}/api", api.addr);
        let mut bash = Command::new("bash");
        bash.args(["-euc", command]).env("API", url).env("SECRET", SECRET).kill_on_drop(true);
        let output = bash.output().await.expect("bash and curl run: see scripts/setup test");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        let answer: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{command}: {said}"));
        let expected: Value = serde_json::from_str(expected).unwrap_or_else(|_| panic!("{expected}"));
        assert!(is_like(&answer, &expected), "{command}: {answer}");
    }
    let (pushes, end) = alice.rest().await;
    assert_eq!((pushes.len(), end.code), (5, 4600), "{pushes:?}");
}

/// Whether an answer is the one of the page. Ids, addresses and positions differ.
fn is_like(answer: &Value, page: &Value) -> bool {
    match (answer, page) {
        (Value::Object(answer), Value::Object(page)) => {
            answer.len() == page.len()
                && answer.iter().all(|(name, value)| match (&**name, page.get(name)) {
                    ("at" | "node" | "id" | "peer", Some(Value::String(_))) => value.is_string(),
                    (_, Some(page)) => is_like(value, page),
                    (_, None) => false,
                })
        }
        (Value::Array(answer), Value::Array(page)) => {
            answer.len() == page.len() && answer.iter().zip(page).all(|(answer, page)| is_like(answer, page))
        }
        _ => answer == page,
    }
}

//! Each way in which a request can be wrong.

use keywire::Hub;
use keywire::auth::RawKey;
use serde_json::{Value, json};

use crate::api::{Api, SECRET, hub, request};
use crate::support::Raw;

fn error(said: &str) -> Value {
    json!({ "error": said })
}

#[tokio::test]
async fn a_wrong_body_is_told_which_field_breaks_which_rule() {
    let api = Api::start().await;
    let deep = |depth: usize| format!(r#"{{"data":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert_eq!(api.post_text("/push/alice", &deep(63)).await.0, 200);
    for (path, body, said) in [
        ("/push/alice", "", "body: must be JSON, and is not in line 1, column 0"),
        ("/push/alice", "{", "body: must be JSON, and is not in line 1, column 1"),
        ("/push/alice", "[]", "body: must be an object of at most 64 fields"),
        ("/push/alice", &*deep(64), "body: must be nested at most 64 deep"),
        ("/push/alice", &*deep(100_000), "body: must be nested at most 64 deep"),
        ("/push/alice", r#"{"msg":5}"#, "msg: must be a string"),
        (
            "/push/alice",
            r#"{"flag":"kw:gap"}"#,
            "flag: must not begin with kw:, since such flags belong to keywire",
        ),
        (
            "/push/alice",
            r#"{"sender":" "}"#,
            "sender: a key must not begin or end with whitespace, nor contain it twice in a row",
        ),
        ("/push/alice", r#"{"once":"a"}"#, "once: needs kept: true, since a log remembers it"),
        (
            "/push/alice",
            r#"{"kpet":true}"#,
            "kpet: unknown field; there are code, msg, data, flag, sender, kept, once",
        ),
        (
            "/push/alice",
            r#"{"\u001b[31m":1}"#,
            "\\u{1b}[31m: unknown field; there are code, msg, data, flag, sender, kept, once",
        ),
        ("/broadcast", r#"{"kept":true}"#, "kept: unknown field; there are code, msg, data, flag, sender"),
        ("/groups/a", r#"{"once":"a"}"#, "once: unknown field; there are code, msg, data, flag, sender"),
        ("/push", r#"{"push":{}}"#, "keys: missing"),
        ("/push", r#"{"keys":[]}"#, "push: missing"),
        ("/push", r#"{"keys":"a","push":{}}"#, "keys: must be an array"),
        ("/push", r#"{"keys":["a",1],"push":{}}"#, "keys[1]: must be a string"),
        ("/push", r#"{"keys":["a"],"push":{"code":1}}"#, "push.code: must be a string"),
        ("/push", r#"{"keys":["a"],"push":[]}"#, "push: must be an object of at most 64 fields"),
        ("/push/", "{}", "key: a key must not be empty"),
        ("/push/%0A", "{}", "key: a key must not contain control characters"),
        ("/push/%FF", "{}", "key: must be UTF-8, percent-encoded"),
        (
            "/groups/%20",
            "{}",
            "group: invalid group: a name follows the rules of a key, and a key must not begin or end with whitespace, nor contain it twice in a row",
        ),
        ("/push/alice?kept=true", "{}", "query: unknown parameter kept"),
    ] {
        assert_eq!(
            api.post_text(path, body).await,
            (400, error(said)),
            "{path} {}",
            &body[..body.len().min(50)]
        );
    }
    let (status, said) = api.delete("/sessions/alice?code=1006").await;
    assert_eq!((status, said), (400, error("code: must be a number from 4000 to 4999")));

    let mut raw = Raw::connect(api.addr).await;
    let headers = [&*format!("Authorization: Bearer {SECRET}"), "Content-Type: application/json"];
    let mut latin = request("POST /push/alice", &headers, "{\"msg\":\"?\"}").into_bytes();
    let at = latin.iter().rposition(|byte| *byte == b'?').expect("a place");
    latin[at] = 0xe9;
    raw.write(&latin).await;
    assert_eq!(raw.head().await.json(), error("body: must be UTF-8"));
}

#[tokio::test]
async fn wrong_routes_methods_and_types() {
    let api = Api::start().await;
    for what in ["GET /", "POST /push/a/b", "GET /unknown", "GET /openapi.json/"] {
        let answer = api.ask(what, &[], "").await;
        assert_eq!(answer.status, 404, "{what}");
        assert_eq!(answer.json(), error("no such route: GET /openapi.json lists them"));
    }
    for (what, allow) in [
        ("GET /push", "POST"),
        ("PUT /push/alice", "POST"),
        ("OPTIONS /broadcast", "POST"),
        ("GET /groups/a", "POST"),
        ("POST /sessions/alice", "GET, DELETE"),
        ("DELETE /presence/alice", "GET"),
        ("POST /stats", "GET"),
        ("POST /openapi.json", "GET"),
    ] {
        let answer = api.ask(what, &["Content-Type: application/json"], "{}").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{what}");
        assert_eq!(answer.json(), error(&format!("method: the route has {allow}")));
    }
    for headers in [
        &[][..],
        &["Content-Type: text/plain"],
        &["Content-Type: application/json-patch+json"],
        &["Content-Type: application/json", "Content-Encoding: gzip"],
    ] {
        let answer = api.ask("POST /push/alice", headers, "{}").await;
        assert_eq!(answer.status, 415, "{headers:?}");
        let said = "content-type: must be application/json, without a content-encoding";
        assert_eq!(answer.json(), error(said));
    }
    let answer = api.ask("POST /push/alice", &["Content-Type: Application/JSON; charset=utf-8"], "{}").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_read() {
    let api = Api::start_with(hub(), |api| api.body_bytes(1000)).await;
    let said = error("body: must have at most 1000 bytes");
    let text = |len: usize| format!(r#"{{"msg":"{}"}}"#, "a".repeat(len - 10));
    assert_eq!(api.post_text("/push/alice", &text(1000)).await.0, 200);
    assert_eq!(api.post_text("/push/alice", &text(1001)).await, (413, said.clone()));

    // Announced, and not sent.
    let secret = format!("Authorization: Bearer {SECRET}");
    let head = |length: &str| {
        format!(
            "POST /api/push/alice HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             {secret}\r\n{length}\r\n\r\n"
        )
    };
    let mut raw = Raw::connect(api.addr).await;
    raw.write(head("Content-Length: 9999999999").as_bytes()).await;
    assert_eq!(raw.head().await.status, 413);

    // Not announced, and without an end.
    let mut raw = Raw::connect(api.addr).await;
    raw.write(head("Transfer-Encoding: chunked").as_bytes()).await;
    raw.write(format!("3e9\r\n{}\r\n", text(1001)).as_bytes()).await;
    let answer = raw.head().await;
    assert_eq!((answer.status, answer.json()), (413, said));
}

#[tokio::test]
async fn a_request_with_too_many_keys_is_refused() {
    let api = Api::start_with(hub(), |api| api.keys(2)).await;
    let push = |keys: &[&str]| json!({ "keys": keys, "push": {} });
    assert_eq!(api.post("/push", push(&["a", "b"])).await.0, 200);
    let answer = api.post("/push", push(&["a", "b", "c"])).await;
    assert_eq!(answer, (400, error("keys: must be at most 2")));
    let (_, document) = api.get("/openapi.json").await;
    let keys = &document["paths"]["/push"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
        ["keys"];
    assert_eq!(keys["maxItems"], 2);
}

#[tokio::test]
async fn a_server_without_a_log_sends_nothing_that_is_to_be_kept() {
    let hub = Hub::builder(RawKey::from_path()).build();
    let api = Api::start_with(hub, |api| api).await;
    let mut alice = api.tab("alice").await;
    let said = error("kept: this server has no log, so nothing was sent");
    assert_eq!(api.post("/push/alice", json!({ "kept": true })).await, (503, said.clone()));
    let many = json!({ "keys": ["alice"], "push": { "kept": true } });
    assert_eq!(api.post("/push", many).await, (503, said));
    alice.ping().await;
}

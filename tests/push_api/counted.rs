//! What the metrics say of the calls.

use std::time::Duration;

use keywire::Hub;
use keywire::auth::RawKey;
use keywire::limits::Rate;

use crate::api::{Api, ROUTES};
use crate::support::{Numbers, moves};

const JSON: &str = "Content-Type: application/json";

#[tokio::test]
async fn calls_count_by_route_and_status() {
    let mut numbers = Numbers::new();
    let api = Api::start_with(numbers.hub(Hub::builder(RawKey::from_path())), |api| api).await;
    numbers.moved();
    for (route, body, labels) in [
        ("POST /push/alice", "{}", r#"status="2xx",route="push""#),
        ("POST /push/alice", "", r#"status="4xx",route="push""#),
        ("POST /push/alice", r#"{"kept":true}"#, r#"status="5xx",route="push""#),
        ("POST /push", r#"{"keys":["alice"],"push":{}}"#, r#"status="2xx",route="push_to_each""#),
        ("POST /push", "{}", r#"status="4xx",route="push_to_each""#),
        ("POST /broadcast", "{}", r#"status="2xx",route="broadcast""#),
        ("POST /groups/a", "{}", r#"status="2xx",route="push_to_group""#),
        ("GET /sessions/alice", "", r#"status="2xx",route="sessions""#),
        ("GET /sessions/alice?a", "", r#"status="4xx",route="sessions""#),
        ("DELETE /sessions/alice", "", r#"status="2xx",route="disconnect""#),
        ("DELETE /sessions/alice?code=1", "", r#"status="4xx",route="disconnect""#),
        ("GET /presence/alice", "", r#"status="2xx",route="presence""#),
        ("GET /presence/alice?a", "", r#"status="4xx",route="presence""#),
        ("GET /stats", "", r#"status="2xx",route="stats""#),
        ("GET /stats?a", "", r#"status="4xx",route="stats""#),
        ("GET /openapi.json", "", r#"status="2xx",route="openapi""#),
        ("GET /openapi.json?a", "", r#"status="4xx",route="openapi""#),
        // What a caller makes up is no label.
        ("GET /unknown", "", r#"status="4xx",route="other""#),
        ("PATCH /push", "", r#"status="4xx",route="other""#),
        ("POST /push/%FF", "", r#"status="4xx",route="other""#),
    ] {
        api.ask(route, &[JSON], body).await;
        let mut moved = numbers.moved();
        moved.retain(|name, _| name.starts_with("push_api"));
        assert_eq!(moved, moves(&[(&format!("push_api_calls_total{{{labels}}}"), 1.0)]), "{route} {body}");
    }
}

#[tokio::test]
async fn refused_secrets_count_by_their_kind_and_not_as_calls() {
    let mut numbers = Numbers::new();
    let day = Duration::from_secs(86_400);
    let rate = Some(Rate::new(1, day));
    let hub = numbers.hub(Hub::builder(RawKey::from_path()));
    let api = Api::start_with(hub, |api| api.wrong_secrets(rate)).await;
    numbers.moved();
    let wrong = &["Authorization: Bearer a-wrong-secret-a-wrong-secret"];
    for (headers, kind) in [(&[][..], "missing"), (wrong, "wrong"), (wrong, "throttled")] {
        api.ask_openly(ROUTES[0], headers, "").await;
        let expected = format!("push_api_refused_secrets_total{{kind=\"{kind}\"}}");
        assert_eq!(numbers.moved(), moves(&[(&expected, 1.0)]));
    }
}

//! What the push API logs. A process of its own, since tests in other threads decide which lines are written at all.
#![cfg(all(feature = "push-api", feature = "serve", feature = "warp"))]

#[path = "push_api/api.rs"]
#[allow(dead_code)]
mod api;
mod support;

use std::time::Duration;

use api::{Api, ROUTES, SECRET, hub};
use keywire::adapter::push_api::PushApi;
use keywire::limits::Rate;
use support::Lines;

#[tokio::test]
async fn no_secret_is_logged_or_comes_back() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(lines.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let api = PushApi::new(hub(), [SECRET]).expect("a good secret");
    assert!(!format!("{api:?}").contains(SECRET));
    let api =
        Api::start_api(hub(), api.wrong_secrets(Some(Rate::new(10, Duration::from_secs(86_400))))).await;
    let wrong = "wrong-secret-wrong-secret";
    let mut seen = String::new();
    for route in ROUTES {
        for secret in [SECRET, wrong] {
            let header = format!("Authorization: Bearer {secret}");
            let json = "Content-Type: application/json";
            seen += &format!("{:?}", api.ask_openly(route, &[&header, json], "").await);
            let query = format!("{route}?secret={secret}");
            let said = format!("{:?}", api.ask_openly(&query, &[&header, json], "").await);
            assert!(!said.contains(secret), "{said}");
        }
    }
    let lines = lines.text();
    // Frames of hyper's own log at TRACE are not keywire's.
    let lines: String = lines.lines().filter(|line| line.contains("keywire")).collect();
    for secret in [SECRET, wrong] {
        assert!(!seen.contains(secret) && !lines.contains(secret), "{seen} {lines}");
    }
    assert!(
        seen.contains("status: 200") && seen.contains("status: 401") && seen.contains("status: 429"),
        "{seen}"
    );
    assert_eq!(lines.matches("push API: wrong secret").count(), 10, "{lines}");
    assert!(lines.contains("peer=127.0.0.1:"), "{lines}");
}

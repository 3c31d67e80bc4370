//! Who sends nothing, too little or too much, and who is too many.

use std::time::Duration;

use keywire::serve::ServeConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{OVER, start};
use crate::support::{Over, within};

/// Long enough for a request on a busy machine would be too long to wait for: who is to be served says all at once.
/// A handshake takes some turns.
const SHORT: Duration = Duration::from_millis(match OVER {
    Over::Plain => 200,
    Over::Tls => 1000,
});

fn impatient() -> ServeConfig {
    ServeConfig { head_timeout: SHORT, idle_timeout: Duration::MAX, ..ServeConfig::default() }
}

#[tokio::test]
async fn who_sends_nothing_is_cut() {
    let server = start(impatient()).await;
    server.raw().await.gone().await;
}

#[tokio::test]
async fn who_stops_within_a_head_is_cut() {
    let server = start(impatient()).await;
    let mut raw = server.raw().await;
    raw.write(b"GET /hello HTTP/1.1\r\nHost: local").await;
    raw.gone().await;
}

#[tokio::test]
async fn who_drips_is_cut() {
    let server = start(impatient()).await;
    let (mut read, mut write) = tokio::io::split(server.raw().await.into_wire());
    let drip = tokio::spawn(async move {
        let _ = write.write_all(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nX: ").await;
        // Each byte is a sign of life, and none of them helps.
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let _ = within("the end", read.read_to_end(&mut Vec::new())).await;
    within("the end of the other direction", drip).await.unwrap();
}

#[tokio::test]
async fn between_two_requests_there_is_more_time_until_the_next_one_begins() {
    let server = start(impatient()).await;
    let mut kept = server.kept().await;
    // Two that send nothing are the clock.
    server.raw().await.gone().await;
    server.raw().await.gone().await;
    assert_eq!(kept.get("/hello").await.body, "hello");
    kept.write(b"G").await;
    kept.gone().await;
}

#[tokio::test]
async fn but_not_for_ever() {
    let config = ServeConfig { head_timeout: Duration::MAX, idle_timeout: SHORT, ..ServeConfig::default() };
    let server = start(config).await;
    server.kept().await.gone().await;
}

#[tokio::test]
async fn a_request_may_take_longer_than_its_head() {
    let mut server = start(impatient()).await;
    let mut waiting = server.waiting().await;
    server.raw().await.gone().await;
    server.raw().await.gone().await;
    server.answer.notify_one();
    assert_eq!(waiting.head().await.body, "at last");
}

#[tokio::test]
async fn who_stalls_within_a_body_gets_an_error() {
    let server = start(ServeConfig { stall_timeout: SHORT, ..ServeConfig::default() }).await;
    let mut raw = server.raw().await;
    raw.write(b"POST /length HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello").await;
    assert_eq!(raw.head().await.body, "5");
    raw.write(b"POST /length HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhell").await;
    assert_ne!(raw.head().await.status, 200);
    raw.gone().await;
}

#[tokio::test]
async fn who_does_not_take_an_answer_is_cut() {
    let server =
        start(ServeConfig { connections: 1, stall_timeout: SHORT, ..ServeConfig::default() }).await;
    let mut lazy = server.raw().await;
    lazy.write(b"GET /much HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    // There is only one place.
    server.kept().await;
    lazy.gone().await;
}

#[tokio::test]
async fn a_session_is_not_a_request() {
    let server =
        start(ServeConfig { idle_timeout: SHORT, stall_timeout: SHORT, ..impatient() }).await;
    let mut alice = server.client("alice").await;
    server.raw().await.gone().await;
    server.raw().await.gone().await;
    alice.ping().await;
}

#[tokio::test]
async fn a_head_has_a_size() {
    let server = start(ServeConfig::default()).await;
    let long = |len| format!("GET /hello HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(len));
    let mut raw = server.raw().await;
    raw.write(long(30 * 1024).as_bytes()).await;
    assert_eq!(raw.head().await.status, 200);
    raw.write(long(33 * 1024).as_bytes()).await;
    assert_eq!(raw.head().await.status, 431);
    raw.gone().await;
    let many = "X: x\r\n".repeat(101);
    let mut raw = server.raw().await;
    raw.write(format!("GET /hello HTTP/1.1\r\n{many}\r\n").as_bytes()).await;
    assert_eq!(raw.head().await.status, 431);
}

#[tokio::test]
async fn a_session_leaves_its_place_to_others() {
    let server = start(ServeConfig { connections: 1, ..ServeConfig::default() }).await;
    let mut alice = server.client("alice").await;
    let mut bob = server.client("bob").await;
    server.kept().await;
    alice.ping().await;
    bob.ping().await;
}

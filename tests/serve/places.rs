//! Who gets the places for connections.

use std::time::Duration;

use keywire::serve::ServeConfig;

use super::{OVER, start};
use crate::support::{Over, within};

fn places(connections: usize) -> ServeConfig {
    // Nothing else ends a connection.
    let never = Duration::MAX;
    ServeConfig {
        connections,
        head_timeout: never,
        idle_timeout: never,
        stall_timeout: never,
        ..ServeConfig::default()
    }
}

#[tokio::test]
async fn the_longest_idle_connection_gives_way_to_a_newcomer() {
    let server = start(places(2)).await;
    let mut first = server.kept().await;
    let mut second = server.kept().await;
    let mut third = server.kept().await;
    first.gone().await;
    assert_eq!(second.get("/hello").await.body, "hello");
    assert_eq!(third.get("/hello").await.body, "hello");
}

#[tokio::test]
async fn so_does_one_that_has_sent_nothing() {
    let server = start(places(2)).await;
    let (mut first, mut second) = (server.raw().await, server.raw().await);
    let (_third, _fourth) = (server.kept().await, server.kept().await);
    first.gone().await;
    second.gone().await;
}

/// Requests that are not complete and whose answers are not taken.
const UNFINISHED: [&str; 4] = [
    "GET /hello HTTP/1.1\r\nHost: loc",
    "POST /length HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhell",
    "POST /length HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET /much HTTP/1.1\r\nHost: localhost\r\n\r\n",
];

#[cfg(target_os = "linux")]
#[tokio::test]
async fn one_address_cannot_keep_the_others_out() {
    let server = start(places(8)).await;
    let mut unfinished = Vec::new();
    // Over TLS the others wait for their handshake.
    let many = if OVER == Over::Tls { 8 } else { 24 };
    for request in UNFINISHED.into_iter().cycle().take(many) {
        let mut raw = server.raw_from("127.0.0.2").await;
        raw.write(request.as_bytes()).await;
        unfinished.push(raw);
    }
    for address in ["127.0.0.1", "127.0.0.3", "127.0.0.4"] {
        let mut raw = server.raw_from(address).await;
        assert_eq!(raw.get("/hello").await.body, "hello", "{address}");
        unfinished.push(raw);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_may_have_a_limit() {
    let server = start(ServeConfig { connections_per_address: Some(2), ..places(8) }).await;
    let (first, _second) = (server.kept().await, server.kept().await);
    if let Some(mut third) = server.try_raw().await {
        third.gone().await;
    }
    let mut other = server.raw_from("127.0.0.2").await;
    assert_eq!(other.get("/hello").await.body, "hello");
    drop(first);
    // The server has to notice the end first.
    crate::support::until("a place", async || {
        let mut raw = server.try_raw().await.ok_or("refused")?;
        raw.try_get("/hello").await.map(|_| ()).ok_or_else(|| "refused".into())
    })
    .await;
}

#[tokio::test]
async fn a_slow_body_and_a_body_of_a_byte_now_and_then_come_to_an_end() {
    let config = ServeConfig { stall_timeout: Duration::from_millis(200), ..ServeConfig::default() };
    let server = start(config).await;
    let mut raw = server.raw().await;
    raw.write(b"POST /length HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    // Each byte is progress.
    within("the end", async {
        while raw.try_write(b"1\r\nx\r\n").await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

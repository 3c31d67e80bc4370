//! Who gets the places for connections.

use std::time::Duration;

use axum::Router;
use axum::routing::any;
use http::{Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use keywire::serve::ServeConfig;
use tokio::net::TcpListener;

use crate::Served;
use crate::support::{Raw, within};

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
    let server = Served::start(places(2)).await;
    let mut first = server.kept().await;
    let mut second = server.kept().await;
    let mut third = server.kept().await;
    first.gone().await;
    assert_eq!(second.get("/hello").await.body, "hello");
    assert_eq!(third.get("/hello").await.body, "hello");
}

#[tokio::test]
async fn so_does_one_that_has_sent_nothing() {
    let server = Served::start(places(2)).await;
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
    let server = Served::start(places(8)).await;
    let mut unfinished = Vec::new();
    for request in UNFINISHED.into_iter().cycle().take(24) {
        let mut raw = Raw::connect_from("127.0.0.2", server.addr).await;
        raw.write(request.as_bytes()).await;
        unfinished.push(raw);
    }
    for address in ["127.0.0.1", "127.0.0.3", "127.0.0.4"] {
        let mut raw = Raw::connect_from(address, server.addr).await;
        assert_eq!(raw.get("/hello").await.body, "hello", "{address}");
        unfinished.push(raw);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_may_have_a_limit() {
    let server = Served::start(ServeConfig { connections_per_address: Some(2), ..places(8) }).await;
    let (first, _second) = (server.kept().await, server.kept().await);
    server.raw().await.gone().await;
    let mut other = Raw::connect_from("127.0.0.2", server.addr).await;
    assert_eq!(other.get("/hello").await.body, "hello");
    drop(first);
    // The server has to notice the end first.
    crate::support::until("a place", async || {
        let mut raw = server.raw().await;
        raw.try_get("/hello").await.map(|_| ()).ok_or_else(|| "refused".into())
    })
    .await;
}

#[tokio::test]
async fn a_slow_body_and_a_body_of_a_byte_now_and_then_come_to_an_end() {
    let config = ServeConfig { stall_timeout: Duration::from_millis(200), ..ServeConfig::default() };
    let server = Served::start(config).await;
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

/// Upgrades to a protocol that sends back what it gets.
async fn echo(mut request: axum::extract::Request) -> Response<String> {
    let on_upgrade = request.extensions_mut().remove::<OnUpgrade>().expect("a request for an upgrade");
    tokio::spawn(async move {
        let mut stream = TokioIo::new(on_upgrade.await.expect("an upgrade"));
        let (mut read, mut write) = tokio::io::split(&mut stream);
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::UPGRADE, header::HeaderValue::from_static("echo"));
    response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
    response
}

#[tokio::test]
async fn another_protocol_keeps_its_place_until_it_ends_and_has_no_times() {
    let router = Router::new().route("/echo", any(echo)).route("/hello", any(async || "hello"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("an address");
    let moment = Duration::from_millis(1);
    let config = ServeConfig { idle_timeout: moment, stall_timeout: moment, ..places(1) };
    tokio::spawn(keywire::serve(listener, router).config(config).run());
    let mut echo = Raw::connect(addr).await;
    echo.write(b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n")
        .await;
    assert_eq!(echo.head().await.status, 101);
    let mut waiting = Raw::connect(addr).await;
    waiting.write(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    for _ in 0..10 {
        echo.write(b"abc").await;
        assert_eq!(echo.bytes(3).await, b"abc");
        tokio::time::sleep(moment).await;
    }
    assert!(waiting.has_nothing());
    drop(echo);
    assert_eq!(waiting.head().await.body, "hello");
}

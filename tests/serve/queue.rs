//! Connections that wait before the server speaks to them. Over TLS their handshake waits too.

use std::io::{Read as _, Write as _};
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

const REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// What the server has not looked at yet when its end begins. Nothing of it runs meanwhile: this is its only thread.
#[tokio::test]
async fn a_request_that_has_been_sent_is_answered() {
    let server = Served::start(ServeConfig::default()).await;
    let mut kept = server.kept().await;
    // In the system's queue of connections.
    let mut queued = std::net::TcpStream::connect(server.addr).expect("a listener");
    queued.write_all(REQUEST).expect("a connection");
    let mut silent = std::net::TcpStream::connect(server.addr).expect("a listener");
    // In the socket's buffer. It is written at once.
    kept.write(REQUEST).await;
    server.stop.send(()).expect("a server");
    assert_eq!(kept.head().await.body, "hello");
    kept.gone().await;
    assert_eq!(within("the end", server.running).await.unwrap(), 0);
    let mut answer = String::new();
    queued.read_to_string(&mut answer).expect("an end in order");
    assert!(answer.ends_with("hello"), "{answer}");
    assert_eq!(silent.read(&mut [0]).expect("an end in order"), 0);
}

#[tokio::test]
async fn who_waits_for_a_place_is_answered() {
    let mut server = Served::start(ServeConfig { connections: 1, ..ServeConfig::default() }).await;
    let mut working = server.waiting().await;
    let mut queue = Vec::new();
    for _ in 0..270 {
        let mut raw = server.raw().await;
        raw.write(REQUEST).await;
        queue.push(raw);
    }
    server.stop.send(()).expect("a server");
    let mut answered = 0;
    for mut raw in queue {
        answered += usize::from(raw.try_head().await.is_some_and(|head| head.body == "hello"));
    }
    // More than may wait are from one address, and are told so before.
    assert!(answered >= 256, "{answered}");
    server.answer.notify_one();
    assert_eq!(working.head().await.body, "at last");
    assert_eq!(within("the end", server.running).await.unwrap(), 0);
}

#[tokio::test]
async fn there_are_so_many_connections_and_no_more() {
    let mut server = Served::start(ServeConfig { connections: 2, ..ServeConfig::default() }).await;
    let first = server.waiting().await;
    let second = server.waiting().await;
    let mut alice = server.raw().await;
    alice.write(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    // A connection of the other address waits as well: work is not cut. The system has both.
    let mut other = Raw::connect_from("127.0.0.2", server.addr).await;
    other.write(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
        assert!(server.asked.rest().is_empty());
    }
    drop(first);
    server.asked.next("the request of one of them").await;
    assert!(server.asked.rest().is_empty());
    drop(second);
    server.asked.next("the request of the other").await;
}

/// Nothing else ends a connection.
fn never() -> ServeConfig {
    let never = Duration::MAX;
    ServeConfig { connections: 1, head_timeout: never, ..ServeConfig::default() }
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
    let config = ServeConfig { idle_timeout: moment, stall_timeout: moment, ..never() };
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

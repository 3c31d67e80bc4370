//! The graceful end.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use keywire::serve::ServeConfig;
use keywire::store::Counts;
use serde_json::json;
use tokio::net::TcpStream;

use crate::Served;
use crate::support::within;

const REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn all_that_is_under_way_comes_to_its_end() {
    let mut server = Served::start(ServeConfig::default()).await;
    let mut alice = server.client("alice").await;
    let mut idle = server.kept().await;
    let mut silent = server.raw().await;
    let mut waiting = server.waiting().await;

    server.stop.send(()).expect("a server");
    assert_eq!(alice.end().await.code, 1001);
    idle.gone().await;
    silent.gone().await;
    TcpStream::connect(server.addr).await.expect_err("nobody listens");
    assert!(!server.running.is_finished());
    server.answer.notify_one();
    assert_eq!(waiting.head().await.body, "at last");
    waiting.gone().await;
    assert_eq!(within("the end", server.running).await.unwrap(), 0);
    assert_eq!(server.hub.counts().await, Counts::default());
}

#[tokio::test]
async fn what_does_not_end_is_cut() {
    let mut server =
        Served::start(ServeConfig { grace: Duration::from_millis(100), ..ServeConfig::default() }).await;
    let mut waiting = server.waiting().await;
    let mut half = server.raw().await;
    half.write(b"GET /hello HT").await;
    let mut stuck = server.client("stuck").await;
    stuck.send(json!({ "flag": "command" })).await;
    server.asked.next("the handler").await;

    server.stop.send(()).expect("a server");
    assert_eq!(stuck.end().await.code, 1001);
    waiting.gone().await;
    half.gone().await;
    assert_eq!(within("the end", server.running).await.unwrap(), 3);
    assert_eq!(server.hub.counts().await, Counts::default());
}

#[tokio::test]
async fn an_end_that_is_never_called_for_does_not_come() {
    let server = Served::start(ServeConfig::default()).await;
    // To let the sender go is a call as well, in this test's server.
    let Served { stop, running, .. } = &server;
    assert!(!stop.is_closed() && !running.is_finished());
    server.running.abort();
    let _ = server.running.await;
    TcpStream::connect(server.addr).await.expect_err("nobody listens");
}

#[tokio::test]
async fn a_request_that_is_half_there_is_answered() {
    let server = Served::start(ServeConfig::default()).await;
    let (mut first, mut later) = (server.raw().await, server.kept().await);
    let (begin, rest) = REQUEST.split_at(20);
    for raw in [&mut first, &mut later] {
        raw.write(begin).await;
    }
    server.stop.send(()).expect("a server");
    crate::support::until("the end of the listener", async || {
        TcpStream::connect(server.addr).await.map_or(Ok(()), |_| Err("still there".into()))
    })
    .await;
    assert!(!server.running.is_finished());
    for raw in [&mut first, &mut later] {
        raw.write(rest).await;
        let head = raw.head().await;
        assert_eq!((head.header("connection"), &*head.body), (Some("close"), "hello"));
        raw.gone().await;
    }
    assert_eq!(within("the end", server.running).await.unwrap(), 0);
}

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
async fn an_answer_reaches_a_client_that_is_still_sending() {
    let server = Served::start(ServeConfig::default()).await;
    let mut raw = server.raw().await;
    raw.write(b"POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8388608\r\n\r\n").await;
    // Nobody reads it, and more of it comes than the sockets hold.
    raw.write(&vec![b'x'; 8 << 20]).await;
    assert_eq!(raw.head().await.body, "hello");
}

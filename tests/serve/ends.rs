//! The graceful end.

use std::time::Duration;

use keywire::serve::ServeConfig;
use keywire::store::Counts;
use serde_json::json;
use tokio::net::TcpStream;

use super::start;
use crate::support::within;

const REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn all_that_is_under_way_comes_to_its_end() {
    let mut server = start(ServeConfig::default()).await;
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
        start(ServeConfig { grace: Duration::from_millis(100), ..ServeConfig::default() }).await;
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
    let server = start(ServeConfig::default()).await;
    // To let the sender go is a call as well, in this test's server.
    let crate::Served { stop, running, .. } = &server;
    assert!(!stop.is_closed() && !running.is_finished());
    server.running.abort();
    let _ = server.running.await;
    TcpStream::connect(server.addr).await.expect_err("nobody listens");
}

#[tokio::test]
async fn a_request_that_is_half_there_is_answered() {
    let server = start(ServeConfig::default()).await;
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

#[tokio::test]
async fn an_answer_reaches_a_client_that_is_still_sending() {
    let server = start(ServeConfig::default()).await;
    let mut raw = server.raw().await;
    raw.write(b"POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8388608\r\n\r\n").await;
    // Nobody reads it, and more of it comes than the sockets hold.
    raw.write(&vec![b'x'; 8 << 20]).await;
    assert_eq!(raw.head().await.body, "hello");
}

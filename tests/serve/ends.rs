//! The graceful end.

use std::time::Duration;

use keywire::{Counts, ServeConfig};
use serde_json::json;
use tokio::net::TcpStream;

use crate::Served;
use crate::support::within;

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

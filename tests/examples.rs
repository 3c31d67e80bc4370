//! The examples for axum and for bare hyper.
#![cfg(all(feature = "axum", feature = "serve"))]

mod support;

#[allow(dead_code)]
#[path = "../examples/axum.rs"]
mod axum_example;
#[allow(dead_code)]
#[path = "../examples/hyper.rs"]
mod hyper_example;

use std::net::SocketAddr;

use keywire::auth::RawKey;
use keywire::{Hub, Push};
use serde_json::json;
use support::{Client, Raw};
use tokio::net::TcpListener;

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("an address");
    (listener, addr)
}

async fn session(addr: SocketAddr, key: &str) -> Client {
    let mut client = Client::connect(addr, &format!("/websocket/{key}"), &[]).await.expect("an upgrade");
    client.ping().await;
    client
}

#[tokio::test]
async fn users_of_the_axum_server_write_to_each_other() {
    let (listener, addr) = listener().await;
    let router = axum_example::router(axum_example::hub());
    tokio::spawn(keywire::serve(listener, router).run());
    let page = Raw::connect(addr).await.get("/").await;
    assert!(page.body.contains("<form>"));
    let client = Raw::connect(addr).await.get("/keywire.js").await;
    assert_eq!(client.body, keywire::adapter::BROWSER_CLIENT);
    let (mut alice, mut bob) = (session(addr, "alice").await, session(addr, "bob").await);
    alice.send(json!({ "flag": "inform", "reception": "bob", "body": "lunch?" })).await;
    let push = bob.next().await;
    assert_eq!((&push["sender"], &push["data"]), (&json!("alice"), &json!("lunch?")));
    let mut raw = Raw::connect(addr).await;
    raw.write(b"POST /notify/alice HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(raw.head().await.body, "1 sessions\n");
    assert_eq!(alice.next().await["msg"], "your build is green");
}

#[tokio::test]
async fn the_hyper_server_has_pages_and_sessions() {
    let (listener, addr) = listener().await;
    let hub = Hub::builder(RawKey::from_path()).build();
    tokio::spawn(hyper_example::accept(listener, hub.clone()));
    assert!(Raw::connect(addr).await.get("/").await.body.contains("<h1>"));
    assert_eq!(Raw::connect(addr).await.get("/websockets").await.status, 404);
    assert_eq!(Raw::connect(addr).await.get("/websocket").await.status, 426);
    let mut alice = session(addr, "alice").await;
    hub.broadcast(Push::data(1)).await;
    assert_eq!(alice.next().await["data"], 1);
    let peer = hub.sessions("alice").await.pop().expect("a session").peer();
    assert_eq!(peer.map(|peer| peer.ip()), Some(addr.ip()));
}

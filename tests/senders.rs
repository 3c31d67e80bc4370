//! Whoever sends, from wherever: it arrives, all of it, in order, with nobody to wake the session but the
//! sending itself.
#![cfg(feature = "warp")]

mod support;

use keywire::auth::RawKey;
use keywire::message::Frame;
use keywire::store::Outcome;
use keywire::{Config, Envelope, Hub, HubBuilder, Push, Reply, Session, Switch};
use serde_json::json;
use support::{Client, Server};

const MESSAGES: u64 = 100;

async fn send_all(hub: Hub, key: &'static str) {
    for number in 0..MESSAGES {
        assert_eq!(hub.send_to(key, Push::data(number)).await.delivered, 1);
    }
}

async fn receive_all(client: &mut Client) {
    for number in 0..MESSAGES {
        assert_eq!(client.next().await["data"], number);
    }
}

async fn server() -> Server {
    Server::start(hub().build()).await
}

/// Without the heartbeat, which would bring to light in the end what nobody had written.
fn hub() -> HubBuilder {
    Hub::builder(RawKey::from_path()).config(Config { ping_interval: None, ..Config::default() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task() {
    let server = server().await;
    let mut alice = server.client("alice").await;
    tokio::spawn(send_all(server.hub.clone(), "alice")).await.expect("a task that ends");
    receive_all(&mut alice).await;
}

#[tokio::test]
async fn a_task_on_a_thread_alone() {
    let server = server().await;
    let mut alice = server.client("alice").await;
    send_all(server.hub.clone(), "alice").await;
    receive_all(&mut alice).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocking_thread_of_the_runtime() {
    let server = server().await;
    let mut alice = server.client("alice").await;
    let hub = server.hub.clone();
    tokio::task::spawn_blocking(|| run(send_all(hub, "alice"))).await.expect("no panic");
    receive_all(&mut alice).await;
}

#[tokio::test]
async fn a_thread_without_a_runtime() {
    let server = server().await;
    let mut alice = server.client("alice").await;
    let hub = server.hub.clone();
    let thread = std::thread::spawn(|| run(send_all(hub, "alice")));
    receive_all(&mut alice).await;
    thread.join().expect("no panic");
}

#[tokio::test]
async fn another_runtime() {
    let server = server().await;
    let mut alice = server.client("alice").await;
    let hub = server.hub.clone();
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        // It never turns again after this, so a task that is left to it would not run.
        runtime.block_on(send_all(hub, "alice"));
        runtime
    });
    let runtime = thread.join().expect("no panic");
    receive_all(&mut alice).await;
    runtime.shutdown_background();
}

#[tokio::test]
async fn a_handler_whose_turn_is_longer_than_one_poll_writes() {
    const CLIENTS: usize = 300;
    let broadcast = |session: Session, _: Envelope| async move {
        for number in 0..3 {
            session.hub().broadcast(Push::data(number)).await;
        }
        Ok(Reply::ok("done"))
    };
    let switch = Switch::new().command(broadcast);
    let server = Server::start(hub().handler(switch).build()).await;
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push(server.client(&number.to_string()).await);
    }
    clients[0].send(json!({ "flag": "command" })).await;
    for client in &mut clients {
        for number in 0..3 {
            assert_eq!(client.next().await["data"], number);
        }
    }
    assert_eq!(clients[0].next().await["msg"], "done");
}

#[tokio::test]
async fn a_burst_longer_than_the_queue_does_not_make_a_good_reader_slow() {
    let server = server().await;
    let mut alice = server.client("alice").await;
    let session = server.hub.sessions("alice").await.remove(0);
    // Nothing is awaited in between: who sends must write.
    for number in 0..1_000 {
        assert_eq!(session.send(Push::data(number)), Outcome::Accepted, "{number}");
    }
    for number in 0..1_000 {
        assert_eq!(alice.next().await["data"], number);
    }
}

#[tokio::test]
async fn a_burst_that_is_known_beforehand_is_one_frame_after_the_other() {
    let server = server().await;
    let mut alice = server.client("alice").await;
    let mut bob = server.client("bob").await;
    let pushes: Vec<_> = (0..10).map(Push::data).collect();
    assert_eq!(server.hub.send_to("alice", &pushes[..]).await.delivered, 1);
    assert_eq!(server.hub.broadcast(&pushes[..]).await.delivered, 2);
    // Nothing at all is nothing.
    server.hub.broadcast([]).await;
    server.hub.sessions("bob").await[0].send_frame(&Frame::text(r#"{"data":"last"}"#));
    for number in (0..10).chain(0..10) {
        assert_eq!(alice.next().await["data"], number);
    }
    for number in 0..10 {
        assert_eq!(bob.next().await["data"], number);
    }
    assert_eq!(bob.next().await["data"], "last");
}

/// Runs a future without a runtime.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
}

#[tokio::test]
async fn nothing_at_all_can_be_sent_and_harms_nobody() {
    let server = server().await;
    let mut alice = server.client("alice").await;
    assert_eq!(server.hub.send_to("alice", []).await.delivered, 1);
    alice.ping().await;
    assert_eq!(server.hub.broadcast([]).await.delivered, 1);
    server.hub.send_to("alice", Push::data(1)).await;
    assert_eq!(alice.next().await["data"], 1);
    alice.ping().await;
}

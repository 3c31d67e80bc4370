//! A sender that blocks or computes after it has sent: what it sent leaves all the same, and so does what others send to
//! the same sessions.
#![cfg(any(feature = "axum", feature = "warp"))]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use keywire::auth::RawKey;
use keywire::{Envelope, Hub, Push, Reply, Session, Switch};
use serde_json::json;
use support::{Adapter, Server, opening};

/// Longer than it takes. Only a sender that is waited for makes a test wait so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A handler that sends to bob and then blocks its thread until it is told to go on, by a sender to be used once.
fn blocking() -> (Switch, Sender<()>) {
    let (go_on, wait) = channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let switch = Switch::new().command(move |session: Session, _: Envelope| {
        let wait = wait.clone();
        async move {
            session.hub().send_to("bob", Push::message("from the handler")).await;
            let went_on =
                tokio::task::block_in_place(|| wait.lock().expect("one handler").recv_timeout(PATIENCE));
            assert!(went_on.is_ok(), "what was sent before did not arrive");
            Ok(Reply::ok("done"))
        }
    });
    (switch, go_on)
}

fn hub(switch: Switch) -> Hub {
    Hub::builder(RawKey::from_path()).handler(switch).build()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_handler_sent_arrives_while_it_blocks() {
    let (switch, go_on) = blocking();
    let server = Server::start(hub(switch)).await;
    let (mut alice, mut bob) = (server.client("alice").await, server.client("bob").await);
    alice.send(json!({ "flag": "command" })).await;
    assert_eq!(bob.next().await["msg"], "from the handler");
    go_on.send(()).expect("a handler at work");
    assert_eq!(alice.next().await["msg"], "done");
}

/// All of it: what others send to the same session joins what waits, and must not wait with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_send_to_the_same_session_arrives_too() {
    let (switch, go_on) = blocking();
    let server = Server::start(hub(switch)).await;
    let (mut alice, mut bob) = (server.client("alice").await, server.client("bob").await);
    alice.send(json!({ "flag": "command" })).await;
    assert_eq!(bob.next().await["msg"], "from the handler");
    for number in 0..21 {
        server.hub.send_to("bob", Push::data(number)).await;
        assert_eq!(bob.next().await["data"], number);
    }
    go_on.send(()).expect("a handler at work");
    assert_eq!(alice.next().await["msg"], "done");
}

/// A client on a thread of its own, which needs no runtime.
struct Plain(TcpStream);

impl Plain {
    fn open(addr: std::net::SocketAddr, key: &str) -> Self {
        let mut stream = TcpStream::connect(addr).expect("a listening server");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.write_all(opening(&format!("/websocket/{key}"), &[]).as_bytes()).expect("an open connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("the head of an answer");
            head.push(byte[0]);
        }
        Self(stream)
    }

    /// The text of a short frame, or why there is none.
    fn next(&mut self) -> Result<String, std::io::Error> {
        let mut head = [0; 2];
        self.0.read_exact(&mut head)?;
        let mut payload = vec![0; usize::from(head[1])];
        self.0.read_exact(&mut payload)?;
        Ok(String::from_utf8_lossy(&payload).into_owned())
    }
}

/// The only thread of a runtime sends and then blocks, in whatever it does: nothing else of this runtime can run.
///
/// Only a push to the bare socket can arrive then, so this is also the test that each adapter finds the socket below the upgrade.
fn on_the_only_thread(send: impl AsyncFn(&Hub, Receiver<()>)) {
    for &adapter in Adapter::ALL {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let server = Server::with(adapter, "websocket", hub(Switch::new())).await;
            let (go_on, wait) = channel();
            let (tell, told) = channel();
            let addr = server.addr;
            let bob = thread::spawn(move || {
                let mut bob = Plain::open(addr, "bob");
                let received = bob.next().expect("the push of a sender that blocks");
                let _ = go_on.send(());
                let _ = tell.send(received);
            });
            support::until("bob", async || match server.hub.counts().await.sessions {
                1 => Ok(()),
                sessions => Err(format!("{sessions} sessions")),
            })
            .await;
            // The session's task has gone to sleep: its next turn would write.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            send(&server.hub, wait).await;
            assert!(told.recv_timeout(PATIENCE).expect("bob's word").contains("hello"), "{adapter:?}");
            bob.join().expect("bob");
        });
    }
}

#[test]
fn a_task_that_blocks_the_only_thread_delays_nothing_that_it_sent() {
    on_the_only_thread(async |hub, wait| {
        hub.send_to("bob", Push::message("hello")).await;
        wait.recv_timeout(PATIENCE).expect("what was sent arrives while the thread is blocked");
    });
}

#[test]
fn so_does_a_broadcast() {
    on_the_only_thread(async |hub, wait| {
        hub.broadcast(Push::message("hello")).await;
        wait.recv_timeout(PATIENCE).expect("what was sent arrives while the thread is blocked");
    });
}

#[test]
fn and_what_is_sent_to_the_session_itself() {
    on_the_only_thread(async |hub, wait| {
        let session = hub.sessions("bob").await.remove(0);
        session.send(Push::message("hello"));
        wait.recv_timeout(PATIENCE).expect("what was sent arrives while the thread is blocked");
    });
}

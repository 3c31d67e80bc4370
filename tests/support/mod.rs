//! Shared code of the tests: a real server, clients that are not keywire's, and waits with a timeout.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code, unused_imports)]

mod client;
#[cfg(feature = "client")]
pub(crate) mod keywire_client;
mod lines;
#[cfg(feature = "metrics")]
mod numbers;
mod peer;
mod raw;
pub(crate) mod tokens;

use std::net::SocketAddr;
use std::time::Duration;

use keywire::session::Closed;
use keywire::{Hub, Session, Switch};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

pub(crate) use client::{Client, End, request};
pub(crate) use lines::Lines;
#[cfg(feature = "metrics")]
pub(crate) use numbers::{Numbers, moves, watched};
pub(crate) use peer::{Peer, PeerListener};
pub(crate) use raw::{CLOSE, Head, PING, Raw, TEXT, frame, masked, opening};

/// Timeout of waits, more than anything takes on a busy machine. Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits with a timeout.
pub(crate) async fn within<F: Future>(what: &str, event: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(output) => output,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// Polls a condition that has no event to wait for.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let start = std::time::Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(state) if start.elapsed() > PATIENCE => panic!("waited in vain for {what}: {state}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}

/// Values that hooks and handlers send to a test, in their order.
pub(crate) struct Events<T>(UnboundedReceiver<T>);

pub(crate) fn events<T>() -> (UnboundedSender<T>, Events<T>) {
    let (tell, told) = unbounded_channel();
    (tell, Events(told))
}

impl<T> Events<T> {
    pub(crate) async fn next(&mut self, what: &str) -> T {
        within(what, self.0.recv()).await.expect("somebody can still tell")
    }

    /// The values that have been sent and not taken.
    pub(crate) fn rest(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

/// A switch that reports the end of each session.
pub(crate) fn telling_ends() -> (Switch, Events<(Session, Closed)>) {
    let (tell, ends) = events();
    let switch = Switch::new().closed(move |session, closed| {
        let _ = tell.send((session, closed));
        std::future::ready(())
    });
    (switch, ends)
}

/// A warp server on a port of its own.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) hub: Hub,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(hub: Hub) -> Self {
        Self::start_at("websocket", hub).await
    }

    pub(crate) async fn start_at(path: &str, hub: Hub) -> Self {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0)), path, hub).await
    }

    pub(crate) async fn start_on(addr: SocketAddr, path: &str, hub: Hub) -> Self {
        let listener = TcpListener::bind(addr).await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let server = warp::serve(keywire::adapter::warp::websocket(path, hub.clone())).incoming(listener);
        Self { addr, hub, accepting: tokio::spawn(server.run()) }
    }

    /// Accepts no further clients. Connections go on.
    pub(crate) fn stop(&self) {
        self.accepting.abort();
    }

    /// Connects, and waits until the session of `key` is in the store.
    pub(crate) async fn client(&self, key: &str) -> Client {
        let mut client = self.open(&format!("/websocket/{key}")).await;
        client.ping().await;
        client
    }

    /// Opens this path, without waiting for the session.
    pub(crate) async fn open(&self, path: &str) -> Client {
        self.open_with(path, &[]).await
    }

    pub(crate) async fn open_with(&self, path: &str, headers: &[(&'static str, &str)]) -> Client {
        Client::connect(self.addr, path, headers).await.expect("an upgrade")
    }

    /// The answer to an opening that is refused.
    pub(crate) async fn refusal(&self, path: &str, headers: &[(&'static str, &str)]) -> Head {
        let mut raw = self.raw().await;
        raw.write(opening(path, headers).as_bytes()).await;
        let head = raw.head().await;
        assert_ne!(head.status, 101, "{path} is not refused");
        head
    }

    pub(crate) async fn raw(&self) -> Raw {
        Raw::connect(self.addr).await
    }

    /// An open session over raw TCP, in the store.
    pub(crate) async fn raw_session(&self, key: &str) -> Raw {
        let mut raw = self.raw().await;
        raw.write(opening(&format!("/websocket/{key}"), &[]).as_bytes()).await;
        assert_eq!(raw.head().await.status, 101);
        raw.write(&masked(TEXT, br#"{"flag":"kw:ping"}"#)).await;
        let pong = raw.frame().await.expect("a pong");
        assert_eq!(pong.text(), r#"{"code":"00","msg":"","flag":"kw:pong"}"#);
        raw
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

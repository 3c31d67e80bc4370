//! Shared code of the tests: a real server, clients that are not keywire's, and waits with a timeout.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code, unused_imports)]

#[cfg(feature = "warp")]
pub(crate) mod asking;
mod client;
mod directory;
mod faulty_log;
#[cfg(all(feature = "client", feature = "warp"))]
pub(crate) mod keywire_client;
mod lines;
mod list_store;
#[cfg(feature = "nats")]
mod nats;
#[cfg(all(feature = "metrics", feature = "warp"))]
mod numbers;
pub(crate) mod old_node;
mod peer;
mod raw;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(any(feature = "axum", feature = "warp"))]
mod server;
pub(crate) mod tokens;
mod wire;

use std::time::Duration;

use keywire::session::Closed;
use keywire::{Session, Switch};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub(crate) use client::{Client, End, request};
pub(crate) use directory::Directory;
pub(crate) use faulty_log::{FaultyLog, Moment};
pub(crate) use lines::Lines;
pub(crate) use list_store::ListStore;
#[cfg(feature = "nats")]
pub(crate) use nats::NatsServer;
#[cfg(all(feature = "metrics", feature = "warp"))]
pub(crate) use numbers::{Numbers, moves, watched};
pub(crate) use peer::{Peer, PeerListener};
pub(crate) use raw::{CLOSE, Head, PING, Raw, TEXT, frame, masked, opening};
#[cfg(any(feature = "axum", feature = "warp"))]
pub(crate) use server::{Adapter, Server};
pub(crate) use wire::{Over, Wire, fixture, shake, tls_client};

/// Timeout of waits, more than anything takes on a busy machine. Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits with a timeout.
pub(crate) async fn within<F: Future>(what: &str, event: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(output) => output,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// Waits until a process that was told to stop has stopped: each of its threads does when it gets to know of it.
pub(crate) async fn stopped(pid: u32) {
    let is_running = |task: std::io::Result<std::fs::DirEntry>| {
        let stat =
            task.and_then(|task| std::fs::read_to_string(task.path().join("stat"))).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('T'))
    };
    until("the end of all threads", async || {
        let mut tasks = std::fs::read_dir(format!("/proc/{pid}/task")).map_err(|error| error.to_string())?;
        match tasks.any(is_running) {
            true => Err("a thread runs".to_owned()),
            false => Ok(()),
        }
    })
    .await;
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

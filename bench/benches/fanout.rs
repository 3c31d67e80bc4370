//! A message through hub, store, queues and tasks into sockets that cost nothing: a delivery without its system
//! call.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use divan::Bencher;
use divan::counter::ItemsCount;
use http::Request;
use keywire::adapter::{Handshake, PathKey};
use keywire::auth::RawKey;
use keywire::message::Frame;
use keywire::store::{Order, Recipients};
use keywire::{Hub, Push};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};

fn main() {
    divan::main();
}

#[divan::bench(args = [1, 100, 10_000])]
fn broadcast(bencher: Bencher<'_, '_>, sessions: usize) {
    let world = World::new(sessions);
    let order = Order::Deliver(frame());
    bencher
        .counter(ItemsCount::new(sessions))
        .bench_local(|| world.deliver(&Recipients::everyone(), &order, sessions));
}

#[divan::bench(args = [1, 100, 10_000])]
fn to_one_of(bencher: Bencher<'_, '_>, sessions: usize) {
    let world = World::new(sessions);
    let order = Order::Deliver(frame());
    let to = Recipients::key(key(sessions / 2).parse().expect("a key"));
    bencher.bench_local(|| world.deliver(&to, &order, 1));
}

fn frame() -> Frame {
    Frame::push(&Push::message("x".repeat(100)))
}

fn key(number: usize) -> String {
    format!("user{number}")
}

/// A hub with sessions whose sockets only count the bytes written.
struct World {
    runtime: Runtime,
    hub: Hub,
    written: Arc<AtomicUsize>,
}

impl World {
    fn new(sessions: usize) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let hub = Hub::builder(RawKey::from_path()).build();
        let written = Arc::new(AtomicUsize::new(0));
        runtime.block_on(async {
            for number in 0..sessions {
                let connection = hub.upgrade(opening(&key(number))).await.connection;
                let socket = Void(written.clone());
                tokio::spawn(connection.expect("101").run(socket, Default::default()));
            }
            while hub.counts().await.sessions < sessions {
                tokio::task::yield_now().await;
            }
        });
        Self { runtime, hub, written }
    }

    /// Sends, and lets the sessions write.
    fn deliver(&self, to: &Recipients, order: &Order, sessions: usize) {
        let Order::Deliver(frame) = order else { return };
        // The header of a short frame has two bytes.
        let end = self.written.load(Ordering::Relaxed) + sessions * (frame.as_bytes().len());
        assert_eq!(frame.count(), 1);
        self.runtime.block_on(async {
            self.hub.dispatch(to, order).await;
            while self.written.load(Ordering::Relaxed) < end {
                tokio::task::yield_now().await;
            }
        });
    }
}

fn opening(key: &str) -> Handshake {
    let request = Request::get(format!("/websocket/{key}"))
        .header("host", "localhost")
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    Handshake::new(request.body(()).expect("a request")).with_path_key(PathKey::decoded(key))
}

/// A client that sends nothing and takes everything.
struct Void(Arc<AtomicUsize>);

impl Void {
    fn take(&self, len: usize) -> Poll<io::Result<usize>> {
        self.0.fetch_add(len, Ordering::Relaxed);
        Poll::Ready(Ok(len))
    }
}

impl AsyncRead for Void {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Void {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.take(bytes.len())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.take(slices.iter().map(|slice| slice.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

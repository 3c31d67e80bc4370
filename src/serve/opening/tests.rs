use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::poll_fn;
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::yield_now;

use super::super::channel::Channel;
use super::super::connection::Connections;
use super::super::progress::ProgressTimeout;
use super::super::quota::ConnectionQuota;
use super::super::transport::Transport;
use super::*;
use crate::auth::RawKey;

const OPENING: &[u8] = b"GET /ws/alice HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const CLOSE: &[u8] = b"\x88\x80abcd";

/// A server with an endpoint, and a connection to it that nothing was read from.
struct Server {
    hub: Hub,
    endpoints: Endpoints,
    config: ServeConfig,
    quota: Arc<ConnectionQuota>,
    fresh: Fresh,
}

impl Server {
    fn new(server: UnixStream) -> Self {
        let hub = Hub::builder(RawKey::from_path()).build();
        let mut endpoints = Endpoints::default();
        endpoints.add("ws", &hub);
        let config = ServeConfig::default();
        let quota = ConnectionQuota::new(&config);
        let channel = Channel::Plain(Transport::Unix(server));
        let stream = PermittedStream::new(channel, quota.acquire(None), ProgressTimeout::new(&config));
        Self { hub, endpoints, config, quota, fresh: stream.into() }
    }

    async fn open(&mut self) -> Opened<impl Future<Output = ()> + Send + use<>> {
        poll_fn(|cx| self.fresh.poll_open(&self.endpoints, None, &self.config, cx)).await
    }
}

#[tokio::test(start_paused = true)]
async fn hyper_waits_only_for_the_rest_of_the_time() {
    let begun = Instant::now();
    let (server, mut client) = UnixStream::pair().unwrap();
    let mut server = Server::new(server);
    let head_timeout = server.config.head_timeout;
    let half = async {
        tokio::time::sleep(head_timeout / 2).await;
        client.write_all(&OPENING[..40]).await
    };
    let (opened, _) = tokio::join!(server.open(), half);
    let Opened::Http(rest) = opened else { panic!("half a head") };
    assert_eq!(rest.deadline.unwrap() - begun, head_timeout);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_the_wait_for_the_first_bytes() {
    let begun = Instant::now();
    let (server, mut client) = UnixStream::pair().unwrap();
    let Server { endpoints, config, .. } = Server::new(UnixStream::pair().unwrap().0);
    let connections = Connections::new(&config, endpoints);
    let service = service_fn(|_| ready(Ok::<_, Infallible>(Response::new(String::new()))));
    connections.begin(Transport::Unix(server), None, service, &config);
    // The connection's task runs.
    yield_now().await;
    connections.drain();
    connections.ended().await;
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "nothing was asked");
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

/// A client with an opening and these frames whose socket is full.
struct Full {
    client: UnixStream,
    /// Bytes in the socket.
    filled: usize,
    hub: Hub,
    quota: Arc<ConnectionQuota>,
    slow: BoxFuture<'static, Option<BoxFuture<'static, ()>>>,
}

impl Full {
    async fn with(frames: &[u8]) -> Self {
        // On a busy machine a check may take long, and then the opening is left to hyper.
        for _ in 0..100 {
            let (server, mut client) = UnixStream::pair().unwrap();
            // What tokio says of a new socket is no answer of the kernel's.
            server.writable().await.unwrap();
            let mut filled = 0;
            while let Ok(wrote) = server.try_write(&[b'x'; 4096]) {
                filled += wrote;
            }
            client.write_all(&[OPENING, frames].concat()).await.unwrap();
            let mut server = Server::new(server);
            match server.open().await {
                Opened::Slow(slow) => {
                    let slow = slow.map(|session| session.map(|it| it.boxed())).boxed();
                    let Server { hub, quota, .. } = server;
                    return Self { client, filled, hub, quota, slow };
                }
                Opened::Http(Rest { decided: Some(_), .. }) => {}
                _ => panic!("there is room for a 101, or the client is gone"),
            }
        }
        panic!("each check took long");
    }
}

#[tokio::test]
async fn a_client_may_take_its_101_later() {
    let Full { mut client, filled, slow, .. } = Full::with(CLOSE).await;
    let session = tokio::spawn(async move { slow.await.expect("a session").await });
    let mut read = Vec::new();
    client.read_to_end(&mut read).await.unwrap();
    let read = read[filled..].escape_ascii().to_string();
    assert!(read.starts_with("HTTP/1.1 101 Switching Protocols"), "{read}");
    assert!(read.ends_with(r"\r\n\r\n\x88\x00"), "a close frame answers the early one: {read}");
    session.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_take_its_101_is_let_go() {
    let Full { client: _client, slow, .. } = Full::with(CLOSE).await;
    assert!(tokio::time::timeout(Duration::from_secs(60), slow).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_101_that_is_being_written_at_a_drain_is_followed_by_its_close() {
    let Full { mut client, filled, hub, quota, slow } = Full::with(b"").await;
    let session = tokio::spawn(async move { slow.await.expect("a session").await });
    quota.drain();
    let wait = Duration::from_secs(10);
    let down = tokio::spawn(async move { hub.shutdown(wait).await });
    // Both wait for the client.
    yield_now().await;
    let mut read = vec![0; filled];
    client.read_exact(&mut read).await.unwrap();
    read.clear();
    while !read.ends_with(b"\x88\x02\x03\xe9") {
        assert_ne!(client.read_buf(&mut read).await.unwrap(), 0, "{}", read.escape_ascii());
    }
    let read = read.escape_ascii().to_string();
    assert!(read.starts_with("HTTP/1.1 101 Switching Protocols"), "{read}");
    assert!(read.ends_with(r"\r\n\r\n\x88\x02\x03\xe9"), "nothing but 1001 follows it: {read}");
    client.write_all(CLOSE).await.unwrap();
    session.await.unwrap();
    assert_eq!(down.await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_101_that_is_not_taken_at_a_drain_is_cut() {
    let Full { client: _client, hub, quota, slow, .. } = Full::with(b"").await;
    let session = tokio::spawn(async move { slow.await.is_some() });
    quota.drain();
    assert_eq!(hub.shutdown(Duration::from_secs(1)).await, 1);
    assert!(!session.await.unwrap());
}

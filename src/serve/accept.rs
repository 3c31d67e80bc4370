//! Accepts connections up to the limit.

use std::error::Error;
use std::io;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use http::{Request, Response};
use hyper::body::Body;
use hyper::service::Service;
use tokio::time::{Instant, sleep, timeout};

use super::body::RequestBody;
use super::config::ServeConfig;
use super::connection::Connections;
use super::listener::{Listener, is_of_one_connection};
use super::quota::ConnectionQuota;
use super::transport::Transport;
use crate::limits::Address;
use crate::peer::PeerAddr;

/// Number of connections that are accepted while they wait for a permit, so that their addresses are known. Others wait in the
/// kernel's queue.
const WAITING: usize = 256;

/// Time after which the quota is asked again to make room for the waiting connections.
const RETRY: Duration = Duration::from_millis(50);

/// Pause after the listener has failed, usually for lack of file descriptors. An immediate retry would fail too.
const PAUSE: Duration = Duration::from_millis(100);

/// Number of connections that are accepted from the kernel's queue when the server ends: the default length of that queue.
const BACKLOG: usize = 1024;

pub(super) struct Acceptor<L, S> {
    listener: L,
    is_failing: bool,
    /// Connections that wait for a permit, newest last.
    waiting: Vec<Newcomer>,
    service: S,
    config: ServeConfig,
    connections: Connections,
    refusals: Notice,
}

struct Newcomer {
    transport: Transport,
    peer: Option<PeerAddr>,
}

impl Newcomer {
    fn address(&self) -> Option<Address> {
        self.peer.map(|PeerAddr(addr)| addr.into())
    }
}

impl<L, S, B> Acceptor<L, S>
where
    L: Listener,
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    pub(super) fn new(listener: L, service: S, config: ServeConfig, connections: Connections) -> Self {
        let refusals = Notice::default();
        Self { listener, is_failing: false, waiting: Vec::new(), service, config, connections, refusals }
    }

    /// Accepts connections and never returns. If the future is dropped, connections that wait for a permit keep waiting.
    pub(super) async fn run(&mut self) {
        loop {
            self.admit_waiting();
            if self.waiting.is_empty() {
                let newcomer = next(&mut self.listener, &mut self.is_failing, self.connections.quota()).await;
                self.welcome(newcomer);
                continue;
            }
            let addresses: Vec<_> = self.waiting.iter().map(Newcomer::address).collect();
            let quota = self.connections.quota();
            quota.make_room(&addresses);
            let newcomer = {
                let newcomer = pin!(next(&mut self.listener, &mut self.is_failing, quota));
                let changed = pin!(timeout(RETRY, quota.freed()));
                match select(newcomer, changed).await {
                    Either::Left((newcomer, _)) => Some(newcomer),
                    Either::Right(_) => None,
                }
            };
            if let Some(newcomer) = newcomer {
                self.welcome(newcomer);
            }
        }
    }

    /// Closes the listener. Connections that arrived before get one request answered each, even beyond the limit.
    pub(super) fn finish(mut self) -> Connections {
        self.connections.drain();
        for newcomer in std::mem::take(&mut self.waiting) {
            self.begin(newcomer);
        }
        for _ in 0..BACKLOG {
            match self.listener.accept_waiting() {
                Ok((transport, peer)) => self.begin(Newcomer { transport, peer }),
                Err(error) if is_of_one_connection(&error) => {}
                Err(_) => break,
            }
        }
        self.connections
    }

    /// Gives free permits to waiting connections, first to the address that holds the fewest.
    fn admit_waiting(&mut self) {
        let quota = self.connections.quota().clone();
        while !self.waiting.is_empty() && quota.has_room() {
            let index = match self.waiting.len() {
                1 => 0,
                many => (0..many).min_by_key(|&i| quota.used_by(self.waiting[i].address())).unwrap_or(0),
            };
            let newcomer = self.waiting.remove(index);
            self.begin(newcomer);
        }
    }

    fn begin(&self, newcomer: Newcomer) {
        let Newcomer { transport, peer } = newcomer;
        if let Err(error) = transport.set_up(&self.config) {
            // Fails only for a dead socket, which the next read detects.
            tracing::debug!(%error, "could not set the options of a new connection");
        }
        self.connections.begin(transport, peer, self.service.clone(), &self.config);
    }

    fn welcome(&mut self, newcomer: Newcomer) {
        let address = newcomer.address();
        let quota = self.connections.quota();
        if !quota.may_have_more(address, |held| held + self.waiting_of(address)) {
            self.refusals.tell("ServeConfig::connections_per_address");
            return;
        }
        self.waiting.push(newcomer);
        if self.waiting.len() > WAITING {
            // Drops the newest connection of the address that has the most of them here.
            let counts = self.waiting.iter().map(|newcomer| self.waiting_of(newcomer.address())).enumerate();
            if let Some((index, _)) = counts.max_by_key(|&(index, count)| (count, index)) {
                self.waiting.remove(index);
                self.refusals.tell("ServeConfig::connections");
            }
        }
    }

    /// Number of connections of an address that wait for a permit.
    fn waiting_of(&self, address: Option<Address>) -> usize {
        self.waiting.iter().filter(|newcomer| newcomer.address() == address).count()
    }
}

/// The next connection. Logs the errors until then.
async fn next<L: Listener>(listener: &mut L, is_failing: &mut bool, quota: &ConnectionQuota) -> Newcomer {
    loop {
        match listener.accept().await {
            Ok((transport, peer)) => {
                if std::mem::take(is_failing) {
                    tracing::info!("connections are accepted again");
                }
                return Newcomer { transport, peer };
            }
            Err(error) if is_of_one_connection(&error) => {
                tracing::debug!(%error, "a client disconnected before it was accepted");
            }
            Err(error) => {
                pause(&error, is_failing, quota).await;
            }
        }
    }
}

async fn pause(error: &io::Error, is_failing: &mut bool, quota: &ConnectionQuota) {
    if !std::mem::replace(is_failing, true) {
        tracing::error!(%error, "cannot accept connections; retrying");
    }
    quota.free_descriptors();
    sleep(PAUSE).await;
}

/// Logs a frequent event, rate-limited.
#[derive(Default)]
struct Notice {
    told: Option<Instant>,
    untold: usize,
}

impl Notice {
    fn tell(&mut self, setting: &str) {
        const INTERVAL: Duration = Duration::from_secs(10);
        self.untold += 1;
        if self.told.is_none_or(|told| told.elapsed() >= INTERVAL) {
            tracing::info!(
                connections = self.untold,
                setting,
                "connections refused: too many at the same time"
            );
            *self = Self { told: Some(Instant::now()), untold: 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn accepted(address: &str, config: &ServeConfig) -> (TcpStream, TcpStream) {
        let mut listener = TcpListener::bind(address).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let newcomer = next(&mut listener, &mut false, &ConnectionQuota::new(config)).await;
        assert_eq!(newcomer.peer, client.local_addr().ok().map(PeerAddr));
        newcomer.transport.set_up(config).unwrap();
        let Transport::Tcp(stream) = newcomer.transport else { panic!("not TCP") };
        (stream, client)
    }

    #[tokio::test]
    async fn small_messages_leave_at_once_and_silence_is_looked_into() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            for (tcp_keepalive, set) in [(17, 17), (0, 1), (86_400, 32_767)] {
                let tcp_keepalive = Some(Duration::from_secs(tcp_keepalive));
                let config = ServeConfig { tcp_keepalive, ..ServeConfig::default() };
                let (stream, _client) = accepted(address, &config).await;
                assert!(stream.nodelay().unwrap());
                let socket = SockRef::from(&stream);
                assert!(socket.keepalive().unwrap());
                assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(set));
            }
            let config = ServeConfig { tcp_keepalive: None, ..ServeConfig::default() };
            let (stream, _client) = accepted(address, &config).await;
            assert!(stream.nodelay().unwrap());
            assert!(!SockRef::from(&stream).keepalive().unwrap());
        }
    }
}

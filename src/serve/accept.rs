//! Lets connections in, as many as there are places for.

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
use super::places::Places;
use super::transport::Transport;
use crate::limits::Address;
use crate::peer::Peer;

/// Number of connections that wait here for a place, so that each address is seen. Others wait in the system's queue.
const ROOM: usize = 256;

/// After this time connections are asked again to give way to those that wait.
const AGAIN: Duration = Duration::from_millis(50);

/// How long to leave a listener alone that fails, most likely for want of file descriptors. It would fail again at once.
const PAUSE: Duration = Duration::from_millis(100);

/// Number of connections that are taken from the system's queue when the server ends, which is the length of that queue by default.
const BACKLOG: usize = 1024;

pub(super) struct Acceptor<L, S> {
    listener: L,
    is_failing: bool,
    /// Those that wait for a place, the newest last.
    room: Vec<Newcomer>,
    service: S,
    config: ServeConfig,
    connections: Connections,
    refusals: Notice,
}

struct Newcomer {
    transport: Transport,
    peer: Option<Peer>,
}

impl Newcomer {
    fn address(&self) -> Option<Address> {
        self.peer.map(|Peer(addr)| addr.into())
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
    pub(super) fn new(listener: L, service: S, config: ServeConfig) -> Self {
        let connections = Connections::new(Places::new(&config));
        let refusals = Notice::default();
        Self { listener, is_failing: false, room: Vec::new(), service, config, connections, refusals }
    }

    /// Runs without an end. It may be dropped: who waits for a place goes on waiting.
    pub(super) async fn run(&mut self) {
        loop {
            self.seat();
            if self.room.is_empty() {
                let newcomer =
                    next(&mut self.listener, &mut self.is_failing, self.connections.places()).await;
                self.welcome(newcomer);
                continue;
            }
            let waiting: Vec<_> = self.room.iter().map(Newcomer::address).collect();
            let places = self.connections.places();
            places.make_room(&waiting);
            let newcomer = {
                let newcomer = pin!(next(&mut self.listener, &mut self.is_failing, places));
                let changed = pin!(timeout(AGAIN, places.freed()));
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

    /// Closes the listener. What has connected before is served once more, whether or not there are places.
    pub(super) fn finish(mut self) -> Connections {
        self.connections.drain();
        for newcomer in std::mem::take(&mut self.room) {
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

    /// Gives the places that are free to those that wait, first to whose address holds the fewest.
    fn seat(&mut self) {
        let places = self.connections.places().clone();
        while places.has_room()
            && let Some((index, _)) =
                self.room.iter().enumerate().min_by_key(|(_, newcomer)| places.held_by(newcomer.address()))
        {
            let newcomer = self.room.remove(index);
            self.begin(newcomer);
        }
    }

    fn begin(&self, newcomer: Newcomer) {
        let Newcomer { transport, peer } = newcomer;
        if let Err(error) = transport.set_up(&self.config) {
            // It fails only on a socket that is dead already, which reading will find out.
            tracing::debug!(%error, "a new connection takes no options");
        }
        self.connections.begin(transport, peer, self.service.clone(), &self.config);
    }

    fn welcome(&mut self, newcomer: Newcomer) {
        let address = newcomer.address();
        let places = self.connections.places();
        let held = places.held_by(address) + self.waiting(address);
        if !places.may_have_more(address, held) {
            self.refusals.tell("ServeConfig::connections_per_address");
            return;
        }
        self.room.push(newcomer);
        if self.room.len() > ROOM {
            // The newest of the address that has the most in here.
            let counts = self.room.iter().map(|newcomer| self.waiting(newcomer.address())).enumerate();
            if let Some((index, _)) = counts.max_by_key(|&(index, count)| (count, index)) {
                self.room.remove(index);
                self.refusals.tell("ServeConfig::connections");
            }
        }
    }

    /// How many of an address wait for a place.
    fn waiting(&self, address: Option<Address>) -> usize {
        self.room.iter().filter(|newcomer| newcomer.address() == address).count()
    }
}

/// The next connection, whatever happens until it comes.
async fn next<L: Listener>(listener: &mut L, is_failing: &mut bool, places: &Places) -> Newcomer {
    loop {
        match listener.accept().await {
            Ok((transport, peer)) => {
                if std::mem::take(is_failing) {
                    tracing::info!("connections are accepted again");
                }
                return Newcomer { transport, peer };
            }
            Err(error) if is_of_one_connection(&error) => {
                tracing::debug!(%error, "a client went away before it was accepted");
            }
            Err(error) => {
                pause(&error, is_failing, places).await;
            }
        }
    }
}

async fn pause(error: &io::Error, is_failing: &mut bool, places: &Places) {
    if !std::mem::replace(is_failing, true) {
        tracing::error!(%error, "cannot accept connections, and tries again until it can");
    }
    places.free_descriptors();
    sleep(PAUSE).await;
}

/// Logs what happens to many, but not for each.
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
        let newcomer = next(&mut listener, &mut false, &Places::new(config)).await;
        assert_eq!(newcomer.peer, client.local_addr().ok().map(Peer));
        newcomer.transport.set_up(config).unwrap();
        let Transport::Tcp(stream) = newcomer.transport else { panic!("not TCP") };
        (stream, client)
    }

    #[tokio::test]
    async fn small_messages_leave_at_once_and_silence_is_looked_into() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            for (tcp_keepalive, set) in [(17, 17), (0, 1), (86_400, 32_767)] {
                let tcp_keepalive = Duration::from_secs(tcp_keepalive);
                let config = ServeConfig { tcp_keepalive, ..ServeConfig::default() };
                let (stream, _client) = accepted(address, &config).await;
                assert!(stream.nodelay().unwrap());
                let socket = SockRef::from(&stream);
                assert!(socket.keepalive().unwrap());
                assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(set));
            }
            let config = ServeConfig { tcp_keepalive: Duration::MAX, ..ServeConfig::default() };
            let (stream, _client) = accepted(address, &config).await;
            assert!(stream.nodelay().unwrap());
            assert!(!SockRef::from(&stream).keepalive().unwrap());
        }
    }
}

//! From the HTTP head to a connection or a refusal; the same for all adapters.

mod admit;
mod refuse;

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either};
use http::{HeaderValue, Response, header};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::Instrument as _;

use crate::connection::{self, Arrival, SessionPermit, Socket, Wire};
use crate::deadline::finite;
use crate::handshake::{Handshake, KEYWIRE_V1};
use crate::hub::Hub;
use crate::limits::RefusalPermit;
use crate::outbox::Outbox;
use crate::rejection::Rejection;
use crate::session::Session;
use crate::underway::{Promised, Undecided};
use crate::websocket::{self, CloseCode, Opening};

/// What the server says to an opening: the response to send, and what happens on the connection after it.
///
/// An adapter for an HTTP framework collects the head into a [`Handshake`], asks [`Hub::upgrade`], sends
/// the response and, if there is a [`Connection`], runs it on what the framework upgrades to.
#[derive(Debug)]
pub struct Upgrade {
    /// 101, or the refusal with its JSON body.
    pub response: Response<String>,
    /// There if the response is 101.
    pub connection: Option<Connection>,
}

impl Hub {
    /// Decides about an opening: is it one (RFC 6455, section 4.2.1), does it come from where it may, and
    /// who is it?
    ///
    /// What the application decides about (the extractor, its ticket store) must be done within
    /// [`Config::handler_timeout`](crate::Config::handler_timeout), or the client is asked to come back.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped the opening is as if it had not been, but a ticket may have been used up.
    pub async fn upgrade(&self, handshake: Handshake) -> Upgrade {
        let proxies = &self.config().limits.proxies;
        let peer = handshake.peer().and_then(|peer| proxies.resolve(peer, handshake.headers()));
        let handshake = handshake.resolved_to(peer).deferring();
        let opening = match websocket::check(handshake.method(), handshake.version(), handshake.headers()) {
            Ok(opening) => opening,
            Err(error) => {
                self.metrics().no_opening();
                self.refusal_log().write("no_opening", &error.to_string(), peer);
                return Upgrade { response: refuse::opening(error), connection: None };
            }
        };
        let speaks_v1 = handshake.speaks_v1();
        let compression = self.config().compression.as_deflate();
        let extension = compression.and_then(|_| websocket::negotiate(handshake.headers()));
        let span = tracing::debug_span!("opening", peer = peer.map(tracing::field::display));
        let undecided = Undecided::begin(self);
        let decided = self.admit(&handshake).instrument(span).await.and_then(|(identity, permit)| {
            let compresses = extension.is_some();
            let session =
                Session::with_id(undecided.id(), self.clone(), identity, peer, speaks_v1, compresses);
            // A shutdown that finds the session waits for its connection.
            let _tracked = self.drain().connection_token();
            let promised = undecided.promise(&session)?;
            let connection = Connection::new(
                self,
                Fate::Live { promised, permit: SessionPermit::new(session.clone(), permit) },
            );
            // One that began before has not found it.
            if self.drain().has_begun() {
                session.close(CloseCode::DRAIN, "0");
            }
            Ok(connection)
        });
        match decided {
            Ok(connection) => {
                let mut upgrade = Upgrade::accept(&opening, speaks_v1, connection);
                if let Some(extension) = extension.map(HeaderValue::from_static) {
                    upgrade.response.headers_mut().insert(header::SEC_WEBSOCKET_EXTENSIONS, extension);
                }
                upgrade
            }
            Err(refusal) => {
                let rejection = refusal.rejection;
                self.metrics().refused(rejection);
                refusal.log(self.refusal_log(), peer);
                // A browser cannot read the status of a refusal, but it can read a close code. When there are
                // too many it is left with 1006, which asks it to come back.
                match self.admission().refusal_permit().filter(|_| speaks_v1) {
                    Some(permit) => {
                        let refused = Fate::Refused { hub: self.clone(), rejection, permit };
                        Upgrade::accept(&opening, speaks_v1, Connection::new(self, refused))
                    }
                    None => Upgrade { response: refuse::rejection(rejection), connection: None },
                }
            }
        }
    }
}

impl Upgrade {
    fn accept(opening: &Opening, speaks_v1: bool, connection: Connection) -> Self {
        let response = opening.response(speaks_v1.then_some(KEYWIRE_V1)).map(|()| String::new());
        Self { response, connection: Some(connection) }
    }
}

/// What happens on a connection once 101 has been sent.
#[derive(Debug)]
#[must_use = "a connection does nothing until it is run"]
pub struct Connection {
    fate: Fate,
    /// Shutting down waits from the moment at which the client was promised a connection.
    tracked: TaskTrackerToken,
}

#[derive(Debug)]
enum Fate {
    Live {
        promised: Promised,
        permit: SessionPermit,
    },
    /// Upgraded only to be told why not.
    Refused {
        hub: Hub,
        rejection: Rejection,
        permit: RefusalPermit,
    },
}

impl Connection {
    fn new(hub: &Hub, fate: Fate) -> Self {
        Self { fate, tracked: hub.drain().connection_token() }
    }

    /// What the HTTP side upgrades to, once the client has taken its 101. None if that takes longer than
    /// [`Config::upgrade_timeout`](crate::Config::upgrade_timeout) or a shutdown cuts it.
    #[cfg_attr(not(feature = "hyper"), expect(dead_code, reason = "the adapters call it"))]
    pub(crate) fn taken<F>(&self, upgraded: F) -> BoxFuture<'static, Option<F::Output>>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let hub = match &self.fate {
            Fate::Live { permit, .. } => permit.session().hub().clone(),
            Fate::Refused { hub, .. } => hub.clone(),
        };
        Box::pin(async move {
            let patience = finite(hub.config().upgrade_timeout);
            hub.drain().unless_cut(timeout(patience, upgraded)).await?.ok()
        })
    }

    /// Runs the connection to its end over a bare TCP connection, which costs the least: whoever sends to
    /// the session writes to the socket without waking a task. `early` is what the client sent behind its
    /// request and the HTTP side has read already.
    ///
    /// Sets `TCP_NODELAY`: else the second of two small messages waits until the first is acknowledged.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the connection without a close frame. The session leaves the store, but the
    /// handler's `closed` is not called.
    pub fn run_tcp(self, stream: TcpStream, early: Bytes) -> impl Future<Output = ()> + Send + 'static {
        // It fails only on a socket that is dead already.
        let _ = stream.set_nodelay(true);
        self.run_on(early, |outbox| Socket::tcp(stream, outbox))
    }

    /// Runs the connection to its end over any byte stream: TLS, a Unix socket, a pipe in a test. For an upgrade of
    /// hyper's there is `Connection::run_upgraded`; with the feature `hyper` a `TokioIo<Upgraded>` that is given to this
    /// method runs in the same way.
    ///
    /// # Cancel safety
    ///
    /// As [`Connection::run_tcp`].
    pub fn run<IO>(self, io: IO, early: Bytes) -> impl Future<Output = ()> + Send + 'static
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        #[cfg(feature = "hyper")]
        let run = match crate::adapter::hyper::into_upgraded(io) {
            Ok(upgraded) => Either::Left(self.run_on_upgraded(upgraded, early)),
            Err(io) => Either::Right(self.run_any(io, early)),
        };
        #[cfg(not(feature = "hyper"))]
        let run = self.run_any(io, early);
        run
    }

    /// Runs on the stream as it is.
    pub(crate) fn run_any<IO>(self, io: IO, early: Bytes) -> impl Future<Output = ()> + Send + use<IO>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.run_on(early, |_| Socket::Any(Box::new(io)))
    }

    /// Not `async` itself, for then the session's future would hold everything twice.
    fn run_on<S>(self, early: Bytes, socket: S) -> impl Future<Output = ()> + Send + use<S>
    where
        S: FnOnce(&Outbox) -> Socket,
    {
        // A copy: hyper's buffer of 8 KiB would live on as long as a byte of it, or none, is held.
        let early = early.to_vec();
        match self.fate {
            Fate::Live { promised, permit } => {
                let wire = Wire { socket: socket(permit.session().outbox()), early };
                Either::Left(connection::run(Box::new(Arrival { wire, promised }), permit, self.tracked))
            }
            Fate::Refused { hub, rejection, permit } => {
                let outbox = Outbox::default();
                let wire = Wire { socket: socket(&outbox), early };
                Either::Right(Box::pin(async move {
                    let turned_away = connection::turn_away(wire, &outbox, hub.config(), rejection);
                    hub.drain().unless_cut(turned_away).await;
                    drop((self.tracked, permit));
                }))
            }
        }
    }
}

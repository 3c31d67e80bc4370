//! From the HTTP head to a connection or a refusal; the same for all adapters.

use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::Either;
use http::{HeaderValue, Response, StatusCode, header};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::connection::{self, Socket, Wire};
use crate::handshake::Handshake;
use crate::hub::Hub;
use crate::key::Identity;
use crate::outbox::Outbox;
use crate::rejection::Rejection;
use crate::session::Session;
use crate::websocket::{self, Opening};

/// The subprotocol by which a client says that it knows keywire's close codes.
const KEYWIRE_V1: &str = "keywire.v1";

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
    pub async fn upgrade(&self, handshake: Handshake) -> Upgrade {
        let opening = match websocket::check(handshake.method(), handshake.version(), handshake.headers()) {
            Ok(opening) => opening,
            Err(error) => {
                tracing::debug!(peer = ?handshake.peer(), %error, "no opening");
                let mut response = refusal(error.status(), &error.to_string());
                response.headers_mut().extend(error.headers());
                return Upgrade { response, connection: None };
            }
        };
        let speaks_v1 = handshake.subprotocols().any(|protocol| protocol == KEYWIRE_V1);
        match self.admit(&handshake).await {
            Ok(identity) => {
                let compression = self.config().compression.as_deflate();
                let extension = compression.and_then(|_| websocket::negotiate(handshake.headers()));
                let (peer, compresses) = (handshake.peer(), extension.is_some());
                let session = Session::new(self.clone(), identity, peer, speaks_v1, compresses);
                let connection = Connection::new(self, Fate::Live(session));
                let mut upgrade = Upgrade::accept(&opening, speaks_v1, connection);
                if let Some(extension) = extension.map(HeaderValue::from_static) {
                    upgrade.response.headers_mut().insert(header::SEC_WEBSOCKET_EXTENSIONS, extension);
                }
                upgrade
            }
            Err(rejection) => {
                tracing::debug!(peer = ?handshake.peer(), %rejection, "refused");
                // A browser cannot read the status of a refusal, but it can read a close code.
                if speaks_v1 {
                    let connection = Connection::new(self, Fate::Refused(self.clone(), rejection));
                    return Upgrade::accept(&opening, speaks_v1, connection);
                }
                Upgrade::refuse(rejection)
            }
        }
    }

    async fn admit(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
        if self.is_draining() {
            return Err(Rejection::Unavailable);
        }
        self.origins().check(handshake)?;
        let extract = AssertUnwindSafe(self.keys().extract(handshake)).catch_unwind();
        extract.await.unwrap_or_else(|_| {
            tracing::error!(peer = ?handshake.peer(), "the key extractor panicked");
            Err(Rejection::Unavailable)
        })
    }
}

impl Upgrade {
    fn accept(opening: &Opening, speaks_v1: bool, connection: Connection) -> Self {
        let response = opening.response(speaks_v1.then_some(KEYWIRE_V1)).map(|()| String::new());
        Self { response, connection: Some(connection) }
    }

    fn refuse(rejection: Rejection) -> Self {
        let mut response = refusal(rejection.status(), rejection.kind());
        if rejection.status() == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 11.6.1: a 401 names a scheme.
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Self { response, connection: None }
    }
}

fn refusal(status: StatusCode, error: &str) -> Response<String> {
    let mut response = Response::new(serde_json::json!({ "error": error }).to_string());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
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
    Live(Session),
    /// Upgraded only to be told why not.
    Refused(Hub, Rejection),
}

impl Connection {
    fn new(hub: &Hub, fate: Fate) -> Self {
        Self { fate, tracked: hub.connection_token() }
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

    /// Runs the connection to its end over any byte stream: TLS, a Unix socket, a pipe in a test.
    ///
    /// # Cancel safety
    ///
    /// As [`Connection::run_tcp`].
    pub fn run<IO>(self, io: IO, early: Bytes) -> impl Future<Output = ()> + Send + 'static
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
        match self.fate {
            Fate::Live(session) => {
                let socket = socket(session.outbox());
                // A copy: hyper's buffer of 8 KiB would live on as long as a byte of it, or none, is held.
                let wire = Box::new(Wire { socket, early: early.to_vec() });
                Either::Left(connection::run(wire, session, self.tracked))
            }
            Fate::Refused(hub, rejection) => {
                let outbox = Outbox::default();
                let socket = socket(&outbox);
                Either::Right(Box::pin(async move {
                    connection::turn_away(socket, &outbox, hub.config(), rejection).await;
                    drop(self.tracked);
                }))
            }
        }
    }
}

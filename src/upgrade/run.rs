//! Runs an accepted connection.

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either};
use std::pin::pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::connection::{self, Arrival, SessionPermit, Socket, UpgradedSocket};
use crate::deadline::finite;
use crate::hub::Hub;
use crate::hub::underway::Promised;
use crate::limits::RefusalPermit;
use crate::outbox::Outbox;
use crate::rejection::Rejection;
#[cfg(feature = "testing")]
use crate::session::Session;

/// An accepted connection, to be run after the response that accepts it.
#[derive(Debug)]
#[must_use = "a connection does nothing until it is run"]
pub struct Connection {
    fate: Fate,
    /// A shutdown waits for the connection from the 101 on.
    tracked: TaskTrackerToken,
}

#[derive(Debug)]
pub(super) enum Fate {
    Live {
        promised: Promised,
        permit: SessionPermit,
    },
    /// Upgraded only to carry the refusal as a close code.
    Refused {
        hub: Hub,
        rejection: Rejection,
        permit: RefusalPermit,
    },
}

impl Connection {
    pub(super) fn new(hub: &Hub, fate: Fate) -> Self {
        Self { fate, tracked: hub.drain().connection_token() }
    }

    /// The session. `None`: the connection only carries a refusal.
    #[cfg(feature = "testing")]
    pub(crate) fn session(&self) -> Option<&Session> {
        match &self.fate {
            Fate::Live { permit, .. } => Some(permit.session()),
            Fate::Refused { .. } => None,
        }
    }

    /// The result of the HTTP server's upgrade, once the client has taken its 101. `None` after
    /// [`Config::upgrade_timeout`](crate::Config::upgrade_timeout), or if a shutdown cuts it.
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
            let limit = finite(hub.config().upgrade_timeout);
            hub.drain().unless_cut(pin!(timeout(limit, upgraded))).await?.ok()
        })
    }

    /// Runs the connection to its end over bare TCP, the cheapest way: senders write to the socket without waking a task.
    /// `early` are bytes that the client sent after its request and that the HTTP server has read already.
    ///
    /// Sets `TCP_NODELAY`: otherwise the second of two small messages waits until the first is acknowledged.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the connection without a close frame. The session leaves the store, but the
    /// handler's `closed` is not called.
    pub fn run_tcp(self, stream: TcpStream, early: Bytes) -> impl Future<Output = ()> + Send + 'static {
        // Fails only on a dead socket.
        let _ = stream.set_nodelay(true);
        self.run_set_up_tcp(stream, early)
    }

    /// [`Connection::run_tcp`] on a socket whose options are set.
    pub(crate) fn run_set_up_tcp(
        self,
        stream: TcpStream,
        early: Bytes,
    ) -> impl Future<Output = ()> + Send + 'static {
        self.run_on(early, |outbox| Socket::tcp(stream, outbox))
    }

    /// Runs the connection to its end over any byte stream: TLS, a Unix socket, a pipe in a test. For hyper's upgrade use
    /// `Connection::run_upgraded`. With the feature `hyper` this method runs a `TokioIo<Upgraded>` in the same way.
    ///
    /// # Cancel safety
    ///
    /// As [`Connection::run_tcp`].
    pub fn run<IO>(self, io: IO, early: Bytes) -> impl Future<Output = ()> + Send + 'static
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        #[cfg(feature = "hyper")]
        let run = match super::bare::into_upgraded(io) {
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
        self.run_on(early, |_| Socket::Any(Box::new(Box::new(io))))
    }

    /// Not `async` itself, since the session's future would then hold everything twice.
    fn run_on<S>(self, early: Bytes, socket: S) -> impl Future<Output = ()> + Send + use<S>
    where
        S: FnOnce(&Outbox) -> Socket,
    {
        // Copied, since a slice, even an empty one, would keep hyper's buffer of 8 KiB alive.
        let early = early.to_vec();
        match self.fate {
            Fate::Live { promised, permit } => {
                let upgraded = UpgradedSocket { socket: socket(permit.session().outbox()), early };
                Either::Left(connection::run(Box::new(Arrival { upgraded, promised }), permit, self.tracked))
            }
            Fate::Refused { hub, rejection, permit } => {
                let outbox = Outbox::default();
                let upgraded = UpgradedSocket { socket: socket(&outbox), early };
                Either::Right(Box::pin(async move {
                    connection::turn_away(upgraded, &outbox, &hub, rejection).await;
                    drop((self.tracked, permit));
                }))
            }
        }
    }
}

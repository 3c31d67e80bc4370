//! From hyper's upgrade to the socket below it, for all frameworks on hyper.

use std::any::Any;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{Either, ready};
use hyper::upgrade::{OnUpgrade, Parts, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;

use crate::upgrade::Connection;

/// Of the feature `hyper`.
impl Connection {
    /// Runs the connection to its end on hyper's upgrade. For adapters to axum, hyper and other frameworks on hyper.
    ///
    /// It finds the TCP connection below [`serve`](crate::serve()), below hyper_util's `auto` server (`axum::serve`,
    /// `warp::serve`) and below hyper's own server, and runs on it as [`Connection::run_tcp`] does. Below `serve` the
    /// session no longer counts for [`ServeConfig::connections`](crate::serve::ServeConfig::connections), on any kind of listener.
    /// Any other stream (TLS) runs as in [`Connection::run`].
    ///
    /// A client that does not take its 101 within [`Config::upgrade_timeout`](crate::Config::upgrade_timeout) is disconnected.
    ///
    /// ```
    /// use axum::extract::{Request, State};
    /// use axum::response::Response;
    /// use axum::{Router, routing::any};
    /// use hyper::upgrade::OnUpgrade;
    /// use keywire::adapter::{Handshake, Upgrade};
    /// use keywire::auth::RawKey;
    /// use keywire::Hub;
    ///
    /// async fn websocket(State(hub): State<Hub>, request: Request) -> Response<String> {
    ///     let (mut parts, _) = request.into_parts();
    ///     let on_upgrade = parts.extensions.remove::<OnUpgrade>();
    ///     let handshake = Handshake::from_parts(&parts, "/websocket");
    ///     let Upgrade { response, connection } = hub.upgrade(handshake).await;
    ///     if let (Some(connection), Some(on_upgrade)) = (connection, on_upgrade) {
    ///         tokio::spawn(connection.run_upgraded(on_upgrade));
    ///     }
    ///     response
    /// }
    ///
    /// let hub = Hub::builder(RawKey::from_path()).build();
    /// let router: Router = Router::new().route("/websocket/{key}", any(websocket)).with_state(hub);
    /// # let _ = router;
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As [`Connection::run_tcp`].
    //
    // One task waits for the upgrade and then runs the connection. `then` overlays the two futures, so the task is as large
    // as the larger one.
    pub fn run_upgraded(self, on_upgrade: OnUpgrade) -> impl Future<Output = ()> + Send + 'static {
        self.taken(on_upgrade).then(|upgraded| match upgraded {
            Some(Ok(upgraded)) => Either::Left(self.run_on_upgraded(upgraded, Bytes::new())),
            Some(Err(error)) => {
                tracing::debug!(%error, "the client went away before the upgrade");
                Either::Right(ready(()))
            }
            None => {
                tracing::debug!("the client did not take its 101 in time");
                Either::Right(ready(()))
            }
        })
    }

    /// Runs on a complete upgrade. The bytes of `early` precede those that hyper has read.
    pub(crate) fn run_on_upgraded(
        self,
        upgraded: Upgraded,
        early: Bytes,
    ) -> impl Future<Output = ()> + Send + 'static {
        let joined = |read: Bytes| if early.is_empty() { read } else { [&early[..], &read].concat().into() };
        match bare(upgraded) {
            Bare::Tcp(stream, read) => Either::Left(self.run_tcp(stream, joined(read))),
            #[cfg(all(unix, feature = "serve"))]
            Bare::Unix(stream, read) => Either::Right(self.run_any(stream, joined(read)).boxed()),
            Bare::Other(upgraded) => Either::Right(self.run_any(TokioIo::new(upgraded), early).boxed()),
        }
    }
}

/// The upgraded stream in an argument of [`Connection::run`], as hyper's examples pass it.
pub(crate) fn into_upgraded<IO: 'static>(io: IO) -> Result<Upgraded, IO> {
    let mut io = Some(io);
    let upgraded = (&mut io as &mut dyn Any).downcast_mut::<Option<TokioIo<Upgraded>>>();
    match upgraded.and_then(Option::take) {
        Some(upgraded) => Ok(upgraded.into_inner()),
        None => Err(io.expect("taken only if it is an upgrade")),
    }
}

/// The stream below an upgrade, and the bytes that were read from it already.
enum Bare {
    Tcp(TcpStream, Bytes),
    #[cfg(all(unix, feature = "serve"))]
    Unix(tokio::net::UnixStream, Bytes),
    /// TLS, or a stream of another server.
    Other(Upgraded),
}

fn bare(upgraded: Upgraded) -> Bare {
    #[cfg(feature = "serve")]
    let upgraded = match upgraded.downcast::<TokioIo<crate::serve::PermittedStream>>() {
        Ok(Parts { io, read_buf, .. }) => {
            return match io.into_inner().into_transport() {
                crate::serve::Transport::Tcp(stream) => Bare::Tcp(stream, read_buf),
                #[cfg(unix)]
                crate::serve::Transport::Unix(stream) => Bare::Unix(stream, read_buf),
            };
        }
        Err(upgraded) => upgraded,
    };
    // The frameworks' own servers, which probe for HTTP/2 first.
    let upgraded = match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => return Bare::Tcp(parts.io.into_inner(), parts.read_buf),
        Err(upgraded) => upgraded,
    };
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(Parts { io, read_buf, .. }) => Bare::Tcp(io.into_inner(), read_buf),
        Err(upgraded) => Bare::Other(upgraded),
    }
}

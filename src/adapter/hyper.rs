//! From an upgrade of hyper's to the socket beneath it; the same for all frameworks on hyper.

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
    /// Runs the connection to its end on what hyper upgrades to. For adapters to axum, hyper and what else runs on it.
    ///
    /// It finds the TCP connection under [`serve`](crate::serve), under hyper_util's `auto` server (`axum::serve`,
    /// `warp::serve`) and under hyper's own, and runs on that as [`Connection::run_tcp`] does. Under `serve` the
    /// session gives back its place among [`ServeConfig::connections`](crate::ServeConfig::connections), on any kind
    /// of listener. Anything else (TLS) runs as in [`Connection::run`].
    ///
    /// A client that does not take its 101 within [`Config::upgrade_timeout`](crate::Config::upgrade_timeout) is dropped.
    ///
    /// ```
    /// use axum::extract::{Request, State};
    /// use axum::response::Response;
    /// use axum::{Router, routing::any};
    /// use hyper::upgrade::OnUpgrade;
    /// use keywire::{Handshake, Hub, RawKey, Upgrade};
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
    /// let hub = Hub::builder().keys(RawKey::from_path()).build();
    /// let router: Router = Router::new().route("/websocket/{key}", any(websocket)).with_state(hub);
    /// # let _ = router;
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As [`Connection::run_tcp`].
    //
    // One task sees to the upgrade and then to the connection. `then` overlays the two, so that the task is no
    // larger than what stays of it.
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

    /// Runs on an upgrade that is complete. `early` precedes what hyper has read.
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

/// An upgraded stream that was given to [`Connection::run`], as hyper's examples do.
pub(crate) fn into_upgraded<IO: 'static>(io: IO) -> Result<Upgraded, IO> {
    let mut io = Some(io);
    let upgraded = (&mut io as &mut dyn Any).downcast_mut::<Option<TokioIo<Upgraded>>>();
    match upgraded.and_then(Option::take) {
        Some(upgraded) => Ok(upgraded.into_inner()),
        None => Err(io.expect("taken only if it is an upgrade")),
    }
}

/// What is under an upgrade, and what has been read from it already.
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
    // The frameworks' own servers, which look for HTTP/2 first, and others.
    let upgraded = match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => return Bare::Tcp(parts.io.into_inner(), parts.read_buf),
        Err(upgraded) => upgraded,
    };
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(Parts { io, read_buf, .. }) => Bare::Tcp(io.into_inner(), read_buf),
        Err(upgraded) => Bare::Other(upgraded),
    }
}

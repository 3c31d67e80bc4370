//! Runs a connection on hyper's upgrade, for all frameworks on hyper.

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{Either, ready};
use http::{Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;

use super::answer::Upgrade;
use super::bare::{Bare, bare};
use super::run::Connection;
#[cfg(feature = "serve")]
use crate::serve::Channel;

impl Upgrade {
    /// The response, with the connection in a task of its own on hyper's upgrade.
    pub(crate) fn respond(self, on_upgrade: Option<OnUpgrade>) -> Response<String> {
        let Self { mut response, connection } = self;
        match (connection, on_upgrade) {
            (Some(connection), Some(on_upgrade)) => {
                drop(tokio::spawn(connection.run_upgraded(on_upgrade)));
            }
            (Some(_), None) => {
                tracing::error!(
                    "the request has no upgrade: the server is not hyper, or a middleware took the extension"
                );
                response = Response::new(String::new());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            }
            (None, _) => {}
        }
        response
    }
}

/// Of the feature `hyper`.
impl Connection {
    /// Runs the connection to its end on hyper's upgrade. For adapters of your own to frameworks on hyper. `adapter::axum`,
    /// `adapter::warp` and `adapter::hyper` call it.
    ///
    /// It finds the TCP connection below [`serve`](crate::serve()), below hyper_util's `auto` server (`axum::serve`,
    /// `warp::serve`) and below hyper's own server, and runs on it as [`Connection::run_tcp`] does. Below `serve` the
    /// session no longer counts for [`ServeConfig::connections`](crate::serve::ServeConfig::connections), on any kind of listener.
    /// Any other stream (HTTP/2) runs as in [`Connection::run`]: below `serve` that is the TLS stream itself, without hyper's buffers.
    ///
    /// A client that does not take its 101 within [`Config::upgrade_timeout`](crate::Config::upgrade_timeout) is disconnected.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use hyper::upgrade::OnUpgrade;
    /// use keywire::adapter::{Handshake, Upgrade};
    /// use keywire::Hub;
    ///
    /// async fn websocket<B>(hub: Hub, request: Request<B>) -> Response<String> {
    ///     let (mut parts, _) = request.into_parts();
    ///     let on_upgrade = parts.extensions.remove::<OnUpgrade>();
    ///     let handshake = Handshake::from_parts(&parts, "/websocket");
    ///     let Upgrade { response, connection } = hub.upgrade(handshake).await;
    ///     if let (Some(connection), Some(on_upgrade)) = (connection, on_upgrade) {
    ///         tokio::spawn(connection.run_upgraded(on_upgrade));
    ///     }
    ///     response
    /// }
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
        self.run_bare(bare(upgraded), early)
    }

    /// Runs on a connection of [`serve`](crate::serve()), whose client has its response.
    #[cfg(feature = "serve")]
    pub(crate) fn run_served(
        self,
        channel: Channel,
        early: Bytes,
    ) -> impl Future<Output = ()> + Send + 'static {
        self.run_bare(Bare::of(channel, early), Bytes::new())
    }

    fn run_bare(self, bare: Bare, early: Bytes) -> impl Future<Output = ()> + Send + 'static {
        let joined = |read: Bytes| if early.is_empty() { read } else { [&early[..], &read].concat().into() };
        match bare {
            Bare::Tcp(stream, read) => Either::Left(self.run_set_up_tcp(stream, joined(read))),
            #[cfg(all(unix, feature = "serve"))]
            Bare::Unix(stream, read) => Either::Right(self.run_any(stream, joined(read)).boxed()),
            #[cfg(feature = "tls")]
            Bare::Tls(stream, read) => Either::Right(self.run_any(*stream, joined(read)).boxed()),
            Bare::Other(upgraded) => Either::Right(self.run_any(TokioIo::new(upgraded), early).boxed()),
        }
    }
}

//! A server for production, for any tower or hyper service.

mod accept;
mod activity;
mod answer_body;
mod body;
mod channel;
mod config;
mod connection;
mod endpoint;
mod head_timer;
mod listener;
mod opening;
mod progress;
mod quota;
#[cfg(feature = "tls")]
mod secure;
mod share;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod transport;

use std::error::Error;
use std::fmt;
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join, select};
use http::{Request, Response};
use hyper::body::Body;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::time::timeout;

use self::accept::Acceptor;
pub use self::body::RequestBody;
pub(crate) use self::channel::Channel;
pub use self::config::ServeConfig;
use self::connection::Connections;
use self::endpoint::Endpoints;
pub use self::listener::Listener;
pub(crate) use self::stream::PermittedStream;
#[cfg(feature = "tls")]
pub(crate) use self::tls::TlsStream;
#[cfg(feature = "tls")]
pub use self::tls::{Tls, TlsError};
pub(crate) use self::transport::Transport;
use crate::hub::Hub;

/// For the fuzzer.
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    pub use super::opening::fuzz::head;
}

/// Serves HTTP/1.1 and upgrades with a tower service, for example `warp::service(filter)` or an axum router.
///
/// It adds features that the frameworks' own servers lack: timeouts for requests and slow clients, a limit on connections,
/// `TCP_NODELAY`, recovery from a lack of file descriptors, and a graceful shutdown ([`Serve::graceful`]).
///
/// ```no_run
/// use keywire::auth::RawKey;
/// use keywire::Hub;
/// use tokio::net::TcpListener;
/// # async fn stop_signal() {}
///
/// # #[cfg(feature = "warp")]
/// # async fn example() -> std::io::Result<()> {
/// let hub = Hub::builder(RawKey::from_path()).build();
/// let routes = keywire::adapter::warp::websocket("websocket", hub.clone());
///
/// let listener = TcpListener::bind("[::]:8090").await?;
/// keywire::serve(listener, warp::service(routes)).graceful(&hub, stop_signal()).run().await;
/// # Ok(())
/// # }
/// ```
///
/// With axum: `keywire::serve(listener, router)`. The feature `tls` adds TLS: `Serve::tls`. Use a proxy for HTTP/2.
///
/// Each request has a [`PeerAddr`](crate::adapter::PeerAddr) in its extensions if the listener has addresses.
pub fn serve<L, S, B>(listener: L, service: S) -> Serve<L, TowerToHyperService<S>>
where
    L: Listener,
    S: tower_service::Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    serve_hyper(listener, TowerToHyperService::new(service))
}

/// [`serve`] for a hyper service, for example `hyper::service::service_fn`.
pub fn serve_hyper<L, S>(listener: L, service: S) -> Serve<L, S> {
    Serve {
        listener,
        service,
        config: ServeConfig::default(),
        endpoints: Endpoints::default(),
        #[cfg(feature = "tls")]
        tls: None,
        end: None,
    }
}

/// A server from [`serve`]. It starts with [`Serve::run`].
#[must_use = "a server does nothing until it is run"]
pub struct Serve<L, S> {
    listener: L,
    service: S,
    config: ServeConfig,
    endpoints: Endpoints,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    end: Option<(Hub, BoxFuture<'static, ()>)>,
}

/// Time after the grace in which the runtime drops the connections that were cut.
const CUT: Duration = Duration::from_secs(1);

impl<L, S> Serve<L, S> {
    /// Limits and timeouts. Default: [`ServeConfig::default`].
    pub fn config(mut self, config: ServeConfig) -> Self {
        self.config = config;
        self
    }

    /// Opens the sessions of `hub` at `path` and at `path/{key}`, ahead of the service: for example at `/websocket` and
    /// `/websocket/{key}`. Default: none, so the service has to have the endpoint, as by an adapter.
    ///
    /// The server answers all requests to these paths itself, of any method, as
    /// [`adapter::hyper::websocket`](crate::adapter::hyper::websocket) does. A middleware of the service does not see them. Other paths,
    /// also further ones below `path`, are left to the service. Write `path` as in a URI, with or without slashes at its ends. Each call
    /// adds an endpoint. The first one that has the path answers.
    ///
    /// This is the cheapest way to open sessions: no HTTP server and no router is involved in an ordinary opening.
    ///
    /// ```no_run
    /// use keywire::auth::RawKey;
    /// use keywire::Hub;
    /// use tokio::net::TcpListener;
    /// # async fn stop_signal() {}
    ///
    /// # #[cfg(feature = "warp")]
    /// # async fn example() -> std::io::Result<()> {
    /// use warp::Filter;
    ///
    /// let hub = Hub::builder(RawKey::from_path()).build();
    /// let pages = warp::path("health").map(|| "fine");
    ///
    /// let listener = TcpListener::bind("[::]:8090").await?;
    /// let server = keywire::serve(listener, warp::service(pages)).websocket("/websocket", &hub);
    /// server.graceful(&hub, stop_signal()).run().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn websocket(mut self, path: &str, hub: &Hub) -> Self {
        self.endpoints.add(path, hub);
        self
    }

    /// Serves over TLS only. Default: plain HTTP. A client that speaks plain HTTP gets status 400.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Shuts down gracefully once `signal` is ready: the listener closes, the hub shuts down as by [`Hub::shutdown`], and requests in
    /// progress are answered. Connections that remain after [`ServeConfig::grace`] are cut. Without this call the server runs until
    /// its future is dropped.
    pub fn graceful(mut self, hub: &Hub, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.end = Some((hub.clone(), signal.boxed()));
        self
    }

    /// Runs the server. Returns the number of connections (sessions and requests) that were cut at the end.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the listener closes. Connections stay open, and the hub is not shut down.
    ///
    /// # Panics
    ///
    /// If the future is polled outside of a tokio runtime.
    pub fn run<B>(self) -> impl Future<Output = usize> + Send + 'static
    where
        L: Listener,
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let Self { listener, service, config, endpoints, end, .. } = self;
        let connections = Connections::new(&config, endpoints);
        #[cfg(feature = "tls")]
        let connections = connections.with_tls(self.tls);
        async move {
            let renewal = connections.renewal();
            let mut acceptor = Acceptor::new(listener, service, config.clone(), connections);
            let Some((hub, signal)) = end else {
                select(renewal, pin!(acceptor.run())).await;
                return 0;
            };
            select(signal, select(renewal, pin!(acceptor.run()))).await;
            let connections = acceptor.finish();
            tracing::info!("no more connections are accepted");
            let answered = timeout(config.grace, connections.ended());
            let (sessions, _) = join(hub.shutdown(config.grace), answered).await;
            let requests = connections.len();
            connections.cut();
            // A task that blocks its thread cannot be dropped before the runtime ends.
            let _ = timeout(CUT, connections.ended()).await;
            sessions + requests
        }
    }
}

impl<L, S> fmt::Debug for Serve<L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve").field("config", &self.config).finish_non_exhaustive()
    }
}

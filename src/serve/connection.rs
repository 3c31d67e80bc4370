use std::error::Error;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{BoxFuture, Either};
use futures_util::{FutureExt as _, TryFutureExt as _};
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tokio_util::task::TaskTracker;

use super::activity::{Activity, Order};
use super::body::RequestBody;
use super::channel::Channel;
use super::config::ServeConfig;
use super::head_timer::HeadTimer;
use super::progress::ProgressTimeout;
use super::quota::ConnectionQuota;
#[cfg(feature = "tls")]
use super::secure::secure;
use super::stream::PermittedStream;
#[cfg(feature = "tls")]
use super::tls::Tls;
use super::transport::Transport;
use crate::peer::PeerAddr;

/// hyper's minimum for its buffers.
const MIN_BUFFER: usize = 8 * 1024;

const DECIDED_BY_THE_TIMER: Duration = Duration::from_secs(1);

/// HTTP connections of a server, without upgraded connections.
pub(super) struct Connections {
    tracker: TaskTracker,
    quota: Arc<ConnectionQuota>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

impl Connections {
    pub(super) fn new(config: &ServeConfig) -> Self {
        Self {
            tracker: TaskTracker::new(),
            quota: ConnectionQuota::new(config),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    #[cfg(feature = "tls")]
    pub(super) fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// Renews the certificate while the server runs. Never ready.
    pub(super) fn renewal(&self) -> BoxFuture<'static, ()> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.clone().watch().boxed();
        }
        pending().boxed()
    }

    pub(super) fn quota(&self) -> &Arc<ConnectionQuota> {
        &self.quota
    }

    /// Spawns a connection's task.
    pub(super) fn begin<S, B>(
        &self,
        transport: Transport,
        peer: Option<PeerAddr>,
        service: S,
        config: &ServeConfig,
    ) where
        S: Service<Request<RequestBody>, Response = Response<B>> + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let permit = self.quota.acquire(peer.map(|PeerAddr(addr)| addr.into()));
        let service = Prepared { service, peer, config: config.clone(), activity: permit.activity().clone() };
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls.clone() {
            let config = config.clone();
            self.tracker.spawn(async move {
                // Boxed, since the task would otherwise hold both for as long as the connection lasts.
                let secured = secure(tls, transport, permit, peer, &config).boxed();
                if let Some(stream) = secured.await {
                    converse(stream, service).await;
                }
            });
            return;
        }
        let stream = PermittedStream::new(Channel::Plain(transport), permit, ProgressTimeout::new(config));
        self.tracker.spawn(converse(stream, service));
    }

    /// Lets the requests in progress finish and accepts no more.
    pub(super) fn drain(&self) {
        self.quota.drain();
        self.tracker.close();
    }

    /// Cuts the remaining connections.
    pub(super) fn cut(&self) {
        self.quota.cut();
    }

    /// Ready when all connections have ended, after [`Connections::drain`].
    pub(super) fn ended(&self) -> impl Future<Output = ()> + '_ {
        self.tracker.wait()
    }

    pub(super) fn len(&self) -> usize {
        self.tracker.len()
    }
}

/// Answers the requests of a connection, up to its end or an upgrade.
fn converse<S, B>(stream: PermittedStream, service: Prepared<S>) -> impl Future<Output = ()> + Send
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let (peer, activity) = (service.peer, service.activity.clone());
    let config = &service.config;
    let connection = http1::Builder::new()
        .timer(HeadTimer::new(config, activity.clone()))
        .header_read_timeout(DECIDED_BY_THE_TIMER)
        .max_header_size(config.head_bytes)
        .max_buf_size(config.head_bytes.max(MIN_BUFFER))
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    async move {
        let mut connection = pin!(connection);
        let mut is_told = false;
        let ended = poll_fn(|cx| {
            loop {
                if activity.is_cut(cx) {
                    return Poll::Ready(Ok(()));
                }
                let polled = connection.as_mut().poll(cx);
                if polled.is_ready() || is_told || !activity.may_be_drained() {
                    return polled;
                }
                connection.as_mut().graceful_shutdown();
                is_told = true;
            }
        });
        if let Err(error) = ended.await {
            tracing::debug!(peer = peer.map(|PeerAddr(addr)| tracing::field::display(addr)), %error, "connection failed");
        }
        activity.is_upgraded();
    }
}

/// Adds the client's address to requests, and timeouts to their bodies.
struct Prepared<S> {
    service: S,
    peer: Option<PeerAddr>,
    config: ServeConfig,
    activity: Arc<Activity>,
}

impl<S, B: 'static> Service<Request<Incoming>> for Prepared<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + 'static,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, BoxFuture<'static, Result<S::Response, S::Error>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.activity.begins_to_work(!request.body().is_end_stream());
        let mut request = request
            .map(|body| RequestBody::new(body, ProgressTimeout::new(&self.config), self.activity.clone()));
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        let answer = self.service.call(request);
        if self.activity.order() == Order::Drain {
            // hyper learns of the drain after this call, and may then have written the head of the response.
            Either::Right(answer.map_ok(last).boxed())
        } else {
            Either::Left(answer)
        }
    }
}

/// Announces that this is the last response on the connection (RFC 9112, section 9.6), unless it is an upgrade.
fn last<B>(mut response: Response<B>) -> Response<B> {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

use std::cell::Cell;
use std::error::Error;
use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{BoxFuture, Either, MapOk, OptionFuture};
use futures_util::{FutureExt as _, TryFutureExt as _};
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_util::task::TaskTracker;

use super::activity::{Activity, Order};
use super::answer_body::AnswerBody;
use super::body::RequestBody;
use super::channel::Channel;
use super::config::ServeConfig;
use super::endpoint::{self, Endpoints};
use super::head_timer::HeadTimer;
use super::opening::{Decided, Fresh, Opened, Rest};
use super::progress::ProgressTimeout;
use super::quota::{ConnectionPermit, ConnectionQuota};
#[cfg(feature = "tls")]
use super::secure::secure;
use super::stream::PermittedStream;
#[cfg(feature = "tls")]
use super::tls::Tls;
use super::transport::Transport;
use crate::hub::Hub;
use crate::path_key::PathKey;
use crate::peer::PeerAddr;

/// hyper's minimum for its buffers.
const MIN_BUFFER: usize = 8 * 1024;

const DECIDED_BY_THE_TIMER: Duration = Duration::from_secs(1);

/// HTTP connections of a server, without upgraded connections.
pub(super) struct Connections {
    endpoints: Endpoints,
    tracker: TaskTracker,
    quota: Arc<ConnectionQuota>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

impl Connections {
    pub(super) fn new(config: &ServeConfig, endpoints: Endpoints) -> Self {
        Self {
            endpoints,
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
        let service = Prepared {
            service,
            peer,
            config: config.clone(),
            activity: permit.activity().clone(),
            endpoints: self.endpoints.clone(),
            decided: Cell::new(None),
        };
        #[cfg(feature = "tls")]
        let tls = self.tls.clone();
        let tracked = self.tracker.token();
        // Boxed, since the task would otherwise hold it for as long as a session lasts.
        let http = Box::pin(async move {
            // A session is tracked by its hub.
            let _tracked = tracked;
            #[cfg(feature = "tls")]
            let stream = match tls {
                Some(tls) => secure(tls, transport, permit, peer, &service.config).boxed().await?,
                None => plain(transport, permit, &service.config),
            };
            #[cfg(not(feature = "tls"))]
            let stream = plain(transport, permit, &service.config);
            let mut fresh = Fresh::from(stream);
            let opened =
                poll_fn(|cx| fresh.poll_open(&service.endpoints, service.peer, &service.config, cx)).await;
            // One more box instead of room for each of these.
            let goes_on = match opened {
                Opened::Session(session) => return Some(session),
                Opened::Slow(session) => session,
                Opened::Http(rest) => converse(rest, service).map(|()| None).boxed(),
                Opened::Gone => return None,
            };
            goes_on.await
        });
        tokio::spawn(with_session(http));
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

/// hyper with the limits of a server, without its times.
pub(super) fn hyper_within(config: &ServeConfig) -> http1::Builder {
    let mut hyper = http1::Builder::new();
    hyper.max_header_size(config.head_bytes).max_buf_size(config.head_bytes.max(MIN_BUFFER));
    hyper
}

/// Answers the requests of a connection, up to its end or an upgrade.
fn converse<S, B>(rest: Rest, service: Prepared<S>) -> impl Future<Output = ()> + Send
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let Rest { stream, deadline, decided } = rest;
    service.decided.set(decided);
    let (peer, activity) = (service.peer, service.activity.clone());
    let config = &service.config;
    let connection = hyper_within(config)
        .timer(HeadTimer::new(config, activity.clone(), deadline))
        .header_read_timeout(DECIDED_BY_THE_TIMER)
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

/// Runs the session that may come of a connection in the same task. `then` frees the box first.
fn with_session<S: Future<Output = ()>>(
    http: Pin<Box<impl Future<Output = Option<S>>>>,
) -> impl Future<Output = Option<()>> {
    http.then(OptionFuture::from)
}

fn plain(transport: Transport, permit: ConnectionPermit, config: &ServeConfig) -> PermittedStream {
    PermittedStream::new(Channel::Plain(transport), permit, ProgressTimeout::new(config))
}

/// The answer of the service.
type OfService<F, B> = MapOk<F, fn(Response<B>) -> Response<AnswerBody<B>>>;

/// Answers requests to endpoints. For the service, adds the client's address to requests, and timeouts to their bodies.
struct Prepared<S> {
    service: S,
    peer: Option<PeerAddr>,
    config: ServeConfig,
    activity: Arc<Activity>,
    endpoints: Endpoints,
    /// The decision about the first request.
    decided: Cell<Option<Decided>>,
}

impl<S, B: 'static> Service<Request<Incoming>> for Prepared<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + 'static,
    S::Future: Send,
{
    type Response = Response<AnswerBody<B>>;
    type Error = S::Error;
    type Future = Either<OfService<S::Future, B>, BoxFuture<'static, Result<Self::Response, S::Error>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.activity.begins_to_work(!request.body().is_end_stream());
        let request = request
            .map(|body| RequestBody::new(body, ProgressTimeout::new(&self.config), self.activity.clone()));
        let answer = match self.endpoints.of(request.uri().path()) {
            Some((hub, key)) => Either::Right(self.decide(hub, key, request).map(Ok).boxed()),
            None => Either::Left(self.ask(request)),
        };
        if self.activity.order() == Order::Drain {
            // hyper learns of the drain after this call, and may then have written the head of the response.
            Either::Right(answer.map_ok(last).boxed())
        } else {
            answer
        }
    }
}

impl<S> Prepared<S> {
    /// The answer of an endpoint.
    fn decide<B>(
        &self,
        hub: &Hub,
        key: PathKey,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Response<AnswerBody<B>>> + Send + use<S, B> {
        let (mut parts, body) = request.into_parts();
        let on_upgrade = parts.extensions.remove::<OnUpgrade>();
        let decided = self.decided.take().unwrap_or_else(|| {
            let (hub, handshake) =
                (hub.clone(), endpoint::handshake(Request::from_parts(parts, ()), key, self.peer));
            Box::new(|on_upgrade| async move { hub.upgrade(handshake).await.respond(on_upgrade) }.boxed())
        });
        let decided = decided(on_upgrade);
        async move {
            // Not earlier, as in an adapter: hyper then announces the end of the connection another time.
            drop(body);
            AnswerBody::of_endpoint(decided.await)
        }
    }

    /// The answer of the service.
    fn ask<B>(&self, mut request: Request<RequestBody>) -> OfService<S::Future, B>
    where
        S: Service<Request<RequestBody>, Response = Response<B>>,
    {
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        self.service.call(request).map_ok(AnswerBody::of_service)
    }
}

/// Announces that this is the last response on the connection (RFC 9112, section 9.6), unless it is an upgrade.
fn last<B>(mut response: Response<B>) -> Response<B> {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::future::Ready;

    use super::*;

    #[test]
    fn a_session_has_the_task_for_itself() {
        // As large as `connection::run` is at most.
        struct Session {
            _room: [u64; 32],
        }
        impl Future for Session {
            type Output = ();

            fn poll(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<()> {
                Poll::Ready(())
            }
        }
        let http: Pin<Box<Ready<Option<Session>>>> = Box::pin(std::future::ready(None));
        let size = size_of_val(&with_session(http));
        // Up to here the task is an allocation of 384 bytes.
        assert!(size <= 272, "{size} bytes");
    }
}

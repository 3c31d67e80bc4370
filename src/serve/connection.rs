use std::error::Error;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::RequestBody;
use super::config::ServeConfig;
use super::counted::Counted;
use super::patience::Patience;
use crate::peer::Peer;

/// The least that hyper takes for its buffers.
const MIN_BUFFER: usize = 8 * 1024;

const DECIDED_BY_THE_TIMER: Duration = Duration::from_secs(1);

/// All connections of a server that are still HTTP. What one is upgraded to belongs to whoever did that.
#[derive(Default)]
pub(super) struct Connections {
    tracker: TaskTracker,
    draining: CancellationToken,
    cut: CancellationToken,
}

impl Connections {
    /// Runs a connection in a task of its own.
    pub(super) fn begin<IO, S, B>(
        &self,
        io: Counted<IO>,
        peer: Option<Peer>,
        service: S,
        config: &ServeConfig,
    ) where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        S: Service<Request<RequestBody>, Response = Response<B>> + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let service = Prepared { service, peer, stall_timeout: config.stall_timeout };
        let connection = http1::Builder::new()
            .timer(Patience::new(config, io.reads()))
            .header_read_timeout(DECIDED_BY_THE_TIMER)
            .max_header_size(config.head_bytes)
            .max_buf_size(config.head_bytes.max(MIN_BUFFER))
            .serve_connection(TokioIo::new(io), service)
            .with_upgrades();
        let (draining, cut) = (self.draining.clone(), self.cut.clone());
        self.tracker.spawn(async move {
            let mut connection = pin!(connection);
            let ended = match select(connection.as_mut(), pin!(draining.cancelled())).await {
                Either::Left((ended, _)) => ended,
                Either::Right(_) => {
                    connection.as_mut().graceful_shutdown();
                    match select(connection, pin!(cut.cancelled())).await {
                        Either::Left((ended, _)) => ended,
                        Either::Right(_) => Ok(()),
                    }
                }
            };
            if let Err(error) = ended {
                tracing::debug!(peer = peer.map(|Peer(addr)| tracing::field::display(addr)), %error, "connection failed");
            }
        });
    }

    /// Answers the requests under way and no further ones.
    pub(super) fn drain(&self) {
        self.draining.cancel();
        self.tracker.close();
    }

    /// Ends what is left.
    pub(super) fn cut(&self) {
        self.cut.cancel();
    }

    /// Ready when all have ended, after [`Connections::drain`].
    pub(super) fn ended(&self) -> impl Future<Output = ()> + '_ {
        self.tracker.wait()
    }

    pub(super) fn len(&self) -> usize {
        self.tracker.len()
    }
}

/// Tells a service where requests come from, and bounds the time for their bodies.
struct Prepared<S> {
    service: S,
    peer: Option<Peer>,
    stall_timeout: Duration,
}

impl<S: Service<Request<RequestBody>>> Service<Request<Incoming>> for Prepared<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, request: Request<Incoming>) -> S::Future {
        let mut request = request.map(|body| RequestBody::new(body, self.stall_timeout));
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        self.service.call(request)
    }
}

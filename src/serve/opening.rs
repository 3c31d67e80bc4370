//! The first request of a connection, if it opens a WebSocket at an endpoint of the server.
//!
//! Almost every opening arrives in one piece, is decided about at once and is accepted. Such an opening needs no HTTP server: one read,
//! one decision of the hub, one write. Everything else goes to hyper, together with what was read and decided so far.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready as now};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use hyper::upgrade::OnUpgrade;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::activity::Order;
use super::config::ServeConfig;
use super::endpoint::{self, Endpoints};
use super::stream::PermittedStream;
use crate::handshake::Handshake;
use crate::hub::Hub;
use crate::peer::PeerAddr;

/// Most bytes of an opening. A longer one goes to hyper, whose buffer begins with twice as many.
const READ: usize = 4096;

/// Most headers of an opening.
const HEADERS: usize = 48;

/// Answers a request that was decided about, given hyper's upgrade for it.
pub(super) type Decided = Box<dyn FnOnce(Option<OnUpgrade>) -> BoxFuture<'static, Response<String>> + Send>;

/// What comes of the beginning of a connection. `F` is the future of a session.
#[allow(clippy::large_enum_variant, reason = "matched at once; a box would be one more for each session")]
pub(super) enum Opened<F> {
    Session(F),
    /// The client has not taken its 101 yet.
    Slow(BoxFuture<'static, Option<F>>),
    Http(Rest),
    /// The connection was cut, or the client is gone.
    Gone,
}

/// What is left to hyper.
pub(super) struct Rest {
    pub(super) stream: PermittedStream,
    /// The end of the wait for the head.
    pub(super) deadline: Option<Instant>,
    /// The decision about the first request.
    pub(super) decided: Option<Decided>,
}

/// A connection that nothing was read from.
pub(super) struct Fresh {
    stream: Option<PermittedStream>,
    /// Limits the wait for the head.
    timer: Option<Pin<Box<Sleep>>>,
}

impl From<PermittedStream> for Fresh {
    fn from(stream: PermittedStream) -> Self {
        Self { stream: Some(stream), timer: None }
    }
}

impl Fresh {
    /// Opens a session if the first bytes ask for one. Without endpoints, hyper gets the connection at once.
    ///
    /// Not `async`, since the future would hold the stream several times. Must not be polled once it was ready.
    pub(super) fn poll_open(
        &mut self,
        endpoints: &Endpoints,
        peer: Option<PeerAddr>,
        config: &ServeConfig,
        cx: &mut Context<'_>,
    ) -> Poll<Opened<impl Future<Output = ()> + Send + use<>>> {
        let read = if endpoints.is_empty() { First::Nothing } else { ready!(self.poll_read(config, cx)) };
        let Some(stream) = self.stream.take() else { return Poll::Ready(Opened::Gone) };
        let deadline = self.timer.take().map(|timer| timer.deadline());
        let mut rest = Rest { stream, deadline, decided: None };
        let bytes = match read {
            First::Cut => return Poll::Ready(Opened::Gone),
            First::Nothing => return Poll::Ready(rest.handed_over(None)),
            First::Failed(error) => return Poll::Ready(rest.handed_over(Some(Err(error)))),
            First::Bytes(bytes) => bytes,
        };
        let asked = asked(&bytes, endpoints, peer, config.head_bytes);
        let Some(Asked { hub, handshake, len }) =
            asked.filter(|_| rest.stream.activity().order() == Order::Stay)
        else {
            return Poll::Ready(rest.handed_over(Some(Ok(bytes))));
        };
        rest.stream.activity().begins_to_work(false);
        let mut upgrade = Box::pin(async move { hub.upgrade(handshake).await });
        let (response, connection) = match upgrade.as_mut().poll(cx) {
            Poll::Ready(upgrade) => match upgrade.connection {
                Some(connection) => (upgrade.response, connection),
                None => {
                    rest.decided = Some(Box::new(|on_upgrade| now(upgrade.respond(on_upgrade)).boxed()));
                    return Poll::Ready(rest.handed_over(Some(Ok(bytes))));
                }
            },
            // hyper notices if the client leaves meanwhile.
            Poll::Pending => {
                rest.decided = Some(Box::new(|on_upgrade| upgrade.map(|it| it.respond(on_upgrade)).boxed()));
                return Poll::Ready(rest.handed_over(Some(Ok(bytes))));
            }
        };
        let mut writing = Writing { stream: rest.stream, bytes: serialized(&response), written: 0 };
        let early = bytes.slice(len..);
        Poll::Ready(match writing.poll(cx) {
            Poll::Ready(Ok(())) => {
                Opened::Session(connection.run_served(writing.stream.into_channel(), early))
            }
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "the client went away before the upgrade");
                Opened::Gone
            }
            Poll::Pending => {
                let taken = connection.taken(writing.done());
                Opened::Slow(
                    taken
                        .map(|taken| match taken {
                            Some(stream) => Some(connection.run_served(stream?.into_channel(), early)),
                            None => {
                                tracing::debug!("the client did not take its 101 in time");
                                None
                            }
                        })
                        .boxed(),
                )
            }
        })
    }

    /// Waits for the first bytes.
    fn poll_read(&mut self, config: &ServeConfig, cx: &mut Context<'_>) -> Poll<First> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(First::Cut) };
        if stream.activity().is_cut(cx) {
            return Poll::Ready(First::Cut);
        }
        // On the stack, so that a connection without a request has no buffer.
        let mut bytes = [MaybeUninit::uninit(); READ];
        let mut buffer = ReadBuf::uninit(&mut bytes);
        match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(First::Nothing),
            Poll::Ready(Ok(())) => Poll::Ready(First::Bytes(Bytes::copy_from_slice(buffer.filled()))),
            Poll::Ready(Err(error)) => Poll::Ready(First::Failed(error)),
            Poll::Pending if stream.activity().may_be_drained() => Poll::Ready(First::Nothing),
            Poll::Pending => {
                let sleep = || Box::pin(tokio::time::sleep(config.head_timeout));
                self.timer.get_or_insert_with(sleep).as_mut().poll(cx).map(|()| First::Nothing)
            }
        }
    }
}

/// The first read of a connection.
enum First {
    Cut,
    Bytes(Bytes),
    /// The end, too late, or asked to leave.
    Nothing,
    Failed(io::Error),
}

impl Rest {
    /// The connection for hyper, which reads first what was read already.
    fn handed_over<F>(mut self, read: Option<io::Result<Bytes>>) -> Opened<F> {
        self.stream.activity().is_handed_over();
        if let Some(read) = read {
            self.stream.read_again(read);
        }
        Opened::Http(self)
    }
}

/// A request that may open a session.
struct Asked {
    hub: Hub,
    handshake: Handshake,
    /// Length of the head.
    len: usize,
}

fn asked(bytes: &Bytes, endpoints: &Endpoints, peer: Option<PeerAddr>, most: usize) -> Option<Asked> {
    let (head, len) = parse(bytes, most)?;
    let (hub, key) = endpoints.of(head.uri().path())?;
    Some(Asked { hub: hub.clone(), handshake: endpoint::handshake(head, key, peer), len })
}

/// The head of a request that hyper would read in the same way, and its length. `None` for an incomplete head, and for one that the
/// rules of HTTP say more about than that it may open a WebSocket.
fn parse(bytes: &Bytes, most: usize) -> Option<(Request<()>, usize)> {
    let mut headers = [MaybeUninit::uninit(); HEADERS];
    let mut request = httparse::Request::new(&mut []);
    let len = match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete(len)) if len <= most => len,
        _ => return None,
    };
    let path = request.path.filter(|path| path.starts_with('/'))?;
    if request.method != Some("GET") || request.version != Some(1) {
        return None;
    }
    let mut head = Request::new(());
    *head.uri_mut() = Uri::from_maybe_shared(bytes.slice_ref(path.as_bytes())).ok()?;
    let mut map = HeaderMap::with_capacity(request.headers.len());
    for header in &*request.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(header.value)).ok()?;
        let is_others = [CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT].contains(&name);
        if is_others || name == CONNECTION && closes(&value) {
            return None;
        }
        map.append(name, value);
    }
    *head.headers_mut() = map;
    head.headers().contains_key(UPGRADE).then_some((head, len))
}

/// Whether the client wants no further request on this connection, which changes the answer.
fn closes(connection: &HeaderValue) -> bool {
    let mut options = connection.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    options.any(|option| option.eq_ignore_ascii_case(b"close"))
}

/// A 101 as hyper writes it, without the date, which such a response may omit (RFC 9110, section 6.6.1).
fn serialized(response: &Response<String>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    for (name, value) in response.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// The write of a 101.
struct Writing {
    stream: PermittedStream,
    bytes: Vec<u8>,
    written: usize,
}

impl Writing {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.bytes.len() {
            let rest = &self.bytes[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                wrote => self.written += wrote,
            }
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// The stream once all is written, unless the connection is cut or the client is gone.
    async fn done(mut self) -> Option<PermittedStream> {
        let written = poll_fn(|cx| match self.stream.activity().is_cut(cx) {
            true => Poll::Ready(None),
            false => self.poll(cx).map(Result::ok),
        });
        written.await?;
        Some(self.stream)
    }
}

#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;

#[cfg(unix)]
#[cfg(test)]
mod tests;

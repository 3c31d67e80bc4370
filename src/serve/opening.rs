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
use futures_util::future::BoxFuture;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use hyper::upgrade::OnUpgrade;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::activity::Order;
use super::config::ServeConfig;
use super::endpoint::{self, Endpoints};
use super::stream::PermittedStream;
use crate::peer::PeerAddr;

/// Most bytes of an opening. A longer one goes to hyper, whose buffer begins with twice as many.
const READ: usize = 4096;

/// Most headers of an opening.
const HEADERS: usize = 48;

/// Answers a request that was decided about, given hyper's upgrade for it.
pub(super) type Decided = Box<dyn FnOnce(Option<OnUpgrade>) -> BoxFuture<'static, Response<String>> + Send>;

/// What is left to hyper.
pub(super) struct Rest {
    pub(super) stream: PermittedStream,
    /// The end of the wait for the head.
    pub(super) deadline: Option<Instant>,
    /// The decision about the first request.
    pub(super) decided: Option<Decided>,
}

impl From<PermittedStream> for Rest {
    /// A connection that nothing was read from.
    fn from(stream: PermittedStream) -> Self {
        Self { stream, deadline: None, decided: None }
    }
}

/// Opens a session, and returns its future. Or returns the connection for hyper, or nothing if it was cut.
pub(super) async fn open(
    mut stream: PermittedStream,
    endpoints: &Endpoints,
    peer: Option<PeerAddr>,
    config: &ServeConfig,
) -> Result<Option<impl Future<Output = ()> + Send + use<>>, Rest> {
    let mut timer = None;
    let read = poll_fn(|cx| read(&mut stream, &mut timer, config, cx)).await;
    let deadline = timer.map(|timer: Pin<Box<Sleep>>| timer.deadline());
    let bytes = match read {
        First::Cut => return Ok(None),
        First::Bytes(bytes) => bytes,
        First::Other(read) => return Err(rest(stream, deadline, read, None)),
    };
    let Some((head, len)) = parse(&bytes, config.head_bytes) else {
        return Err(rest(stream, deadline, Some(Ok(bytes)), None));
    };
    let path = endpoints.of(head.uri().path()).filter(|_| stream.activity().order() == Order::Stay);
    let Some((hub, key)) = path else { return Err(rest(stream, deadline, Some(Ok(bytes)), None)) };
    stream.activity().begins_to_work(false);
    let (hub, handshake) = (hub.clone(), endpoint::handshake(head, key, peer));
    let mut upgrade = Box::pin(async move { hub.upgrade(handshake).await });
    let accepted = match poll_fn(|cx| Poll::Ready(upgrade.as_mut().poll(cx))).await {
        Poll::Ready(upgrade) if upgrade.connection.is_some() => upgrade,
        Poll::Ready(upgrade) => {
            let decided: Decided = Box::new(|on_upgrade| async { upgrade.respond(on_upgrade) }.boxed());
            return Err(rest(stream, deadline, Some(Ok(bytes)), Some(decided)));
        }
        // hyper notices the end of a client that does not wait.
        Poll::Pending => {
            let decided: Decided =
                Box::new(|on_upgrade| async { upgrade.await.respond(on_upgrade) }.boxed());
            return Err(rest(stream, deadline, Some(Ok(bytes)), Some(decided)));
        }
    };
    let (response, Some(connection)) = (accepted.response, accepted.connection) else { return Ok(None) };
    let mut writing = Writing { stream, bytes: serialized(&response), written: 0 };
    let stream = match poll_fn(|cx| Poll::Ready(writing.poll(cx))).await {
        Poll::Ready(Ok(())) => writing.stream,
        Poll::Ready(Err(error)) => {
            tracing::debug!(%error, "the client went away before the upgrade");
            return Ok(None);
        }
        Poll::Pending => match connection.taken(writing.done()).await {
            Some(Some(stream)) => stream,
            _ => {
                tracing::debug!("the client did not take its 101 in time");
                return Ok(None);
            }
        },
    };
    Ok(Some(connection.run_served(stream.into_channel(), bytes.slice(len..))))
}

/// The first read of a connection.
enum First {
    Cut,
    Bytes(Bytes),
    /// The end, an error, or no bytes: too late, or asked to leave.
    Other(Option<io::Result<Bytes>>),
}

/// Waits for the first bytes.
fn read(
    stream: &mut PermittedStream,
    timer: &mut Option<Pin<Box<Sleep>>>,
    config: &ServeConfig,
    cx: &mut Context<'_>,
) -> Poll<First> {
    if stream.activity().is_cut(cx) {
        return Poll::Ready(First::Cut);
    }
    // On the stack, so that a connection without a request has no buffer.
    let mut bytes = [MaybeUninit::uninit(); READ];
    let mut buffer = ReadBuf::uninit(&mut bytes);
    match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
        Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(First::Other(None)),
        Poll::Ready(Ok(())) => Poll::Ready(First::Bytes(Bytes::copy_from_slice(buffer.filled()))),
        Poll::Ready(Err(error)) => Poll::Ready(First::Other(Some(Err(error)))),
        Poll::Pending if stream.activity().may_be_drained() => Poll::Ready(First::Other(None)),
        Poll::Pending => {
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(config.head_timeout)));
            timer.as_mut().poll(cx).map(|()| First::Other(None))
        }
    }
}

fn rest(
    mut stream: PermittedStream,
    deadline: Option<Instant>,
    read: Option<io::Result<Bytes>>,
    decided: Option<Decided>,
) -> Rest {
    stream.activity().is_handed_over();
    if let Some(read) = read {
        stream.read_again(read);
    }
    Rest { stream, deadline, decided }
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

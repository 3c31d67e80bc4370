use std::cell::RefCell;
use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1::Parts;
use hyper::service::service_fn;

use super::super::config::ServeConfig;
use super::super::connection::hyper_within;
use super::{parse, serialized};

/// Checks that hyper reads a head as the server reads it itself, finds the same bytes behind it, and writes the same 101.
///
/// The bytes are all that a client sends.
pub fn head(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let Some((ours, len)) = parse(&bytes, usize::MAX) else { return };
    assert!(parse(&bytes, len - 1).is_none(), "the head is longer than it may be");
    let answer = answer(&ours);

    let requests = RefCell::new(Vec::new());
    let service = service_fn(|request: Request<Incoming>| {
        requests.borrow_mut().push(request);
        ready(Ok::<_, Infallible>(answer.clone()))
    });
    let config = ServeConfig { head_bytes: len, ..ServeConfig::default() };
    let client = Client { sends: bytes.clone(), reads: Vec::new() };
    let mut connection = hyper_within(&config).serve_connection(client, service);
    let polled = connection.poll_without_shutdown(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Ok(()))), "hyper does not upgrade: {polled:?}");
    let Parts { io, read_buf, .. } = connection.into_parts();

    let requests = requests.into_inner();
    let [theirs] = requests.as_slice() else { panic!("{} requests", requests.len()) };
    assert_eq!((ours.method(), ours.version()), (theirs.method(), theirs.version()));
    assert_eq!(ours.uri(), theirs.uri());
    assert_eq!(ours.headers(), theirs.headers());
    assert!(theirs.body().is_end_stream(), "a body");
    assert_eq!(bytes[len..], [read_buf, io.sends].concat());
    assert_eq!(serialized(&answer).escape_ascii().to_string(), without_date(&io.reads));
}

/// A 101 with a header that the client has a say in.
fn answer(head: &Request<()>) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Some(protocol) = head.headers().get(SEC_WEBSOCKET_PROTOCOL) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol.clone());
    }
    response
}

fn without_date(written: &[u8]) -> String {
    let lines = written.split_inclusive(|&byte| byte == b'\n');
    let rest: Vec<_> = lines.filter(|line| !line.starts_with(b"date: ")).collect();
    rest.concat().escape_ascii().to_string()
}

/// A client whose bytes are there at once, and which stays.
struct Client {
    sends: Bytes,
    reads: Vec<u8>,
}

impl Read for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let len = self.sends.len().min(buffer.remaining());
        if len == 0 {
            return Poll::Pending;
        }
        buffer.put_slice(&self.sends.split_to(len));
        Poll::Ready(Ok(()))
    }
}

impl Write for Client {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.reads.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::serve::activity::Activity;
use crate::serve::transport::Transport;

/// The socket below a TLS stream. During the handshake it counts the bytes of the client.
#[derive(Debug)]
pub(crate) struct TlsSocket {
    transport: Transport,
    handshake: Option<Handshake>,
}

#[derive(Debug)]
struct Handshake {
    activity: Arc<Activity>,
    /// The first byte of the client.
    first: Option<u8>,
}

/// First byte of a TLS handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

impl TlsSocket {
    pub(super) fn new(transport: Transport, activity: Arc<Activity>) -> Self {
        Self { transport, handshake: Some(Handshake { activity, first: None }) }
    }

    /// Ends the count.
    pub(super) fn has_shaken_hands(&mut self) {
        self.handshake = None;
    }

    pub(super) fn into_transport(self) -> Transport {
        self.transport
    }

    /// See [`Transport::is_silent`].
    pub(in crate::serve) fn is_silent(&self) -> bool {
        self.transport.is_silent()
    }

    /// Whether the client began with an HTTP method.
    pub(super) fn heard_http(&self) -> bool {
        self.first().is_some_and(|first| first.is_ascii_uppercase())
    }

    /// Whether the client does not speak TLS. An alert would then stand in front of the HTTP response.
    fn is_deaf(&self) -> bool {
        self.first().is_some_and(|first| first != HANDSHAKE)
    }

    fn first(&self) -> Option<u8> {
        self.handshake.as_ref()?.first
    }
}

impl AsyncRead for TlsSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.transport).poll_read(cx, buffer);
        let Some(Handshake { activity, first }) = &mut this.handshake else { return polled };
        let read = &buffer.filled()[before..];
        if let Some(&byte) = read.first() {
            first.get_or_insert(byte);
            if !activity.has_read_handshake(read.len()) {
                let error = "too many long handshakes at the same time";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::QuotaExceeded, error)));
            }
        } else if polled.is_pending() && activity.is_asked_to_leave() {
            activity.is_silent(this.transport.is_silent());
        }
        polled
    }
}

impl AsyncWrite for TlsSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_deaf() {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut this.transport).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_deaf() {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        Pin::new(&mut this.transport).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_shutdown(cx)
    }
}

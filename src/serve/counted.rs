use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::stall::Stall;

/// A stream that has one of the places for connections, wherever it goes, until it becomes a session.
///
/// So whatever a connection is upgraded to counts, but for what keywire's own door counts.
#[derive(Debug)]
pub(crate) struct Counted<S> {
    stream: S,
    reads: Reads,
    writing: Stall,
    _place: Option<OwnedSemaphorePermit>,
}

/// How often something has been read from a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Reads(Arc<AtomicUsize>);

impl Reads {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl<S> Counted<S> {
    pub(super) fn new(stream: S, place: Option<OwnedSemaphorePermit>, stall_timeout: Duration) -> Self {
        Self { stream, reads: Reads::default(), writing: Stall::new(stall_timeout), _place: place }
    }

    pub(super) fn reads(&self) -> Reads {
        self.reads.clone()
    }

    fn wrote(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.writing.watch(cx, polled).map(|polled| {
            polled.unwrap_or_else(|stalled| Err(io::Error::new(io::ErrorKind::TimedOut, stalled)))
        })
    }

    /// The bare stream. Its place is free from now on.
    #[cfg_attr(not(feature = "warp"), expect(dead_code, reason = "for adapters"))]
    pub(crate) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.reads.0.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

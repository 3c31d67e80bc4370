//! Signs of life on a connection in the middle of a message.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Counts the signs of life of the peer of a [`Watched`] stream.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<AtomicU64>);

impl Progress {
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn advance(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A stream that counts when its peer sends bytes, and when its peer reads bytes.
///
/// A write into a buffer with room shows nothing about the peer. A write after the buffer was full shows that the peer has read
/// bytes.
pub(super) struct Watched<S> {
    stream: S,
    progress: Progress,
    full: bool,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S) -> (Self, Progress) {
        let progress = Progress::default();
        (Self { stream, progress: progress.clone(), full: false }, progress)
    }

    fn wrote(&mut self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match poll {
            Poll::Pending => self.full = true,
            Poll::Ready(Ok(_)) if std::mem::take(&mut self.full) => self.progress.advance(),
            Poll::Ready(_) => {}
        }
        poll
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.progress.advance();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(poll)
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn only_what_the_other_side_does_counts() {
        let (near, mut far) = tokio::io::duplex(8);
        let (mut near, progress) = Watched::new(near);
        near.write_all(b"8 bytes.").await.unwrap();
        assert_eq!(progress.count(), 0);
        let mut more = Box::pin(near.write_all(b"more"));
        assert!(more.as_mut().now_or_never().is_none());
        far.read_exact(&mut [0; 8]).await.unwrap();
        more.await.unwrap();
        assert_eq!(progress.count(), 1);
        far.write_all(b"x").await.unwrap();
        near.read_exact(&mut [0]).await.unwrap();
        assert_eq!(progress.count(), 2);
    }
}

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::activity::{Activity, Order, Phase};
use super::channel::Channel;
use super::progress::ProgressTimeout;
use super::quota::ConnectionPermit;

/// A stream that holds a permit for the limit on connections until it becomes a session.
///
/// A connection that is upgraded to another protocol keeps its permit. Sessions have their own limits (`Limits`).
#[derive(Debug)]
pub(crate) struct PermittedStream {
    channel: Channel,
    permit: ConnectionPermit,
    writing: ProgressTimeout,
    /// What was read before and is read again.
    again: Option<io::Result<Bytes>>,
    /// Whether the last flush did not finish.
    is_flushing: bool,
    /// Set after the write side was shut down.
    lingering: Option<Pin<Box<Sleep>>>,
}

/// Time for which the rest of an answered request is read. Closing with unread bytes would reset the connection, and the client
/// might not get the response.
const LINGER: Duration = Duration::from_secs(2);

impl PermittedStream {
    pub(super) fn new(channel: Channel, permit: ConnectionPermit, writing: ProgressTimeout) -> Self {
        Self { channel, permit, writing, again: None, is_flushing: false, lingering: None }
    }

    /// The next reads return the result of an earlier one. Its bytes are counted already.
    pub(super) fn read_again(&mut self, read: io::Result<Bytes>) {
        self.again = Some(read);
    }

    pub(super) fn activity(&self) -> &Arc<Activity> {
        self.permit.activity()
    }

    /// Releases the permit and returns the bare connection.
    pub(crate) fn into_channel(self) -> Channel {
        self.channel
    }

    /// Limits the time that a write of `bytes` takes.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        // After an upgrade the other protocol has its own timeouts.
        if self.activity().phase() == Phase::Upgraded {
            return polled;
        }
        self.activity().at_work(if polled.is_pending() { Phase::Answer } else { Phase::Work });
        let watched = self.writing.watch(cx, polled, |wrote| wrote.as_ref().map_or(0, bytes));
        watched.map(|polled| {
            polled.unwrap_or_else(|stalled| Err(io::Error::new(io::ErrorKind::TimedOut, stalled)))
        })
    }

    /// Limits the time of a flush too. TLS takes bytes before the socket does.
    fn watch_flush(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        if std::mem::replace(&mut self.is_flushing, polled.is_pending()) || self.is_flushing {
            self.watch(cx, polled, |()| 0)
        } else {
            polled
        }
    }

    /// Reads until the client closes.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(timer) = &mut self.lingering else { return Poll::Ready(()) };
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut waste = [0; 4096];
        for _ in 0..16 {
            if self.permit.activity().order() == Order::Leave {
                return Poll::Ready(());
            }
            let mut buffer = ReadBuf::new(&mut waste);
            match ready!(Pin::new(&mut self.channel).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncRead for PermittedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(read) = self.again.take() {
            let mut read = read?;
            let part = read.split_to(read.len().min(buffer.remaining()));
            buffer.put_slice(&part);
            if !read.is_empty() {
                self.again = Some(Ok(read));
            }
            // No bytes would be the end of the stream.
            if !part.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.channel).poll_read(cx, buffer);
        let activity = self.activity();
        let read = buffer.filled().len() - before;
        if read > 0 {
            if !activity.has_read(read) {
                let error =
                    io::Error::new(io::ErrorKind::QuotaExceeded, "too many long heads at the same time");
                return Poll::Ready(Err(error));
            }
        } else if polled.is_pending() && activity.is_asked_to_leave() {
            activity.is_silent(self.channel.is_silent());
        }
        polled
    }
}

impl AsyncWrite for PermittedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.channel).poll_write(cx, bytes);
        self.watch(cx, polled, |&wrote| wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.channel).poll_write_vectored(cx, slices);
        self.watch(cx, polled, |&wrote| wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.channel.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.channel).poll_flush(cx);
        self.watch_flush(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            let polled = Pin::new(&mut self.channel).poll_shutdown(cx);
            ready!(self.watch_flush(cx, polled))?;
            if self.activity().phase() == Phase::Upgraded || !self.activity().begins_to_close() {
                return Poll::Ready(Ok(()));
            }
            self.lingering = Some(Box::pin(tokio::time::sleep(LINGER)));
        }
        self.poll_linger(cx).map(Ok)
    }
}

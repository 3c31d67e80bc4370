//! The two kinds of sockets that a connection can run on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::outbox::{Outbox, Read, Stream};

/// A socket after its upgrade, and the bytes behind the request that the HTTP server has read already.
pub(crate) struct UpgradedSocket {
    pub(crate) socket: Socket,
    pub(crate) early: Vec<u8>,
}

/// The byte stream of a connection.
pub(crate) enum Socket {
    /// Bare TCP. The outbox holds it, so that senders can write.
    Tcp,
    /// Anything else: TLS, a Unix socket, a test. Only the connection's own task touches it. In two boxes, so that a bare TCP socket
    /// takes one word of each session and not two.
    Any(Box<Box<dyn AnyStream>>),
}

/// A byte stream of any kind.
pub(crate) trait AnyStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> AnyStream for S {}

impl Socket {
    pub(crate) fn tcp(stream: TcpStream, outbox: &Outbox) -> Self {
        outbox.attach(stream);
        Self::Tcp
    }

    /// The stream to write to, if the outbox does not hold it.
    pub(super) fn stream(&mut self) -> Stream<'_> {
        match self {
            Self::Tcp => None,
            Self::Any(stream) => Some(Pin::new(&mut ***stream)),
        }
    }

    /// Reads up to the length of `into`.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        outbox: &Outbox,
        into: &mut [u8],
    ) -> Poll<io::Result<Read>> {
        match self {
            Self::Tcp => outbox.poll_read(cx, into),
            Self::Any(stream) => {
                let mut buffer = ReadBuf::new(into);
                ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
                Poll::Ready(Ok(Read { len: buffer.filled().len(), is_last: false }))
            }
        }
    }

    /// Shuts down the writing side.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>, outbox: &Outbox) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp => outbox.poll_shutdown(cx),
            Self::Any(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    /// Closes the stream. Bare TCP only needs to be dropped.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp => Poll::Ready(Ok(())),
            Self::Any(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

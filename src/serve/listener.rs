use std::io;

use socket2::{SockRef, Socket};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

use super::transport::Transport;
use crate::peer::PeerAddr;

/// Source of connections: tokio's `TcpListener`, for one version of IP or for both, or its `UnixListener`. The trait is sealed.
pub trait Listener: sealed::Accept {}

mod sealed {
    use std::io;

    use super::{PeerAddr, Transport};

    pub trait Accept: Send + 'static {
        /// The next connection.
        fn accept(&mut self) -> impl Future<Output = io::Result<(Transport, Option<PeerAddr>)>> + Send;

        /// A connection that waits in the system's queue.
        ///
        /// This asks the socket itself, since the runtime learns of new connections only between two tasks.
        fn accept_waiting(&mut self) -> io::Result<(Transport, Option<PeerAddr>)>;
    }
}

/// Whether an error concerns only one connection, so that the next accept may succeed.
pub(super) fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

impl Listener for TcpListener {}

impl sealed::Accept for TcpListener {
    async fn accept(&mut self) -> io::Result<(Transport, Option<PeerAddr>)> {
        let (stream, peer) = Self::accept(self).await?;
        Ok((Transport::Tcp(stream), Some(PeerAddr(peer))))
    }

    fn accept_waiting(&mut self) -> io::Result<(Transport, Option<PeerAddr>)> {
        let (socket, peer) = accept_waiting(SockRef::from(&*self))?;
        let stream = tokio::net::TcpStream::from_std(socket.into())?;
        Ok((Transport::Tcp(stream), peer.as_socket().map(PeerAddr)))
    }
}

#[cfg(unix)]
impl Listener for UnixListener {}

#[cfg(unix)]
impl sealed::Accept for UnixListener {
    async fn accept(&mut self) -> io::Result<(Transport, Option<PeerAddr>)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((Transport::Unix(stream), None))
    }

    fn accept_waiting(&mut self) -> io::Result<(Transport, Option<PeerAddr>)> {
        let (socket, _) = accept_waiting(SockRef::from(&*self))?;
        Ok((Transport::Unix(tokio::net::UnixStream::from_std(socket.into())?), None))
    }
}

fn accept_waiting(listener: SockRef<'_>) -> io::Result<(Socket, socket2::SockAddr)> {
    let (socket, peer) = listener.accept()?;
    socket.set_nonblocking(true)?;
    Ok((socket, peer))
}

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use super::config::ServeConfig;
use crate::peer::Peer;

/// What connections come from: tokio's `TcpListener`, for either version of IP or for both, and its `UnixListener`. It cannot be
/// implemented for others.
pub trait Listener: sealed::Accept {}

mod sealed {
    use std::io;

    use tokio::io::{AsyncRead, AsyncWrite};

    use super::{Peer, ServeConfig};

    pub trait Accept: Send + 'static {
        type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

        fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, Option<Peer>)>> + Send;

        fn set_up(stream: &Self::Stream, config: &ServeConfig) -> io::Result<()>;
    }
}

/// How long to leave a listener alone that fails, most likely for want of file descriptors. It would fail again at once.
const PAUSE: Duration = Duration::from_millis(100);

/// The next connection, whatever happens until it comes.
pub(super) async fn next<L: Listener>(listener: &mut L, config: &ServeConfig) -> (L::Stream, Option<Peer>) {
    let mut failing = false;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if failing {
                    tracing::info!("connections are accepted again");
                }
                if let Err(error) = L::set_up(&stream, config) {
                    // It fails only on a socket that is dead already, which reading will find out.
                    tracing::debug!(%error, "a new connection takes no options");
                }
                return (stream, peer);
            }
            Err(error) if is_of_one_connection(&error) => {
                tracing::debug!(%error, "a client went away before it was accepted");
            }
            Err(error) => {
                if !failing {
                    tracing::error!(%error, "cannot accept connections, and tries again until it can");
                }
                failing = true;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Whether an error says something about one connection, so that the next may be good.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

impl Listener for TcpListener {}

impl sealed::Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Option<Peer>)> {
        let (stream, peer) = Self::accept(self).await?;
        Ok((stream, Some(Peer(peer))))
    }

    fn set_up(stream: &TcpStream, config: &ServeConfig) -> io::Result<()> {
        // Else the second of two small messages waits until the first is acknowledged.
        stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new()
            .with_time(config.tcp_keepalive)
            .with_interval(Duration::from_secs(15))
            .with_retries(3);
        SockRef::from(stream).set_tcp_keepalive(&keepalive)
    }
}

#[cfg(unix)]
impl Listener for UnixListener {}

#[cfg(unix)]
impl sealed::Accept for UnixListener {
    type Stream = UnixStream;

    async fn accept(&mut self) -> io::Result<(UnixStream, Option<Peer>)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((stream, None))
    }

    fn set_up(_: &UnixStream, _: &ServeConfig) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn small_messages_leave_at_once_and_silence_is_looked_into() {
        let mut addresses = vec!["127.0.0.1:0"];
        // A container may have no IPv6.
        addresses.extend(std::net::TcpListener::bind("[::1]:0").is_ok().then_some("[::1]:0"));
        for address in addresses {
            let mut listener = TcpListener::bind(address).await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let config = ServeConfig { tcp_keepalive: Duration::from_secs(17), ..ServeConfig::default() };
            let (stream, peer) = next(&mut listener, &config).await;
            assert_eq!(peer, client.local_addr().ok().map(Peer));
            assert!(stream.nodelay().unwrap());
            let socket = SockRef::from(&stream);
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), config.tcp_keepalive);
        }
    }
}

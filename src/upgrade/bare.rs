//! Finds the socket below hyper's upgrade.

use std::any::Any;

use bytes::Bytes;
use hyper::upgrade::{Parts, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;

#[cfg(feature = "tls")]
use crate::serve::TlsStream;
#[cfg(feature = "serve")]
use crate::serve::{Channel, PermittedStream, Transport};

/// The upgraded stream in an argument of [`Connection::run`](super::Connection::run), as hyper's examples pass it.
pub(super) fn into_upgraded<IO: 'static>(io: IO) -> Result<Upgraded, IO> {
    let mut io = Some(io);
    let upgraded = (&mut io as &mut dyn Any).downcast_mut::<Option<TokioIo<Upgraded>>>();
    match upgraded.and_then(Option::take) {
        Some(upgraded) => Ok(upgraded.into_inner()),
        None => Err(io.expect("taken only if it is an upgrade")),
    }
}

/// The stream below an upgrade, and the bytes that were read from it already.
pub(super) enum Bare {
    Tcp(TcpStream, Bytes),
    #[cfg(all(unix, feature = "serve"))]
    Unix(tokio::net::UnixStream, Bytes),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream>, Bytes),
    /// A stream of HTTP/2, or one of another server.
    Other(Upgraded),
}

pub(super) fn bare(upgraded: Upgraded) -> Bare {
    #[cfg(feature = "serve")]
    let upgraded = match upgraded.downcast::<TokioIo<PermittedStream>>() {
        Ok(Parts { io, read_buf, .. }) => return Bare::of(io.into_inner().into_channel(), read_buf),
        Err(upgraded) => upgraded,
    };
    // The frameworks' own servers, which probe for HTTP/2 first.
    let upgraded = match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => return of_framework(parts.io.into_inner(), parts.read_buf),
        Err(upgraded) => upgraded,
    };
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(Parts { io, read_buf, .. }) => of_framework(io.into_inner(), read_buf),
        Err(upgraded) => Bare::Other(upgraded),
    }
}

/// `serve` has set the options of its connections, and a framework has perhaps not.
fn of_framework(stream: TcpStream, read: Bytes) -> Bare {
    // Fails only on a dead socket.
    let _ = stream.set_nodelay(true);
    Bare::Tcp(stream, read)
}

#[cfg(feature = "serve")]
impl Bare {
    /// A connection of `serve`.
    pub(super) fn of(channel: Channel, read: Bytes) -> Self {
        match channel {
            Channel::Plain(Transport::Tcp(stream)) => Self::Tcp(stream, read),
            #[cfg(unix)]
            Channel::Plain(Transport::Unix(stream)) => Self::Unix(stream, read),
            #[cfg(feature = "tls")]
            Channel::Tls(stream) => Self::Tls(stream, read),
        }
    }
}

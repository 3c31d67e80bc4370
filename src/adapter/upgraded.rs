//! From an upgrade of hyper's to the socket beneath it; the same for all frameworks on hyper.

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{Either, ready};
use hyper::upgrade::{OnUpgrade, Parts, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;

use crate::upgrade::Connection;

/// Runs a connection on what is upgraded to.
///
/// One task sees to the upgrade and then to the connection. `then` overlays the two, so that the task is no
/// larger than what stays of it.
pub(super) fn run(
    connection: Connection,
    on_upgrade: OnUpgrade,
) -> impl Future<Output = ()> + Send + 'static {
    connection.taken(on_upgrade).then(|upgraded| match upgraded {
        Some(Ok(upgraded)) => Either::Left(begin(connection, upgraded)),
        Some(Err(error)) => {
            tracing::debug!(%error, "the client went away before the upgrade");
            Either::Right(ready(()))
        }
        None => {
            tracing::debug!("the client did not take its 101 in time");
            Either::Right(ready(()))
        }
    })
}

fn begin(connection: Connection, upgraded: Upgraded) -> impl Future<Output = ()> + Send + 'static {
    match bare(upgraded) {
        Ok((stream, early)) => Either::Left(connection.run_tcp(stream, early)),
        // TLS, a Unix socket, a test.
        Err(upgraded) => Either::Right(connection.run(TokioIo::new(upgraded), Bytes::new()).boxed()),
    }
}

/// The TCP connection itself, and what has been read from it already.
fn bare(upgraded: Upgraded) -> Result<(TcpStream, Bytes), Upgraded> {
    #[cfg(feature = "serve")]
    let upgraded = match upgraded.downcast::<TokioIo<crate::serve::Counted<TcpStream>>>() {
        Ok(Parts { io, read_buf, .. }) => return Ok((io.into_inner().into_inner(), read_buf)),
        Err(upgraded) => upgraded,
    };
    // The frameworks' own servers, which look for HTTP/2 first, and others.
    match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => Ok((parts.io.into_inner(), parts.read_buf)),
        Err(upgraded) => {
            let Parts { io, read_buf, .. } = upgraded.downcast::<TokioIo<TcpStream>>()?;
            Ok((io.into_inner(), read_buf))
        }
    }
}

//! From an accepted connection to TLS.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::channel::Channel;
use super::config::ServeConfig;
use super::progress::ProgressTimeout;
use super::quota::ConnectionPermit;
use super::stream::PermittedStream;
use super::tls::{HandshakeError, Tls};
use super::transport::Transport;
use crate::peer::PeerAddr;

/// The answer to a client that speaks plain HTTP.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\
    Content-Length: 21\r\n\r\nThis port needs TLS.\n";

/// Performs a handshake within [`ServeConfig::head_timeout`]. `None` if it fails or gives way to another connection.
pub(super) async fn secure(
    tls: Tls,
    transport: Transport,
    permit: ConnectionPermit,
    peer: Option<PeerAddr>,
    config: &ServeConfig,
) -> Option<PermittedStream> {
    let peer = peer.map(|PeerAddr(addr)| tracing::field::display(addr));
    let activity = permit.activity().clone();
    let writing = ProgressTimeout::new(config);
    let ended = {
        let mut handshake = pin!(timeout(config.head_timeout, tls.handshake(transport, activity.clone())));
        poll_fn(|cx| {
            if activity.is_cut(cx) {
                return Poll::Ready(None);
            }
            match handshake.as_mut().poll(cx) {
                Poll::Pending if activity.may_be_drained() => Poll::Ready(None),
                polled => polled.map(Some),
            }
        })
        .await
    };
    match ended {
        Some(Ok(Ok(stream))) => Some(PermittedStream::new(Channel::Tls(stream), permit, writing)),
        Some(Ok(Err(HandshakeError { error, transport, is_http }))) => {
            tracing::debug!(peer, %error, is_http, "TLS handshake failed");
            refuse(PermittedStream::new(Channel::Plain(transport), permit, writing), is_http).await;
            None
        }
        Some(Err(_)) => {
            tracing::debug!(peer, setting = "ServeConfig::head_timeout", "TLS handshake timed out");
            None
        }
        None => {
            tracing::debug!(peer, "TLS handshake cut");
            None
        }
    }
}

/// Closes behind the alert or the response. A reset would overtake them.
async fn refuse(mut stream: PermittedStream, is_http: bool) {
    let activity = stream.activity().clone();
    let mut closing = pin!(async {
        if is_http {
            stream.write_all(PLAIN_HTTP).await?;
        }
        stream.shutdown().await
    });
    // The client may be gone.
    let _ = poll_fn(|cx| match activity.is_cut(cx) {
        true => Poll::Ready(Ok(())),
        false => closing.as_mut().poll(cx),
    })
    .await;
}

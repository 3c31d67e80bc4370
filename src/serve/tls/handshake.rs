use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio_rustls::{TlsAcceptor, server};

use super::socket::TlsSocket;
use crate::serve::activity::Activity;
use crate::serve::transport::Transport;

/// TLS on an accepted connection.
pub(crate) type TlsStream = server::TlsStream<TlsSocket>;

/// Bytes that rustls encrypts in advance, while the socket takes no more: one record. rustls' default is four times that.
const BUFFER: usize = 16 * 1024;

/// A handshake that failed. An alert was written, if the client speaks TLS.
pub(in crate::serve) struct HandshakeError {
    pub(in crate::serve) error: io::Error,
    pub(in crate::serve) transport: Transport,
    /// Whether the client speaks plain HTTP.
    pub(in crate::serve) is_http: bool,
}

/// Performs the server's side of a handshake.
pub(super) async fn handshake(
    config: Arc<ServerConfig>,
    transport: Transport,
    activity: Arc<Activity>,
) -> Result<Box<TlsStream>, HandshakeError> {
    let socket = TlsSocket::new(transport, activity.clone());
    let accept =
        TlsAcceptor::from(config).accept_with(socket, |session| session.set_buffer_limit(Some(BUFFER)));
    match accept.into_fallible().await {
        Ok(mut stream) => {
            stream.get_mut().0.has_shaken_hands();
            activity.has_shaken_hands();
            Ok(Box::new(stream))
        }
        Err((error, socket)) => {
            let is_http = socket.heard_http();
            Err(HandshakeError { error, transport: socket.into_transport(), is_http })
        }
    }
}

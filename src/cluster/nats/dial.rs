//! Connects to one server: TCP, TLS, and the first words of both sides.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::NatsError;
use super::server::{Credentials, Server};
use super::wire::{Info, ServerOp, decode};
use crate::cluster::tls::Tls;

/// A connection that is ready.
pub(super) struct Link {
    pub(super) stream: Box<dyn Stream>,
    /// What the server has sent beyond its first words.
    pub(super) read: BytesMut,
    pub(super) info: Info,
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Longest time for one server.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to the first of these servers that accepts.
///
/// # Errors
///
/// That of the last server.
pub(super) async fn dial_any(servers: &[Server], tls: &Tls) -> Result<Link, NatsError> {
    let mut failed = NatsError::Url("it names no server");
    for server in servers {
        match timeout(TIMEOUT, dial(server, tls)).await {
            Ok(Ok(link)) => return Ok(link),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = unreachable(server, io::ErrorKind::TimedOut.into()),
        }
    }
    Err(failed)
}

async fn dial(server: &Server, tls: &Tls) -> Result<Link, NatsError> {
    let stream = TcpStream::connect((server.host.as_str(), server.port)).await;
    let mut stream = stream.map_err(|error| unreachable(server, error))?;
    stream.set_nodelay(true).map_err(|error| unreachable(server, error))?;
    let mut read = BytesMut::new();
    let info = match next(server, &mut stream, &mut read).await? {
        ServerOp::Info(info) => *info,
        _ => return Err(NatsError::Protocol("its first word is not INFO")),
    };
    if !info.headers {
        return Err(NatsError::TooOld { found: info.version, needed: "2.2" });
    }
    if !server.tls && !tls.is_set() && !info.tls_required {
        return greet(server, Box::new(stream), read, info).await;
    }
    if !info.tls_required && !info.tls_available {
        return Err(tls_failed(server, "the server offers no TLS".into()));
    }
    // Otherwise bytes that came before the encryption would count as encrypted.
    if !read.is_empty() {
        return Err(NatsError::Protocol("it sends more than INFO before TLS"));
    }
    let config = tls.config().map_err(|error| tls_failed(server, error))?;
    let name = ServerName::try_from(server.host.clone()).map_err(|error| tls_failed(server, error.into()))?;
    let stream = TlsConnector::from(config).connect(name, stream).await;
    let stream = stream.map_err(|error| tls_failed(server, error.into()))?;
    greet(server, Box::new(stream), read, info).await
}

async fn greet(
    server: &Server,
    mut stream: Box<dyn Stream>,
    mut read: BytesMut,
    mut info: Info,
) -> Result<Link, NatsError> {
    let words = format!("CONNECT {}\r\nPING\r\n", connect(server));
    let written = async { stream.write_all(words.as_bytes()).await.and(stream.flush().await) }.await;
    written.map_err(|error| unreachable(server, error))?;
    loop {
        match next(server, &mut stream, &mut read).await? {
            ServerOp::Pong => return Ok(Link { stream, read, info }),
            ServerOp::Info(newer) => info = *newer,
            ServerOp::Err(reason) if reason.to_ascii_lowercase().contains("auth") => {
                return Err(NatsError::Credentials { server: server.to_string(), reason });
            }
            ServerOp::Err(reason) => return Err(NatsError::Server(reason.into())),
            ServerOp::Ping => {
                let answered = stream.write_all(b"PONG\r\n").await;
                answered.map_err(|error| unreachable(server, error))?;
            }
            ServerOp::Ok | ServerOp::Message(_) => {}
        }
    }
}

fn connect(server: &Server) -> serde_json::Value {
    let mut connect = json!({
        "verbose": false,
        "pedantic": false,
        "lang": "rust",
        "name": "keywire",
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": 1,
        // A node has delivered its own messages already.
        "echo": false,
        "headers": true,
        "no_responders": true,
    });
    match &server.credentials {
        Credentials::None => {}
        Credentials::Token(token) => connect["auth_token"] = token.as_str().into(),
        Credentials::Password { user, password } => {
            connect["user"] = user.as_str().into();
            connect["pass"] = password.as_str().into();
        }
    }
    connect
}

async fn next(
    server: &Server,
    stream: &mut (impl AsyncRead + Unpin),
    read: &mut BytesMut,
) -> Result<ServerOp, NatsError> {
    loop {
        if let Some(op) = decode(read)? {
            return Ok(op);
        }
        match stream.read_buf(read).await {
            Ok(0) => return Err(unreachable(server, io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            Err(error) => return Err(unreachable(server, error)),
        }
    }
}

fn unreachable(server: &Server, source: io::Error) -> NatsError {
    NatsError::Unreachable { server: server.to_string(), source }
}

fn tls_failed(server: &Server, source: Box<dyn std::error::Error + Send + Sync>) -> NatsError {
    NatsError::Tls { server: server.to_string(), source }
}

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::error::RedisError;
use super::resp::{Value, decode, encode};
use super::url::{Endpoint, Login, Target};
use crate::cluster::tls::Tls;

/// An open connection, after the handshake.
pub(super) struct Link {
    pub(super) socket: Box<dyn Socket>,
    /// What has arrived and is not decoded.
    pub(super) input: BytesMut,
    server: String,
    /// The address of the server, if it has one.
    pub(super) peer: Option<SocketAddr>,
}

pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// How connections are opened.
#[derive(Clone)]
pub(super) struct Access {
    tls: Option<Arc<ClientConfig>>,
    login: Login,
    database: u32,
    timeout: Duration,
}

/// The mode of a server, as it names itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Standalone,
    Cluster,
    Sentinel,
}

impl Mode {
    /// The oldest version: that of GETDEL and HRANDFIELD, or of sharded channels.
    fn oldest(self) -> ((u32, u32), &'static str) {
        match self {
            Self::Cluster => ((7, 0), "7.0"),
            Self::Standalone | Self::Sentinel => ((6, 2), "6.2"),
        }
    }
}

impl Access {
    /// `timeout` is for a whole attempt.
    pub(super) fn new(target: &Target, tls: &Tls, timeout: Duration) -> Result<Self, RedisError> {
        if tls.is_set() && !target.tls {
            return Err(RedisError::Options(
                "certificates are set and the URL has no TLS: it begins with rediss",
            ));
        }
        let tls = if target.tls { Some(tls.config().map_err(RedisError::Tls)?) } else { None };
        Ok(Self { tls, login: target.login.clone(), database: target.database, timeout })
    }

    /// The same way with another login and no database, for a Sentinel.
    pub(super) fn with_login(&self, login: Login) -> Self {
        Self { login, database: 0, ..self.clone() }
    }

    /// The timeout of an attempt.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Connects to a server that is to be of this mode. A server of data must be a master.
    pub(super) async fn open(&self, server: &Endpoint, mode: Mode) -> Result<Link, RedisError> {
        let attempt = async {
            let opened = self.socket(server).await;
            let (socket, peer) = opened.map_err(|error| RedisError::unreachable(server, error))?;
            let mut link = Link { socket, input: BytesMut::new(), server: server.to_string(), peer };
            self.greet(&mut link, mode).await?;
            Ok(link)
        };
        let late = || RedisError::unreachable(server, io::Error::from(io::ErrorKind::TimedOut));
        tokio::time::timeout(self.timeout, attempt).await.unwrap_or_else(|_| Err(late()))
    }

    async fn socket(&self, server: &Endpoint) -> io::Result<(Box<dyn Socket>, Option<SocketAddr>)> {
        let (host, port) = match server {
            #[cfg(unix)]
            Endpoint::Unix(path) => {
                return Ok((Box::new(tokio::net::UnixStream::connect(path).await?), None));
            }
            #[cfg(not(unix))]
            Endpoint::Unix(_) => return Err(io::ErrorKind::Unsupported.into()),
            Endpoint::Tcp { host, port } => (host, *port),
        };
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        stream.set_nodelay(true)?;
        let peer = stream.peer_addr().ok();
        let Some(tls) = &self.tls else { return Ok((Box::new(stream), peer)) };
        let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
        Ok((Box::new(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?), peer))
    }

    async fn greet(&self, link: &mut Link, mode: Mode) -> Result<(), RedisError> {
        let server = link.server.clone();
        let mut hello: Vec<&[u8]> = vec![b"HELLO", b"3"];
        if let Some(password) = &self.login.password {
            let user = self.login.user.as_deref().unwrap_or("default");
            hello.extend([b"AUTH", user.as_bytes(), password.as_bytes()]);
        }
        let answer = match link.ask(&hello).await? {
            Value::Error(answer) => return Err(refused(server, answer, mode)),
            answer => answer.into_array().unwrap_or_default(),
        };
        let of = |name: &str| answer.chunks(2).find(|pair| pair[0].as_str() == Some(name))?.get(1)?.as_str();
        let Some(version) = of("version") else { return Err(RedisError::Foreign { server }) };
        let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
        let (oldest, needed) = mode.oldest();
        if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < oldest {
            return Err(RedisError::TooOld { server, version: version.chars().take(32).collect(), needed });
        }
        match (mode, of("mode")) {
            (Mode::Sentinel, Some("sentinel")) => return Ok(()),
            (Mode::Sentinel, _) => return Err(RedisError::Deployment { server, why: "is not a Sentinel" }),
            (_, Some("sentinel")) => {
                let why = "is a Sentinel: use redis+sentinel://HOST/NAME-OF-THE-MASTER";
                return Err(RedisError::Deployment { server, why });
            }
            (Mode::Standalone, Some("cluster")) => {
                let why = "is a node of a Redis Cluster: use redis+cluster://";
                return Err(RedisError::Deployment { server, why });
            }
            (Mode::Cluster, Some("standalone")) => {
                let why = "is not a node of a Redis Cluster: use redis://";
                return Err(RedisError::Deployment { server, why });
            }
            _ => {}
        }
        if mode == Mode::Standalone && of("role").is_some_and(|role| role != "master") {
            return Err(RedisError::Replica { server });
        }
        // The name is for an operator who looks at the connections. A user may be forbidden to set it.
        link.ask(&[b"CLIENT", b"SETNAME", b"keywire"]).await?;
        if self.database != 0
            && let Value::Error(answer) = link.ask(&[b"SELECT", self.database.to_string().as_bytes()]).await?
        {
            return Err(refused(server, answer, mode));
        }
        Ok(())
    }
}

fn refused(server: String, answer: String, mode: Mode) -> RedisError {
    let (_, needed) = mode.oldest();
    let old = |server, version: &str| RedisError::TooOld { server, version: version.into(), needed };
    match answer.split(' ').next() {
        Some("NOAUTH" | "WRONGPASS" | "NOPERM") => RedisError::Unauthorized { server, answer },
        // Redis before version 6 does not know HELLO, and a proxy may know it and not the protocol's version.
        Some("NOPROTO") => old(server, "without RESP3"),
        _ if answer.to_ascii_lowercase().contains("unknown command") => old(server, "before 6.0"),
        // Redis 6.2 and later, if the user of AUTH has no password.
        _ if answer.contains("AUTH") => RedisError::Unauthorized { server, answer },
        _ => RedisError::Server { server, answer },
    }
}

impl Link {
    /// Sends a command and waits for its answer. For the handshake and for Sentinels: one command at a time.
    pub(super) async fn ask(&mut self, command: &[&[u8]]) -> Result<Value, RedisError> {
        let mut out = Vec::new();
        encode(&mut out, command);
        let failed = |error: io::Error| RedisError::unreachable(&self.server, error);
        self.socket.write_all(&out).await.map_err(failed)?;
        self.socket.flush().await.map_err(failed)?;
        loop {
            match decode(&mut self.input) {
                Ok(Some(Value::Push(_))) => {}
                Ok(Some(value)) => return Ok(value),
                Ok(None) => {
                    let read = self.socket.read_buf(&mut self.input).await;
                    if read.map_err(failed)? == 0 {
                        return Err(failed(io::ErrorKind::UnexpectedEof.into()));
                    }
                }
                Err(_) => return Err(RedisError::Foreign { server: self.server.clone() }),
            }
        }
    }
}

//! TLS of a server.

mod error;
mod expiry;
mod handshake;
mod pair;
mod slot;
mod socket;
mod watch;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::NoServerSessionStorage;

pub use self::error::TlsError;
pub(super) use self::handshake::HandshakeError;
pub(crate) use self::handshake::TlsStream;
use self::pair::Pair;
use self::slot::Slot;
use self::watch::Watched;
use super::activity::Activity;
use super::transport::Transport;

/// TLS for [`Serve::tls`](super::Serve::tls), of the feature `tls`: a certificate and its key.
///
/// A clone is a handle to the same certificate.
///
/// ```no_run
/// use keywire::serve::Tls;
/// # use keywire::{Hub, auth::RawKey};
/// # use tokio::net::TcpListener;
/// # async fn stop_signal() {}
///
/// # async fn example(hub: Hub, router: axum::Router) -> Result<(), Box<dyn std::error::Error>> {
/// let tls = Tls::files("fullchain.pem", "privkey.pem")?;
///
/// let listener = TcpListener::bind("[::]:443").await?;
/// keywire::serve(listener, router).tls(tls).graceful(&hub, stop_signal()).run().await;
/// # Ok(())
/// # }
/// ```
///
/// # Protocols
///
/// TLS 1.2 and 1.3 with rustls and ring. HTTP/1.1 only: a client that offers other protocols by ALPN, and not `http/1.1`, gets the
/// alert `no_application_protocol`. A client without ALPN is served. There is no 0-RTT. Sessions are resumed by tickets, whose keys
/// stay in this process and change every six hours.
///
/// # Limits
///
/// A handshake has [`ServeConfig::head_timeout`](super::ServeConfig::head_timeout). It holds a permit of
/// [`ServeConfig::connections`](super::ServeConfig::connections) from its beginning, and gives way to new connections like an idle
/// connection.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    /// `None` if the configuration chooses the certificate itself.
    slot: Option<Arc<Slot>>,
    watched: Option<Arc<Watched>>,
    interval: Duration,
}

/// The only protocol that `serve` speaks inside of TLS.
const HTTP_1_1: &[u8] = b"http/1.1";

impl Tls {
    /// A certificate chain and its key from two files in PEM. The server's own certificate comes first in the chain. The key may be
    /// PKCS #8, PKCS #1 (RSA) or SEC 1 (EC), and both may be in one file.
    ///
    /// The files are read again every 60 s while a server runs ([`Tls::check_every`]), and by [`Tls::reload`]. If their content has
    /// changed, new handshakes use the new certificate. Open connections continue. If the new pair cannot be used, the former stays in
    /// use and a warning is logged. A change of symbolic links, as certbot makes it, is a change of content.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or the pair cannot be used. An expired certificate is no error: it is logged.
    pub fn files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        let (chain, key) = (chain.as_ref().to_owned(), key.as_ref().to_owned());
        let pair = Pair::read(&chain, &key)?;
        let digest = pair.digest();
        let mut tls = Self::of(pair)?;
        tls.watched = Some(Arc::new(Watched::new(chain, key, digest)));
        Ok(tls)
    }

    /// The same from memory. [`Tls::replace`] changes the certificate later.
    ///
    /// # Errors
    ///
    /// If the pair cannot be used.
    pub fn pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Self::of(Pair::given(chain, key))
    }

    /// A configuration of rustls, for client certificates, several names (SNI) or another provider of cryptography.
    ///
    /// Two settings are replaced: the protocol of ALPN is `http/1.1`, and 0-RTT is off. [`Tls::reload`] and [`Tls::replace`] have no
    /// effect: use a resolver of your own.
    pub fn rustls(config: Arc<ServerConfig>) -> Self {
        let mut config = Arc::unwrap_or_clone(config);
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        config.max_early_data_size = 0;
        Self { config: Arc::new(config), slot: None, watched: None, interval: CHECK }
    }

    fn of(pair: Pair) -> Result<Self, TlsError> {
        let certificate = pair.parse()?;
        watch::warn_if_expired(certificate.expires);
        let slot = Arc::new(Slot::new(certificate));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has cipher suites for TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(slot.clone());
        // Tickets need no memory for each client. rustls' default remembers 256 clients.
        config.ticketer = ring::Ticketer::new().map_err(|_| TlsError::Random)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self { slot: Some(slot), ..Self::rustls(Arc::new(config)) })
    }

    /// Interval at which a running server reads the files again. Default: 60 s, at least 100 ms. `Duration::MAX`: only
    /// [`Tls::reload`] does.
    pub fn check_every(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Reads the files again now, for example at SIGHUP. Blocks the thread while it reads two small files.
    ///
    /// # Errors
    ///
    /// If the pair cannot be used: the former stays in use. [`TlsError::NoFiles`] without files.
    pub fn reload(&self) -> Result<(), TlsError> {
        let (Some(slot), Some(watched)) = (&self.slot, &self.watched) else { return Err(TlsError::NoFiles) };
        watched.reload(slot)
    }

    /// Uses another certificate from memory in new handshakes. If the first came from files, a later change of the files replaces it
    /// again.
    ///
    /// # Errors
    ///
    /// If the pair cannot be used: the former stays in use. [`TlsError::OwnConfig`] after [`Tls::rustls`].
    pub fn replace(&self, chain: &[u8], key: &[u8]) -> Result<(), TlsError> {
        let Some(slot) = &self.slot else { return Err(TlsError::OwnConfig) };
        let certificate = Pair::given(chain, key).parse()?;
        watch::put(slot, certificate);
        Ok(())
    }

    /// The end of the validity of the certificate in use, for a health check. `None` after [`Tls::rustls`], or if the certificate is
    /// not understood.
    pub fn expires(&self) -> Option<SystemTime> {
        let seconds = self.slot.as_ref()?.expires()?;
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }

    /// Performs the server's side of a handshake.
    pub(super) fn handshake(
        &self,
        transport: Transport,
        activity: Arc<Activity>,
    ) -> impl Future<Output = Result<Box<TlsStream>, HandshakeError>> + Send + use<> {
        handshake::handshake(self.config.clone(), transport, activity)
    }

    /// Reads the files again and again. Never ready.
    pub(super) async fn watch(self) {
        match (self.slot, self.watched) {
            (Some(slot), Some(watched)) => watch::watch(slot, watched, self.interval).await,
            _ => std::future::pending().await,
        }
    }
}

/// Default of [`Tls::check_every`].
const CHECK: Duration = Duration::from_secs(60);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Option<(&PathBuf, &PathBuf)> = self.watched.as_ref().map(|watched| watched.files());
        f.debug_struct("Tls").field("files", &files).field("expires", &self.expires()).finish_non_exhaustive()
    }
}

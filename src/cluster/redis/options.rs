use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::connection::Times;
use super::queue::Bound;
use super::url;
use crate::cluster::tls::Tls;
use crate::log::Retention;

/// Settings of [`Redis`](super::Redis).
#[derive(Clone)]
#[must_use]
pub struct RedisOptions {
    pub(super) prefix: String,
    pub(super) retention: Retention,
    pub(super) connect_timeout: Duration,
    pub(super) times: Times,
    pub(super) bound: Bound,
    pub(super) sentinel: url::Login,
    pub(super) tls: Tls,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            prefix: "keywire".into(),
            retention: Retention::default(),
            connect_timeout: Duration::from_secs(5),
            times: Times { response: Duration::from_secs(3), probe: Duration::from_secs(10) },
            bound: Bound { messages: 65_536, bytes: 64 * 1024 * 1024 },
            sentinel: url::Login::default(),
            tls: Tls::default(),
        }
    }
}

impl RedisOptions {
    /// The beginning of all names in Redis. All nodes of a cluster have the same. Default: `keywire`. At most 64 visible ASCII
    /// characters without braces.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Limits of the log for each key. All nodes of a cluster have the same. Default: [`Retention::default`].
    ///
    /// Entries that are too old are never returned, and their memory is freed by the next append or read of the key, at the latest
    /// after [`Retention::mark`]. At least 1,000 and at most 10,000 ids of [`KeptPush::once`](crate::message::KeptPush::once) are
    /// remembered for each key.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Timeout for an attempt to connect. Default: 5 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Timeout for the answer to a command. A connection without an answer for this long is replaced. Default: 3 s. It should be
    /// less than [`Config::store_timeout`](crate::Config::store_timeout).
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.times.response = timeout;
        self
    }

    /// How long a connection may be idle before it is probed. Default: 10 s. A connection that breaks without a sign is noticed
    /// after this time and [`RedisOptions::response_timeout`].
    pub fn probe_interval(mut self, interval: Duration) -> Self {
        self.times.probe = interval;
        self
    }

    /// Limit for messages from other nodes that wait for this node, in number and in bytes. Default: 65,536 messages, 64 MiB.
    /// Beyond the limit messages are dropped, and the node reads the logs of its followers again.
    pub fn queue(mut self, messages: usize, bytes: usize) -> Self {
        self.bound = Bound { messages, bytes };
        self
    }

    /// Trusts servers whose certificates are of these authorities, and not those of the system: a file with one or more certificates
    /// in PEM. It is read by `connect`. It needs a URL with TLS.
    pub fn ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.tls.trust(file.into());
        self
    }

    /// Shows this certificate to a server that wants to know its clients: a file with the certificate and its chain, and one with
    /// its private key, both in PEM.
    pub fn client_certificate(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls.identify(chain.into(), key.into());
        self
    }

    /// User and password for Sentinels, if they want them. The user may be empty. The user and password of the URL are for the
    /// servers that the Sentinels name.
    pub fn sentinel_login(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        let user = Some(user.into()).filter(|user| !user.is_empty());
        self.sentinel = url::Login { user, password: Some(password.into()) };
        self
    }
}

impl fmt::Debug for RedisOptions {
    /// Omits passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("prefix", &self.prefix)
            .field("retention", &self.retention)
            .field("connect_timeout", &self.connect_timeout)
            .field("response_timeout", &self.times.response)
            .field("probe_interval", &self.times.probe)
            .finish_non_exhaustive()
    }
}

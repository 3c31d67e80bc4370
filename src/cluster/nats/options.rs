use std::path::PathBuf;
use std::time::Duration;

use super::NatsError;
use super::events::Bounds;
use crate::cluster::tls::Tls;
use crate::log::Retention;

/// Settings of [`Nats`](super::Nats).
///
/// ```no_run
/// use keywire::cluster::{Nats, NatsStorage};
///
/// # async fn example() -> Result<(), keywire::cluster::NatsError> {
/// let nats = Nats::options().prefix("shop").replicas(3).connect("nats://one,nats://two,nats://three").await?;
/// # let _ = (nats, NatsStorage::File);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct NatsOptions {
    pub(super) prefix: String,
    pub(super) log: Option<Retention>,
    pub(super) presence: bool,
    pub(super) replicas: usize,
    pub(super) storage: NatsStorage,
    pub(super) log_bytes: Option<u64>,
    pub(super) timeout: Duration,
    pub(super) bounds: Bounds,
    pub(super) tls: Tls,
}

/// Where JetStream stores the log and presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum NatsStorage {
    /// In files: they survive a restart of the server.
    #[default]
    File,
    /// In memory: a restart of the only server empties them, and pages that follow get the gap `Reset`.
    Memory,
}

impl NatsStorage {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Memory => "memory",
        }
    }
}

impl Default for NatsOptions {
    fn default() -> Self {
        Self {
            prefix: "keywire".into(),
            log: Some(Retention::default()),
            presence: true,
            replicas: 1,
            storage: NatsStorage::default(),
            log_bytes: None,
            timeout: Duration::from_secs(5),
            bounds: Bounds::default(),
            tls: Tls::default(),
        }
    }
}

impl NatsOptions {
    /// First part of all subjects, and of the names of streams: letters, digits, `-` and `_`. Nodes with the same prefix are one
    /// cluster. Default: `keywire`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Limits of the log for each key. All nodes must have the same: those of the node that connects last apply. Default:
    /// [`Retention::default`].
    pub fn retention(mut self, retention: Retention) -> Self {
        self.log = Some(retention);
        self
    }

    /// Limit for the stream of the log, in bytes on disk. Beyond it the oldest entries of all keys are removed. JetStream reserves
    /// this much, and refuses what it does not have. Default: no limit but the server's own.
    pub fn log_bytes(mut self, bytes: u64) -> Self {
        self.log_bytes = Some(bytes);
        self
    }

    /// Without a log.
    pub fn without_log(mut self) -> Self {
        self.log = None;
        self
    }

    /// Without presence.
    pub fn without_presence(mut self) -> Self {
        self.presence = false;
        self
    }

    /// Servers of a NATS cluster that store the log and presence: 1, 3 or 5. Default: 1.
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// Where JetStream stores the log and presence. An existing stream keeps its own. Default: [`NatsStorage::File`].
    pub fn storage(mut self, storage: NatsStorage) -> Self {
        self.storage = storage;
        self
    }

    /// Longest time to wait for an answer of the server. Default: 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Messages of other nodes that wait for this one at most, and their bytes. Beyond that they are dropped, and reported as an
    /// interruption. Default: 65,536 messages and 32 MiB.
    pub fn queue(mut self, messages: usize, bytes: usize) -> Self {
        self.bounds = Bounds { messages, bytes };
        self
    }

    /// Trusts servers whose certificates are of these authorities, and not those of the system: a file with one or more certificates
    /// in PEM. It is read at each attempt to connect. All connections then use TLS.
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

    pub(super) fn check(&self) -> Result<(), NatsError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if self.prefix.is_empty() || self.prefix.len() > 64 || !self.prefix.chars().all(is_plain) {
            return Err(NatsError::Settings("the prefix must be 1 to 64 letters, digits, `-` and `_`"));
        }
        if !matches!(self.replicas, 1 | 3 | 5) {
            return Err(NatsError::Settings("the replicas must be 1, 3 or 5"));
        }
        Ok(())
    }
}

//! A cluster on NATS.

mod client;
mod dial;
mod error;
mod events;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod headers;
mod jetstream;
mod keep;
mod log;
mod options;
mod presence;
mod server;
mod state;
mod subject;
mod version;
mod wire;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use self::client::Client;
pub use self::error::NatsError;
pub use self::log::NatsLog;
pub use self::options::{NatsOptions, NatsStorage};
pub use self::presence::NatsPresence;
use super::{Backplane, BackplaneError, Cluster, Event, NodeId, Topic};

/// A cluster on NATS: messages between nodes by its core, the log and presence by JetStream. Clones share one connection.
///
/// Connect once for each hub: two hubs that share a node's id take each other's messages for their own.
///
/// ```no_run
/// use keywire::cluster::Nats;
///
/// # async fn example() -> Result<(), keywire::cluster::NatsError> {
/// let nats = Nats::connect("nats://127.0.0.1:4222").await?;
/// println!("this is node {}", nats.node());
/// # Ok(())
/// # }
/// ```
///
/// # Server
///
/// nats-server 2.10 or newer, tested from 2.10.25 to 2.15.1. 2.11 and newer return many entries of the log in one answer. The log and
/// presence need JetStream (`-js`) and are on by default: [`NatsOptions::without_log`] and [`NatsOptions::without_presence`] do
/// without it. Their streams are created if they are missing, also after a server has lost its data.
///
/// A user with permissions needs to publish to `{prefix}.>`, to subscribe to `{prefix}.t.>` and `_INBOX.>`, and to use parts of
/// `$JS.API.>`: docs/cluster.md has the list. Nodes trust all messages with a subject of `{prefix}.>`, so no other program may publish
/// there.
///
/// # URL
///
/// `nats://host:4222` or `tls://host:4222`, with `user:password@` or `token@` before the host, percent-encoded. Several servers of a
/// NATS cluster are separated by commas; credentials count for the servers after them too. `tls://` accepts certificates of the
/// system's authorities, which the variable `SSL_CERT_FILE` or [`NatsOptions::ca_file`] replaces. A server that demands TLS gets it for `nats://` as well.
/// NKeys and credential files are not supported.
///
/// # Connection
///
/// One connection carries everything. It is probed every 10 s, so a server that says nothing is left after 10 to 20 s. It connects
/// again without end. While it is away, publishing fails at once and nothing is buffered. A subscription takes about 100 bytes.
///
/// Each message is confirmed by the server before [`publish`](Backplane::publish) returns. Messages of other nodes wait in a bounded
/// queue, see [`NatsOptions::queue`].
///
/// Dropping the last clone, and the last [`NatsLog`] and [`NatsPresence`] of it, ends the connection.
#[derive(Clone)]
pub struct Nats(Arc<Inner>);

struct Inner {
    client: Arc<Client>,
    node: NodeId,
    log: Option<NatsLog>,
    presence: Option<NatsPresence>,
}

impl Nats {
    /// Connects with default settings, see [`Nats::options`].
    ///
    /// # Errors
    ///
    /// If no server can be reached or accepts the credentials.
    pub async fn connect(url: &str) -> Result<Self, NatsError> {
        Self::options().connect(url).await
    }

    /// Settings, to connect with.
    pub fn options() -> NatsOptions {
        NatsOptions::default()
    }

    /// The id of this node, which its entries of the log name.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.0.node
    }

    /// The log of kept pushes. `None` after [`NatsOptions::without_log`].
    #[must_use]
    pub fn log(&self) -> Option<NatsLog> {
        self.0.log.clone()
    }

    /// The record of the keys that are online. `None` after [`NatsOptions::without_presence`].
    #[must_use]
    pub fn presence(&self) -> Option<NatsPresence> {
        self.0.presence.clone()
    }

    async fn with(options: NatsOptions, url: &str) -> Result<Self, NatsError> {
        options.check()?;
        let node = NodeId::random();
        let inbox = format!("_INBOX.{node}{}.", NodeId::random());
        let servers = server::parse(url)?;
        let client = Client::connect(
            servers,
            &options.prefix,
            inbox,
            options.timeout,
            options.bounds,
            options.tls.clone(),
        )
        .await?;
        let client = Arc::new(client);
        if options.log.is_some() || options.presence {
            jetstream::check(&client).await?;
            let info = client.info().ok_or(NatsError::Disconnected)?;
            version::check(&info.version)?;
        }
        let log = match options.log {
            Some(retention) => Some(NatsLog::open(&client, &options, retention, node).await?),
            None => None,
        };
        let presence = match options.presence {
            true => Some(NatsPresence::open(&client, &options).await?),
            false => None,
        };
        Ok(Self(Arc::new(Inner { client, node, log, presence })))
    }
}

impl NatsOptions {
    /// Connects, see [`Nats::connect`].
    ///
    /// # Errors
    ///
    /// As [`Nats::connect`].
    pub async fn connect(self, url: &str) -> Result<Nats, NatsError> {
        Nats::with(self, url).await
    }
}

#[async_trait]
impl Backplane for Nats {
    async fn publish(&self, topic: &Topic, message: Bytes) -> Result<(), BackplaneError> {
        self.0.client.publish(topic, &message).await.map_err(BackplaneError::new)
    }

    async fn subscribe(&self, topic: &Topic) -> Result<(), BackplaneError> {
        self.0.client.subscribe(topic).await.map_err(BackplaneError::new)
    }

    async fn unsubscribe(&self, topic: &Topic) {
        self.0.client.unsubscribe(topic);
    }

    async fn next(&self) -> Event {
        self.0.client.next_event().await
    }
}

/// Backplane, and log and presence unless the options leave them out.
impl From<Nats> for Cluster {
    fn from(nats: Nats) -> Self {
        let (log, presence) = (nats.log(), nats.presence());
        let mut cluster = Self::new(nats.clone()).node(nats.node());
        if let Some(log) = log {
            cluster = cluster.log(log);
        }
        if let Some(presence) = presence {
            cluster = cluster.presence(presence);
        }
        cluster
    }
}

/// Without the address and the credentials.
impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").field("node", &self.0.node).finish_non_exhaustive()
    }
}

//! Redis and Valkey.

mod backoff;
mod backplane;
mod commands;
mod connection;
mod desired;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod link;
mod log;
mod names;
mod options;
mod presence;
mod queue;
mod resp;
mod sentinel;
mod shards;
mod source;
mod subscriber;
mod subscriptions;
mod task;
mod tickets;
mod topology;
mod url;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use self::commands::Commands;
use self::connection::Connection;
pub use self::error::RedisError;
use self::link::Access;
use self::log::Scripts;
use self::names::Names;
pub use self::options::RedisOptions;
use self::presence::Leases;
use self::queue::Queue;
use self::sentinel::Sentinels;
use self::shards::Shards;
use self::source::{Place, Source};
use self::subscriber::Subscriber;
use self::subscriptions::Subscriptions;
use self::url::{Deployment, Target};
use crate::cluster::form::announcement;
use crate::cluster::{Cluster, NodeId};
use crate::log::Retention;

/// A cluster on Redis or Valkey, version 6.2 or later: backplane, log, presence and tickets.
///
/// ```no_run
/// use keywire::cluster::{Redis, RedisError};
///
/// # async fn example() -> Result<(), RedisError> {
/// let redis = Redis::connect("redis://:password@localhost").await?;
/// # drop(redis);
/// # Ok(())
/// # }
/// ```
///
/// Connect once for each hub: two hubs that share a node's id take each other's messages for their own.
///
/// A clone shares the connections: one for commands, and one for subscriptions. Both are probed while they are idle, and come back by
/// themselves, without end. While the connection for commands is away, calls fail at once, and the node is interrupted.
///
/// # URLs
///
/// | | |
/// |---|---|
/// | `redis://user:password@host:6379/0` | a server; `valkey://` is the same |
/// | `rediss://…` | with TLS, and the certificate authorities of the system or of [`RedisOptions::ca_file`] |
/// | `unix:///run/redis.sock?db=0` | a server on this machine |
/// | `redis+cluster://user:password@host,host` | a Redis Cluster, version 7 or later; some of its nodes are enough |
/// | `redis+sentinel://user:password@host,host/master` | the master that Sentinels know by this name |
///
/// A password is percent-encoded. It is not logged and not in errors.
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
}

struct Shared {
    node: NodeId,
    names: Names,
    commands: Commands,
    subscriptions: Subscriptions,
    log: Scripts,
    /// The head of the message with which the log announces an entry of this node.
    announcement: Bytes,
    retention: Retention,
    leases: Leases,
    queue: Arc<Queue>,
    servers: String,
}

impl Redis {
    /// Connects, with default settings.
    ///
    /// # Errors
    ///
    /// If the URL is not valid, or the server cannot be reached, wants another login, is not Redis, is older than 6.2 or is a
    /// replica.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn connect(url: impl AsRef<str>) -> Result<Self, RedisError> {
        Self::options().connect(url).await
    }

    /// Settings to connect with.
    ///
    /// ```no_run
    /// use keywire::cluster::{Redis, RedisError};
    ///
    /// # async fn example() -> Result<(), RedisError> {
    /// let redis = Redis::options().prefix("shop").connect("redis://localhost").await?;
    /// # drop(redis);
    /// # Ok(())
    /// # }
    /// ```
    pub fn options() -> RedisOptions {
        RedisOptions::default()
    }

    /// The id of this node: drawn when it connected, and shared by clones.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.shared.node
    }
}

impl RedisOptions {
    /// Connects, see [`Redis::connect`].
    ///
    /// # Errors
    ///
    /// As [`Redis::connect`].
    pub async fn connect(self, url: impl AsRef<str>) -> Result<Redis, RedisError> {
        let target = Target::parse(url.as_ref())?;
        let names = Names::new(&self.prefix)?;
        let queue = Arc::new(Queue::new(self.bound));
        let servers: Vec<_> = target.servers.iter().map(ToString::to_string).collect();
        let sharded = target.deployment == Deployment::Cluster;
        let (commands, subscriptions) = open(target, &self, &names, &queue).await?;
        let node = NodeId::random();
        let shared = Shared {
            node,
            log: Scripts::new(&self.retention, sharded),
            announcement: announcement(node),
            retention: self.retention,
            leases: Leases::default(),
            names,
            commands,
            subscriptions,
            queue,
            servers: servers.join(","),
        };
        Ok(Redis { shared: Arc::new(shared) })
    }
}

/// Backplane, log and presence.
impl From<Redis> for Cluster {
    fn from(redis: Redis) -> Self {
        let node = redis.node();
        Self::new(redis.clone()).node(node).log(redis.clone()).presence(redis)
    }
}

/// Opens the connections.
async fn open(
    target: Target,
    options: &RedisOptions,
    names: &Names,
    queue: &Arc<Queue>,
) -> Result<(Commands, Subscriptions), RedisError> {
    let access = Access::new(&target, &options.tls, options.connect_timeout)?;
    let (names, queue, times) = (names.clone(), Arc::clone(queue), options.times);
    let mut servers = target.servers;
    let place = match target.deployment {
        Deployment::Cluster => {
            let stale = Arc::default();
            let settings = shards::Settings { access, times, names, queue, seeds: servers, stale };
            let shards = Arc::new(Shards::connect(settings).await?);
            return Ok((Commands::Cluster(Arc::clone(&shards)), Subscriptions::Cluster(shards)));
        }
        Deployment::Single => Place::Server(servers.swap_remove(0)),
        Deployment::Sentinel(service) => {
            Place::Sentinels(Arc::new(Sentinels { servers, service, login: options.sentinel.clone() }))
        }
    };
    let source = Source::new(access, place);
    let commands = Connection::start(source.open().await?, source.clone(), Arc::clone(&queue), times);
    let link = source.open().await?;
    let subscriber = Subscriber::start(link, source, names, queue, times, None);
    Ok((Commands::Single(commands), Subscriptions::Single(subscriber)))
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("node", &self.shared.node)
            .field("servers", &self.shared.servers)
            .finish_non_exhaustive()
    }
}

//! Redis Cluster: which node has what, and connections to all masters.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use super::connection::{Connection, Times};
use super::error::{CallError, RedisError};
use super::link::{Access, Mode};
use super::names::{Names, Partition};
use super::queue::Queue;
use super::resp::Value;
use super::source::{Place, Source};
use super::subscriber::Subscriber;
use super::task::Task;
use super::topology::{Topology, redirection};
use super::url::Endpoint;
use crate::cluster::Topic;

/// Connections to the masters of a Redis Cluster.
pub(super) struct Shards {
    shared: Arc<Shared>,
    _task: Task,
}

struct Shared {
    settings: Settings,
    nodes: RwLock<Nodes>,
}

pub(super) struct Settings {
    pub(super) access: Access,
    pub(super) times: Times,
    pub(super) names: Names,
    pub(super) queue: Arc<Queue>,
    /// The nodes that the URL names.
    pub(super) seeds: Vec<Endpoint>,
    /// The topology may have changed.
    pub(super) stale: Arc<Notify>,
}

struct Nodes {
    topology: Topology,
    connections: HashMap<Endpoint, Arc<Connection>>,
    subscribers: HashMap<Endpoint, Arc<Subscriber>>,
}

/// Redirections of one command.
const REDIRECTIONS: u32 = 6;
/// Shortest time between two looks at the topology.
const PAUSE: Duration = Duration::from_millis(100);

impl Shards {
    pub(super) async fn connect(settings: Settings) -> Result<Self, RedisError> {
        let topology = settings.discover(&settings.seeds).await?;
        let mut nodes = Nodes { topology, connections: HashMap::new(), subscribers: HashMap::new() };
        for server in nodes.topology.masters() {
            nodes.connections.insert(server.clone(), settings.connection(&server).await?);
            nodes.subscribers.insert(server.clone(), settings.subscriber(&server).await?);
        }
        let shared = Arc::new(Shared { settings, nodes: nodes.into() });
        let _task = Task::spawn(follow(Arc::clone(&shared)));
        Ok(Self { shared, _task })
    }

    /// Sends a command to the master of the partition, and to where that redirects it.
    pub(super) async fn call(&self, partition: Partition, command: Bytes) -> Result<Value, CallError> {
        let mut server = self.shared.nodes().topology.master(partition).clone();
        let mut asking = false;
        let mut attempt = 0;
        loop {
            let connection = self.shared.connection(&server).await?;
            let error = match connection.send(command.clone(), asking).await {
                Err(error) => error,
                answer => return answer,
            };
            attempt += 1;
            let code = error.code().filter(|_| attempt < REDIRECTIONS);
            match (code, &error) {
                (Some(code @ ("MOVED" | "ASK")), CallError::Refused(answer)) => {
                    asking = code == "ASK";
                    let Some(other) = redirection(answer, &server) else { return Err(error) };
                    server = other;
                }
                // Some keys of the command are on their way to another node.
                (Some("TRYAGAIN"), _) => tokio::time::sleep(PAUSE / 4 * attempt).await,
                _ => {
                    self.shared.settings.stale.notify_one();
                    return Err(error);
                }
            }
            if !asking {
                self.shared.settings.stale.notify_one();
            }
        }
    }

    pub(super) async fn subscribe(&self, topic: &Topic) -> Result<(), CallError> {
        // Asked for under the lock, so that the topic is not missed when its partition moves.
        let confirmed = self.shared.nodes().subscriber(topic)?.subscribe(topic);
        let confirmed = confirmed.await;
        if confirmed.is_err() {
            self.shared.settings.stale.notify_one();
        }
        confirmed
    }

    pub(super) fn unsubscribe(&self, topic: &Topic) {
        if let Ok(subscriber) = self.shared.nodes().subscriber(topic) {
            subscriber.unsubscribe(topic);
        }
    }
}

impl Nodes {
    fn subscriber(&self, topic: &Topic) -> Result<&Arc<Subscriber>, CallError> {
        let server = self.topology.master(Partition::of_topic(topic));
        let unknown = || CallError::Away("the node is not known yet".into());
        self.subscribers.get(server).ok_or_else(unknown)
    }
}

impl Settings {
    fn source(&self, server: &Endpoint) -> Source {
        Source::new(self.access.clone(), Place::Node(server.clone()))
    }

    async fn connection(&self, server: &Endpoint) -> Result<Arc<Connection>, RedisError> {
        let source = self.source(server);
        Ok(Arc::new(Connection::start(source.open().await?, source, Arc::clone(&self.queue), self.times)))
    }

    async fn subscriber(&self, server: &Endpoint) -> Result<Arc<Subscriber>, RedisError> {
        let source = self.source(server);
        let (link, names, queue) = (source.open().await?, self.names.clone(), Arc::clone(&self.queue));
        let stale = Some(Arc::clone(&self.stale));
        Ok(Arc::new(Subscriber::start(link, source, names, queue, self.times, stale)))
    }

    /// Asks these nodes one after the other for the topology.
    async fn discover(&self, servers: &[Endpoint]) -> Result<Topology, RedisError> {
        let mut failed = None;
        for server in servers {
            let ask = async {
                let mut link = self.access.open(server, Mode::Cluster).await?;
                // A node that is cut off from the others has an old view.
                let info = link.ask(&[b"CLUSTER", b"INFO"]).await?;
                let is_well = info.as_str().is_some_and(|info| info.contains("cluster_state:ok"));
                let slots = link.ask(&[b"CLUSTER", b"SLOTS"]).await?;
                let topology = Topology::parse(slots, server).filter(|_| is_well);
                let why = "is a node of a cluster that is not complete";
                topology.ok_or_else(|| RedisError::Deployment { server: server.to_string(), why })
            };
            match tokio::time::timeout(self.times.response, ask).await {
                Ok(Ok(topology)) => return Ok(topology),
                Ok(Err(error)) => failed = failed.or(Some(error)),
                Err(late) => failed = failed.or(Some(RedisError::unreachable(server, late))),
            }
        }
        Err(failed.unwrap_or(RedisError::Url("it names no server")))
    }
}

impl Shared {
    fn nodes(&self) -> RwLockReadGuard<'_, Nodes> {
        // A poisoned lock is safe to use: no panic can interrupt a change.
        self.nodes.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection to a node, which may be new to us.
    async fn connection(&self, server: &Endpoint) -> Result<Arc<Connection>, CallError> {
        if let Some(connection) = self.nodes().connections.get(server) {
            return Ok(Arc::clone(connection));
        }
        let opened = self.settings.connection(server).await;
        let opened = opened.map_err(|error| CallError::Away(error.to_string().into()))?;
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(nodes.connections.entry(server.clone()).or_insert(opened)))
    }

    /// Looks at the topology, and moves the subscriptions whose masters have changed.
    async fn refresh(&self) -> Result<(), RedisError> {
        let mut known = self.nodes().topology.masters();
        known.extend(self.settings.seeds.iter().cloned());
        let topology = self.settings.discover(&known).await?;
        let masters = topology.masters();
        let mut opened = Vec::new();
        for server in &masters {
            let [connection, subscriber] = {
                let nodes = self.nodes();
                [nodes.connections.contains_key(server), nodes.subscribers.contains_key(server)]
            };
            let connection = if connection { None } else { Some(self.settings.connection(server).await?) };
            let subscriber = if subscriber { None } else { Some(self.settings.subscriber(server).await?) };
            opened.push((server, connection, subscriber));
        }
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        for (server, connection, subscriber) in opened {
            if let Some(connection) = connection {
                nodes.connections.entry(server.clone()).or_insert(connection);
            }
            nodes.subscribers.extend(subscriber.map(|subscriber| (server.clone(), subscriber)));
        }
        if nodes.topology != topology {
            tracing::info!("Redis: the topology of the cluster has changed");
        }
        for (server, subscriber) in &nodes.subscribers {
            let moved = subscriber.topics(|topic| topology.master(Partition::of_topic(topic)) != server);
            for topic in moved {
                // First the new one: otherwise the node could be restored in between.
                if let Some(other) = nodes.subscribers.get(topology.master(Partition::of_topic(&topic))) {
                    other.adopt(&topic);
                }
                subscriber.unsubscribe(&topic);
            }
            subscriber.retry();
        }
        nodes.topology = topology;
        nodes.connections.retain(|server, _| masters.contains(server));
        nodes.subscribers.retain(|server, _| masters.contains(server));
        Ok(())
    }
}

/// Follows the topology: when something hints at a change, and from time to time.
async fn follow(shared: Arc<Shared>) {
    loop {
        // Without a hint, from time to time.
        let _ = tokio::time::timeout(shared.settings.times.probe, shared.settings.stale.notified()).await;
        if let Err(error) = shared.refresh().await {
            tracing::warn!(%error, "Redis: the topology of the cluster is not known");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

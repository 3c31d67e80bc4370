use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

use super::error::RedisError;
use super::link::{Access, Link, Mode};
use super::sentinel::Sentinels;
use super::url::Endpoint;

/// Where a server is found, at every attempt to connect.
#[derive(Clone)]
pub(super) struct Source {
    access: Access,
    place: Place,
    /// The address of the server that the connection for commands has.
    commands: Arc<watch::Sender<Option<SocketAddr>>>,
}

#[derive(Clone)]
pub(super) enum Place {
    /// A server at an address. Its name is resolved at every attempt.
    Server(Endpoint),
    /// A node of a Redis Cluster.
    Node(Endpoint),
    /// The server that is the master now.
    Sentinels(Arc<Sentinels>),
}

impl Source {
    pub(super) fn new(access: Access, place: Place) -> Self {
        Self { access, place, commands: Arc::new(watch::Sender::new(None)) }
    }

    pub(super) async fn open(&self) -> Result<Link, RedisError> {
        match &self.place {
            Place::Server(server) => self.access.open(server, Mode::Standalone).await,
            Place::Node(node) => self.access.open(node, Mode::Cluster).await,
            Place::Sentinels(sentinels) => sentinels.open(&self.access).await,
        }
    }

    /// The connection for commands is made, perhaps to another server than before: subscriptions must not stay with the old one.
    pub(super) fn commands_are_at(&self, server: Option<SocketAddr>) {
        self.commands.send_replace(server);
    }

    pub(super) fn commands_at(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.commands.subscribe()
    }
}

use super::error::RedisError;
use super::link::{Access, Link, Mode};
use super::url::Endpoint;

/// Where a server is found, at every attempt to connect.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) access: Access,
    pub(super) place: Place,
}

#[derive(Clone)]
pub(super) enum Place {
    /// A server at an address. Its name is resolved at every attempt.
    Server(Endpoint),
}

impl Source {
    pub(super) async fn open(&self) -> Result<Link, RedisError> {
        match &self.place {
            Place::Server(server) => self.access.open(server, Mode::Standalone).await,
        }
    }
}

//! Endpoints that the server answers itself, ahead of the application's service.

use std::sync::Arc;

use http::Request;

use crate::handshake::Handshake;
use crate::hub::Hub;
use crate::path_key::PathKey;
use crate::peer::PeerAddr;

/// The endpoints of a server.
#[derive(Clone, Default)]
pub(super) struct Endpoints(Arc<[(Box<str>, Hub)]>);

impl Endpoints {
    pub(super) fn add(&mut self, path: &str, hub: &Hub) {
        let more = (path.into(), hub.clone());
        self.0 = self.0.iter().cloned().chain([more]).collect();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The hub of this path, and the key in the path.
    pub(super) fn of(&self, path: &str) -> Option<(&Hub, PathKey)> {
        self.0.iter().find_map(|(endpoint, hub)| Some((hub, PathKey::at(endpoint, path)?)))
    }
}

/// The same head for a request that hyper has read and for one that the server reads itself.
pub(super) fn handshake(head: Request<()>, key: PathKey, peer: Option<PeerAddr>) -> Handshake {
    let handshake = Handshake::new(head).with_path_key(key);
    match peer {
        Some(PeerAddr(peer)) => handshake.with_peer(peer),
        None => handshake,
    }
}

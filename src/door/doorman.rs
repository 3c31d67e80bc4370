use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Door;
use super::places::Places;
use super::rate::Rates;
use crate::rejection::Rejection;

/// Keeps the limits of a [`Door`].
#[derive(Debug)]
pub(crate) struct Doorman {
    rates: Option<Rates>,
    places: Places,
    farewells: Arc<Semaphore>,
}

/// So many at a time are let in only to be told by a close code why not. Each takes a connection for up to
/// `Config::close_timeout`, and no limit counts it as a session.
const FAREWELLS: usize = 1024;

impl Doorman {
    pub(crate) fn new(door: &Door) -> Self {
        Self {
            rates: door.handshakes_per_address.map(Rates::new),
            places: Places::new(door.sessions, door.sessions_per_address),
            farewells: Arc::new(Semaphore::new(FAREWELLS)),
        }
    }

    /// Counts an opening.
    pub(crate) fn knock(&self, peer: Option<SocketAddr>) -> Result<(), Rejection> {
        match (&self.rates, peer) {
            (Some(rates), Some(peer)) if !rates.allow(peer.into()) => Err(Rejection::Throttled),
            _ => Ok(()),
        }
    }

    /// Takes a place for a session of `peer`, before a credential is looked at: that may take long, or be in vain.
    pub(crate) fn seat(&self, peer: Option<SocketAddr>) -> Result<(), Rejection> {
        self.places.take(peer.map(Into::into))
    }

    /// Gives it back.
    pub(crate) fn unseat(&self, peer: Option<SocketAddr>) {
        self.places.leave(peer.map(Into::into));
    }

    /// For a connection that is opened only to be refused, as long as it lasts. None if there are too many.
    pub(crate) fn farewell(&self) -> Option<OwnedSemaphorePermit> {
        self.farewells.clone().try_acquire_owned().ok()
    }
}

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Door;
use super::address::Address;
use super::places::Places;
use super::rate::Rates;
use crate::rejection::Rejection;

/// Keeps the limits of a [`Door`].
#[derive(Debug)]
pub(crate) struct Doorman {
    rates: Option<Rates>,
    places: Places,
    /// Whether an address that is missing is one that a proxy does not tell.
    has_proxies: bool,
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
            has_proxies: door.proxies.are_named(),
            farewells: Arc::new(Semaphore::new(FAREWELLS)),
        }
    }

    /// Counts an opening.
    pub(crate) fn knock(&self, peer: Option<SocketAddr>) -> Result<(), Rejection> {
        match (&self.rates, self.address(peer)) {
            (Some(rates), Some(address)) if !rates.allow(address) => Err(Rejection::Throttled),
            _ => Ok(()),
        }
    }

    /// Takes a place for a session of `peer`, before a credential is looked at: that may take long, or be in vain.
    pub(crate) fn seat(&self, peer: Option<SocketAddr>) -> Result<(), Rejection> {
        self.places.take(self.address(peer))
    }

    /// Gives it back.
    pub(crate) fn unseat(&self, peer: Option<SocketAddr>) {
        self.places.leave(self.address(peer));
    }

    /// What the limits count. Clients whose address a proxy does not tell count as one address together: else to hide
    /// would be the way around the limits.
    fn address(&self, peer: Option<SocketAddr>) -> Option<Address> {
        let unknown = self.has_proxies.then_some(Address::UNKNOWN);
        peer.map(Address::from).or(unknown)
    }

    /// For a connection that is opened only to be refused, as long as it lasts. None if there are too many.
    pub(crate) fn farewell(&self) -> Option<OwnedSemaphorePermit> {
        self.farewells.clone().try_acquire_owned().ok()
    }
}

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Limits;
use super::address::Address;
use super::rate::AddressRates;
use super::session_quota::SessionQuota;
use crate::rejection::Rejection;

/// Enforces [`Limits`].
#[derive(Debug)]
pub(crate) struct Admission {
    rates: Option<AddressRates>,
    sessions: SessionQuota,
    /// Whether a missing address is one that a proxy hides.
    has_proxies: bool,
    refusals: Arc<Semaphore>,
}

/// Number of connections that are open only to carry a refusal as a close code. Each lasts for up to
/// `Config::close_timeout`, and the limits on sessions do not count it.
const REFUSALS: usize = 1024;

/// A permit for a connection that is opened only to be refused. Returned on drop.
#[derive(Debug)]
pub(crate) struct RefusalPermit {
    _permit: OwnedSemaphorePermit,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            rates: limits.handshakes_per_address.map(AddressRates::new),
            sessions: SessionQuota::new(limits.sessions, limits.sessions_per_address),
            has_proxies: limits.proxies.are_named(),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
        }
    }

    /// Counts an opening against the rate of its address.
    pub(crate) fn check_rate(&self, peer: Option<SocketAddr>) -> Result<(), Rejection> {
        match (&self.rates, self.address(peer)) {
            (Some(rates), Some(address)) if !rates.allow(address) => Err(Rejection::Throttled),
            _ => Ok(()),
        }
    }

    /// Acquires a permit for a session of `peer`. Called before the credential is checked, which may take long or fail.
    pub(crate) fn acquire(&self, peer: Option<SocketAddr>) -> Result<(), Rejection> {
        self.sessions.acquire(self.address(peer))
    }

    /// Releases the permit.
    pub(crate) fn release(&self, peer: Option<SocketAddr>) {
        self.sessions.release(self.address(peer));
    }

    /// The address that the limits count. Clients whose address a proxy hides count as one address: otherwise hiding would
    /// evade the limits.
    fn address(&self, peer: Option<SocketAddr>) -> Option<Address> {
        let unknown = self.has_proxies.then_some(Address::UNKNOWN);
        peer.map(Address::from).or(unknown)
    }

    /// A permit for a refusal as a close code. `None` if too many are in use.
    pub(crate) fn refusal_permit(&self) -> Option<RefusalPermit> {
        let permit = self.refusals.clone().try_acquire_owned().ok()?;
        Some(RefusalPermit { _permit: permit })
    }
}

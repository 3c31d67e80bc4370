use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use crate::hub::Hub;
use crate::rejection::Rejection;
use crate::session::Session;

/// A place at the door for an opening that has no session yet.
#[derive(Debug)]
pub(crate) struct Place(Option<(Hub, Option<SocketAddr>)>);

impl Place {
    pub(crate) fn take(hub: &Hub, peer: Option<SocketAddr>) -> Result<Self, Rejection> {
        hub.doorman().seat(peer)?;
        Ok(Self(Some((hub.clone(), peer))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((hub, peer)) = &self.0 {
            hub.doorman().unseat(*peer);
        }
    }
}

/// A session with its place at the door, from before the client is promised a connection until that has ended in
/// whatever way, or was never begun.
#[derive(Debug)]
pub(crate) struct Seat(Session);

impl Seat {
    /// Gives the place to a session of the same peer.
    pub(crate) fn new(session: Session, mut place: Place) -> Self {
        session.seated().store(place.0.take().is_some(), Ordering::Relaxed);
        Self(session)
    }

    pub(crate) fn session(&self) -> &Session {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        leave(&self.0);
    }
}

/// Gives the place back before the seat itself goes, so that whoever reads the close frame and comes back at once
/// finds it free.
pub(super) fn leave(session: &Session) {
    if session.seated().swap(false, Ordering::Relaxed) {
        session.hub().doorman().unseat(session.peer());
    }
}

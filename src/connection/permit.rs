use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use crate::hub::Hub;
use crate::rejection::Rejection;
use crate::session::Session;

/// A session permit that an opening holds while it has no session yet.
#[derive(Debug)]
pub(crate) struct OpeningPermit(Option<(Hub, Option<SocketAddr>)>);

impl OpeningPermit {
    pub(crate) fn acquire(hub: &Hub, peer: Option<SocketAddr>) -> Result<Self, Rejection> {
        hub.admission().acquire(peer)?;
        Ok(Self(Some((hub.clone(), peer))))
    }
}

impl Drop for OpeningPermit {
    fn drop(&mut self) {
        if let Some((hub, peer)) = &self.0 {
            hub.admission().release(*peer);
        }
    }
}

/// A session with its permit, from before the 101 until the connection has ended or was dropped without being run.
#[derive(Debug)]
pub(crate) struct SessionPermit(Session);

impl SessionPermit {
    /// Moves the permit to a session of the same peer.
    pub(crate) fn new(session: Session, mut permit: OpeningPermit) -> Self {
        session.has_permit().store(permit.0.take().is_some(), Ordering::Relaxed);
        Self(session)
    }

    pub(crate) fn session(&self) -> &Session {
        &self.0
    }
}

impl Drop for SessionPermit {
    fn drop(&mut self) {
        release(&self.0);
    }
}

/// Releases the permit before its holder is dropped, so that a client that reads the close frame can return at once.
pub(super) fn release(session: &Session) {
    if session.has_permit().swap(false, Ordering::Relaxed) {
        session.hub().admission().release(session.peer());
    }
}

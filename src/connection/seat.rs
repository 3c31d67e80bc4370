use std::sync::atomic::Ordering;

use crate::rejection::Rejection;
use crate::session::Session;

/// A session with its place at the door, from before the client is promised a connection until that has ended in
/// whatever way, or was never begun.
#[derive(Debug)]
pub(crate) struct Seat(Session);

impl Seat {
    /// Takes a place for a session that has none.
    pub(crate) fn take(session: Session) -> Result<Self, Rejection> {
        session.hub().doorman().seat(session.peer())?;
        session.seated().store(true, Ordering::Relaxed);
        Ok(Self(session))
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

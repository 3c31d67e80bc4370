//! One opening on its way in.

use std::time::Duration;

use tokio::time::Instant;

use crate::delivery::SessionId;
use crate::hub::Hub;
use crate::refusal::Refusal;
use crate::rejection::Rejection;
use crate::session::Session;

/// An opening whose key is not known yet.
pub(crate) struct Undecided {
    hub: Hub,
    id: SessionId,
}

impl Undecided {
    /// To be called before anything is asked that a later close could make untrue.
    pub(crate) fn begin(hub: &Hub) -> Self {
        let mut state = hub.underway().lock();
        let id = SessionId::next();
        state.undecided.insert(id);
        drop(state);
        Self { hub: hub.clone(), id }
    }

    /// The id that its session will have. Ids rise in the order in which openings begin.
    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    /// From now on orders find the session. It is closed already if one was meant for it.
    pub(crate) fn promise(self, session: &Session) -> Result<Promised, Refusal> {
        let mut state = self.hub.underway().lock();
        if state.forgotten.is_some_and(|forgotten| self.id < forgotten) {
            let why = "more sessions were closed than are remembered, perhaps this one among them";
            return Err(Refusal::new(Rejection::Unavailable, why));
        }
        let mut closes =
            state.closes.iter().filter(|close| self.id < close.before && close.to.includes(session));
        let close = closes.next().map(|close| (close.code, close.reason.clone()));
        state.promised.insert((session.key().clone(), session.id()), session.clone());
        drop(state);
        if let Some((code, reason)) = close {
            session.close(code, reason);
        }
        Ok(Promised { session: session.clone(), since: Instant::now() })
    }
}

impl Drop for Undecided {
    fn drop(&mut self) {
        self.hub.underway().lock().decide(self.id);
    }
}

/// A session whose client was promised a connection. Orders find it here until this is dropped: when it is in the store,
/// or never will be.
#[derive(Debug)]
pub(crate) struct Promised {
    session: Session,
    since: Instant,
}

impl Promised {
    /// Whether the client took longer than this to take its connection.
    pub(crate) fn is_late(&self, patience: Duration) -> bool {
        self.since.elapsed() > patience
    }
}

impl Drop for Promised {
    fn drop(&mut self) {
        let session = &self.session;
        session.hub().underway().lock().promised.remove(&(session.key().clone(), session.id()));
    }
}

use super::Session;
use crate::delivery::{Recipients, Target};

/// Recipients from session handles.
impl Recipients {
    /// One session.
    #[must_use]
    pub fn session(session: &Session) -> Self {
        Target::Session(session.key().clone(), session.id()).into()
    }

    /// The same recipients without this session.
    #[must_use]
    pub fn except(mut self, session: &Session) -> Self {
        self.except = Some(session.id());
        self
    }

    /// Whether `session` is one of the recipients.
    #[must_use]
    #[inline]
    pub fn includes(&self, session: &Session) -> bool {
        let meant = match &self.target {
            Target::Key(key) => key == session.key(),
            Target::Keys(keys) => keys.contains(session.key()),
            Target::Session(_, id) => *id == session.id(),
            Target::Group(group) => session.is_in(group),
            Target::Everyone => true,
        };
        // A broadcast to everyone does not touch the ids.
        meant && self.except.is_none_or(|id| id != session.id())
    }
}

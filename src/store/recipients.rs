use crate::key::Key;
use crate::session::{Session, SessionId};

/// For whom something is meant.
///
/// ```
/// use keywire::{Key, Recipients};
///
/// # fn example(session: &keywire::Session) -> Result<(), keywire::InvalidKey> {
/// let all_of_alice = Recipients::key(Key::new("alice")?);
/// let everyone_else = Recipients::everyone().except(session);
/// # let _ = (all_of_alice, everyone_else);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipients {
    /// Who gets it.
    pub to: To,
    /// Who does not, although they would.
    pub except: Option<SessionId>,
}

/// Who gets something.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum To {
    /// Every session of a key.
    Key(Key),
    /// One session of a key.
    Session(Key, SessionId),
    /// Every session.
    Everyone,
}

impl Recipients {
    /// Every session of a key.
    #[must_use]
    pub fn key(key: Key) -> Self {
        To::Key(key).into()
    }

    /// One session.
    #[must_use]
    pub fn session(session: &Session) -> Self {
        To::Session(session.key().clone(), session.id()).into()
    }

    /// Every session.
    #[must_use]
    pub fn everyone() -> Self {
        To::Everyone.into()
    }

    /// The same without this session.
    #[must_use]
    pub fn except(mut self, session: &Session) -> Self {
        self.except = Some(session.id());
        self
    }

    /// Whether a session is among them.
    #[must_use]
    pub fn include(&self, session: &Session) -> bool {
        let meant = match &self.to {
            To::Key(key) => session.key() == key,
            To::Session(_, id) => session.id() == *id,
            To::Everyone => true,
        };
        meant && self.except != Some(session.id())
    }
}

impl From<To> for Recipients {
    fn from(to: To) -> Self {
        Self { to, except: None }
    }
}

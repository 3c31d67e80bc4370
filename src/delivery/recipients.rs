use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::SessionId;
use crate::group::Group;
use crate::key::Key;

/// The sessions that an order is for.
///
/// ```
/// use keywire::store::Recipients;
/// use keywire::Key;
///
/// # fn example(session: &keywire::Session) -> Result<(), keywire::auth::InvalidKey> {
/// let all_of_alice = Recipients::key(Key::new("alice")?);
/// let everyone_else = Recipients::everyone().except(session);
/// # let _ = (all_of_alice, everyone_else);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Recipients {
    /// The sessions that get it.
    pub target: Target,
    /// A session that does not get it, although it belongs to the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub except: Option<SessionId>,
}

/// The sessions that [`Recipients`] begin from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Target {
    /// All sessions of a key.
    Key(Key),
    /// All sessions of several keys.
    Keys(Box<[Key]>),
    /// One session of a key.
    Session(Key, SessionId),
    /// The members of a group.
    Group(Group),
    /// All sessions.
    Everyone,
}

impl Recipients {
    /// All sessions of a key.
    #[must_use]
    pub fn key(key: Key) -> Self {
        Target::Key(key).into()
    }

    /// All sessions of several keys. A key that is named twice counts once.
    #[must_use]
    pub fn keys(keys: impl IntoIterator<Item = Key>) -> Self {
        let keys: BTreeSet<Key> = keys.into_iter().collect();
        Target::Keys(keys.into_iter().collect()).into()
    }

    /// The members of a group.
    #[must_use]
    pub fn group(group: Group) -> Self {
        Target::Group(group).into()
    }

    /// All sessions.
    #[must_use]
    pub fn everyone() -> Self {
        Target::Everyone.into()
    }
}

impl Target {
    /// The keys of [`Target::Keys`], each once, also if the application has made the list itself and repeats some.
    pub(crate) fn distinct(keys: &[Key]) -> Cow<'_, [Key]> {
        if keys.is_sorted_by(|a, b| a < b) {
            return Cow::Borrowed(keys);
        }
        let keys: BTreeSet<&Key> = keys.iter().collect();
        Cow::Owned(keys.into_iter().cloned().collect())
    }
}

impl From<Target> for Recipients {
    fn from(target: Target) -> Self {
        Self { target, except: None }
    }
}

impl From<&Recipients> for Recipients {
    fn from(recipients: &Recipients) -> Self {
        recipients.clone()
    }
}

impl From<Key> for Recipients {
    fn from(key: Key) -> Self {
        Self::key(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_have_a_form_that_can_be_sent() {
        let alice = Key::new("alice").unwrap();
        let id = SessionId::next();
        for (recipients, json) in [
            (Recipients::everyone(), r#"{"target":"everyone"}"#.to_owned()),
            (Recipients::key(alice.clone()), r#"{"target":{"key":"alice"}}"#.to_owned()),
            (
                Recipients { target: Target::Session(alice, id), except: Some(id) },
                format!(r#"{{"target":{{"session":["alice","{id}"]}},"except":"{id}"}}"#),
            ),
        ] {
            assert_eq!(serde_json::to_string(&recipients).unwrap(), json);
            assert_eq!(serde_json::from_str::<Recipients>(&json).unwrap(), recipients);
        }
        // A key is validated, wherever it comes from.
        assert!(serde_json::from_str::<Recipients>(r#"{"target":{"key":"two\nlines"}}"#).is_err());
    }
}

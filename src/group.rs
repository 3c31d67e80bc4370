//! [`Group`] names a set of sessions.

use std::borrow::Borrow;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::key::{InvalidKey, Key};

/// Name of a group: a set of sessions that get the same pushes, for example a chat room or a topic.
///
/// A name follows the rules of a [`Key`]. A group exists while it has members.
///
/// ```
/// use keywire::session::Group;
///
/// let group: Group = "room-7".parse()?;
/// assert_eq!(group.as_str(), "room-7");
/// assert!(Group::new("").is_err());
/// # Ok::<(), keywire::session::InvalidGroup>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group(Key);

impl Group {
    /// Longest name, in bytes.
    pub const MAX_BYTES: usize = Key::MAX_BYTES;

    /// Validates `name`.
    ///
    /// # Errors
    ///
    /// [`InvalidGroup`] names the rule that `name` breaks.
    pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidGroup> {
        Ok(Self(Key::new(name)?))
    }

    /// The name as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// A string is not a [`Group`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid group: a name follows the rules of a key, and {0}")]
pub struct InvalidGroup(#[from] pub(crate) InvalidKey);

/// The group, or why it is none (logged).
pub(crate) fn valid<G>(group: G) -> Result<Group, InvalidGroup>
where
    G: TryInto<Group>,
    G::Error: Into<InvalidGroup>,
{
    group.try_into().map_err(|error| {
        let error = error.into();
        tracing::warn!(%error, "invalid group");
        error
    })
}

impl From<Infallible> for InvalidGroup {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl AsRef<str> for Group {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Group {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl FromStr for Group {
    type Err = InvalidGroup;

    fn from_str(name: &str) -> Result<Self, InvalidGroup> {
        Self::new(name)
    }
}

macro_rules! try_from_strings {
    ($($string:ty),*) => {
        $(impl TryFrom<$string> for Group {
            type Error = InvalidGroup;

            fn try_from(name: $string) -> Result<Self, InvalidGroup> {
                Self::new(name)
            }
        })*
    };
}

try_from_strings!(&str, &String, String);

impl From<&Group> for Group {
    fn from(group: &Group) -> Self {
        group.clone()
    }
}

impl Serialize for Group {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_validated_wherever_it_comes_from() {
        assert_eq!(Group::new("room 7").unwrap().to_string(), "room 7");
        assert_eq!(Group::new(""), Err(InvalidGroup(InvalidKey::Empty)));
        assert_eq!(serde_json::to_string(&Group::new("a").unwrap()).unwrap(), r#""a""#);
        assert!(serde_json::from_str::<Group>(r#""two\nlines""#).is_err());
    }
}

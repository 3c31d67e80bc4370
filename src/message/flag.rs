use std::borrow::{Borrow, Cow};
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// Flag of a message. It selects the handler on the server and in the page.
///
/// [`Flag::COMMAND`] and [`Flag::INFORM`] are predefined, and an application adds its own flags. Flags that begin with `kw:` belong
/// to keywire and never reach a handler.
///
/// ```
/// use keywire::message::Flag;
///
/// assert_eq!(Flag::from("command"), Flag::COMMAND);
/// assert_eq!(Flag::from("typing").as_str(), "typing");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Flag(Cow<'static, str>);

impl Flag {
    /// `command`: do something.
    pub const COMMAND: Self = Self::of("command");
    /// `inform`: tell another user.
    pub const INFORM: Self = Self::of("inform");

    pub(crate) const PING: Self = Self::of("kw:ping");
    pub(crate) const PONG: Self = Self::of("kw:pong");
    pub(crate) const REFRESH: Self = Self::of("kw:refresh");
    pub(crate) const FROM: Self = Self::of("kw:from");
    pub(crate) const GAP: Self = Self::of("kw:gap");
    pub(crate) const SEEN: Self = Self::of("kw:seen");
    pub(crate) const READ: Self = Self::of("kw:read");
    pub(crate) const ANSWER: Self = Self::of("kw:answer");

    const fn of(flag: &'static str) -> Self {
        Self(Cow::Borrowed(flag))
    }

    /// The flag as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the flag is one of keywire's own.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with("kw:")
    }

    /// Uses the constants, so that the usual flags need no allocation.
    fn intern(flag: Cow<'_, str>) -> Self {
        match &*flag {
            "command" => Self::COMMAND,
            "inform" => Self::INFORM,
            "kw:ping" => Self::PING,
            "kw:refresh" => Self::REFRESH,
            "kw:seen" => Self::SEEN,
            "kw:read" => Self::READ,
            "kw:answer" => Self::ANSWER,
            _ => Self(Cow::Owned(flag.into_owned())),
        }
    }
}

impl From<&str> for Flag {
    fn from(flag: &str) -> Self {
        Self::intern(Cow::Borrowed(flag))
    }
}

impl From<String> for Flag {
    fn from(flag: String) -> Self {
        Self::intern(Cow::Owned(flag))
    }
}

impl Borrow<str> for Flag {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Borrows the string if the JSON has no escapes.
        #[derive(Deserialize)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

        Text::deserialize(deserializer).map(|Text(flag)| Self::intern(flag))
    }
}

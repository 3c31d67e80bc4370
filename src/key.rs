//! [`Key`] names a user. [`Identity`] is a key with the expiry of the credential and values of the application.

use std::borrow::Borrow;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use smol_str::SmolStr;

use crate::deadline::time_of_day;
use crate::invisible::is_visible;

/// Key of a user: the recipient in [`Hub::send_to`](crate::Hub::send_to).
///
/// Logs and pages show keys unescaped, so two keys must not differ only in invisible characters. A key is not empty, has at most
/// [`Key::MAX_BYTES`] bytes, and contains none of these:
///
/// - control characters, line breaks of all kinds, noncharacters;
/// - characters that are not shown or that reorder others: zero-width spaces, bidirectional marks, overrides and
///   isolates, the soft hyphen, tags, variation selectors, blank letters;
/// - whitespace at an end or twice in a row, which HTML does not show.
///
/// Zero-width joiners are accepted within scripts that are written joined (Arabic, Devanagari and others) and within emoji, since
/// names in these scripts are misspelled without them. Letters of different scripts that look alike are accepted: `аlice` with a
/// Cyrillic `а` is a key. If users choose their keys, restrict the letters.
///
/// A key takes 24 bytes and stores up to 23 bytes of its string inline. Clones of a longer key share the string.
///
/// ```
/// use keywire::Key;
///
/// let key: Key = "alice".parse()?;
/// assert_eq!(key.as_str(), "alice");
/// assert!(Key::new("").is_err());
/// assert!(Key::new("two\nlines").is_err());
/// assert!(Key::new("alice\u{200b}").is_err());
/// # Ok::<(), keywire::auth::InvalidKey>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(SmolStr);

impl Key {
    /// Longest key, in bytes.
    pub const MAX_BYTES: usize = 256;

    /// Validates `text`.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] names the rule that `text` breaks.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidKey> {
        let text = text.as_ref();
        if text.is_empty() {
            return Err(InvalidKey::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidKey::TooLong);
        }
        if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(text.into()));
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidKey::ControlCharacter);
        }
        if !is_visible(text) {
            return Err(InvalidKey::Invisible);
        }
        // An empty part means whitespace at an end, or twice in a row.
        if text.split(char::is_whitespace).any(str::is_empty) {
            return Err(InvalidKey::Whitespace);
        }
        Ok(Self(text.into()))
    }

    /// The key as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reason why a string is not a [`Key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InvalidKey {
    /// The string is empty.
    #[error("a key must not be empty")]
    Empty,
    /// The string is longer than [`Key::MAX_BYTES`].
    #[error("a key must have at most {} bytes", Key::MAX_BYTES)]
    TooLong,
    /// The string contains a control character, for example a line break.
    #[error("a key must not contain control characters")]
    ControlCharacter,
    /// The string contains a character that is not shown or that reorders others, for example a zero-width space or a
    /// bidirectional override.
    #[error("a key must not contain characters that are not shown or that reorder others")]
    Invisible,
    /// The string contains whitespace at an end or twice in a row.
    #[error("a key must not begin or end with whitespace, nor contain it twice in a row")]
    Whitespace,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        Self::new(text)
    }
}

impl TryFrom<&str> for Key {
    type Error = InvalidKey;

    fn try_from(text: &str) -> Result<Self, InvalidKey> {
        Self::new(text)
    }
}

impl TryFrom<String> for Key {
    type Error = InvalidKey;

    fn try_from(text: String) -> Result<Self, InvalidKey> {
        Self::new(text)
    }
}

impl TryFrom<&String> for Key {
    type Error = InvalidKey;

    fn try_from(text: &String) -> Result<Self, InvalidKey> {
        Self::new(text)
    }
}

impl From<Infallible> for InvalidKey {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl PartialEq<str> for Key {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Key {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl From<&Key> for Key {
    fn from(key: &Key) -> Self {
        key.clone()
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Key {
    /// The same rules as [`Key::new`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Result of a [`KeyExtractor`](crate::KeyExtractor): the key of the client, the expiry of its credential, and values of the
/// application.
///
/// The session ends at the expiry. There is one value for each type:
///
/// ```
/// use keywire::{Identity, Key};
///
/// #[derive(Clone, Debug, PartialEq)]
/// struct Plan(&'static str);
///
/// let identity = Identity::new(Key::new("alice")?).with(Plan("gold"));
/// assert_eq!(identity.get::<Plan>(), Some(&Plan("gold")));
/// # Ok::<(), keywire::auth::InvalidKey>(())
/// ```
#[derive(Clone)]
pub struct Identity {
    key: Key,
    expires_at: Option<SystemTime>,
    extensions: http::Extensions,
}

impl Identity {
    /// An identity without expiry and values.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Self { key, expires_at: None, extensions: http::Extensions::new() }
    }

    /// The same identity with this expiry. An open session is closed at that time.
    #[must_use]
    pub fn expiring_at(mut self, moment: SystemTime) -> Self {
        self.expires_at = Some(moment);
        self
    }

    /// The same identity with `value`, which replaces an earlier value of the same type.
    #[must_use]
    pub fn with<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.extensions.insert(value);
        self
    }

    /// The same identity with another key. Expiry and values stay.
    ///
    /// ```
    /// use std::time::SystemTime;
    ///
    /// use keywire::{Identity, Key};
    ///
    /// let identity = Identity::new(Key::new("7")?).expiring_at(SystemTime::UNIX_EPOCH);
    /// let key = Key::new(format!("staff:{}", identity.key()))?;
    /// let identity = identity.with_key(key);
    /// assert_eq!(identity.key().as_str(), "staff:7");
    /// assert_eq!(identity.expires_at(), Some(SystemTime::UNIX_EPOCH));
    /// # Ok::<(), keywire::auth::InvalidKey>(())
    /// ```
    #[must_use]
    pub fn with_key(mut self, key: Key) -> Self {
        self.key = key;
        self
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The expiry of the credential, if it has one.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// Whether the credential has expired.
    pub(crate) fn is_over(&self) -> bool {
        self.expires_at.is_some_and(|end| end <= time_of_day())
    }

    /// Whether the identity has neither an expiry nor values.
    pub(crate) fn is_bare(&self) -> bool {
        self.expires_at.is_none() && self.extensions.is_empty()
    }

    /// The value of type `T` from [`Identity::with`].
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.extensions.get()
    }
}

impl fmt::Debug for Identity {
    /// Omits the values, since claims must not be logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("key", &self.key)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_bounded_and_printable() {
        assert!(Key::new("a".repeat(Key::MAX_BYTES)).is_ok());
        assert_eq!(Key::new("a".repeat(Key::MAX_BYTES + 1)), Err(InvalidKey::TooLong));
        assert_eq!(Key::new(""), Err(InvalidKey::Empty));
        for control in ["\0", "a\tb", "a\u{7f}", "\u{85}"] {
            assert_eq!(Key::new(control), Err(InvalidKey::ControlCharacter), "{control:?}");
        }
        assert_eq!(Key::new("zoë/東京 %20").unwrap().as_str(), "zoë/東京 %20");
    }

    /// Each of these characters is invisible, or reorders the characters after it.
    #[test]
    fn a_key_is_shown_as_it_is() {
        for char in [
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{180e}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202b}',
            '\u{202c}',
            '\u{202d}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2067}',
            '\u{2068}',
            '\u{2069}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{fff9}',
            '\u{ffff}',
            '\u{e0041}',
        ] {
            for text in
                [format!("{char}alice"), format!("al{char}ice"), format!("alice{char}"), char.to_string()]
            {
                assert_eq!(Key::new(&text), Err(InvalidKey::Invisible), "{text:?}");
            }
        }
        for text in [" alice", "alice ", "al  ice", " ", "alice\u{a0}", "al \u{3000}ice"] {
            assert_eq!(Key::new(text), Err(InvalidKey::Whitespace), "{text:?}");
        }
        for text in [
            "zoë",
            "zoe\u{308}",
            "al ice",
            "山田\u{3000}太郎",
            "علی\u{200c}رضا",
            "👩\u{200d}💻",
            "O'Brien",
            "аlice",
        ] {
            assert_eq!(Key::new(text).unwrap().as_str(), text);
        }
    }
}

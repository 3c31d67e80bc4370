//! A text frame's content, shared and known to be UTF-8.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// The content of a text frame. Derefs to `str`; a clone copies a pointer.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(
    /// Valid UTF-8.
    Bytes,
);

impl Text {
    pub(crate) fn copied(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }

    pub(crate) fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        // Checked when the frame was read; checking again is the price of having no `unsafe`.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::copied(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

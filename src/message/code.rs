use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Short code of a [`Push`](crate::Push), by which a page selects what to do.
///
/// The constants are the codes that keywire itself sends and other usual codes. An application can define its own codes:
/// `Code::from("17")`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(Cow<'static, str>);

impl Code {
    /// `00`: done. `msg` is for a person.
    pub const DONE: Self = Self::of("00");
    /// `01`: data or progress. The content is in `data`.
    pub const DATA: Self = Self::of("01");
    /// `29`: too many messages. The client must slow down.
    pub const SLOW_DOWN: Self = Self::of("29");
    /// `40`: malformed message.
    pub const MALFORMED: Self = Self::of("40");
    /// `41`: credential missing, wrong or expired.
    pub const UNAUTHENTICATED: Self = Self::of("41");
    /// `43`: not allowed.
    pub const FORBIDDEN: Self = Self::of("43");
    /// `44`: no handler for this flag.
    pub const UNKNOWN_FLAG: Self = Self::of("44");
    /// `45`: the recipient is not connected.
    pub const ABSENT: Self = Self::of("45");
    /// `50`: the handler failed.
    pub const FAILED: Self = Self::of("50");

    const fn of(code: &'static str) -> Self {
        Self(Cow::Borrowed(code))
    }

    /// The code as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for Code {
    fn from(code: &'static str) -> Self {
        Self::of(code)
    }
}

impl From<String> for Code {
    fn from(code: String) -> Self {
        Self(Cow::Owned(code))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

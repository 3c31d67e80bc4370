//! Close codes (RFC 6455 7.4).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Code of a close frame: the reason why a connection ends.
///
/// A page reads it as `event.code`. Codes from 3000 are registered for libraries. Codes from 4000 are free for applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "u16", try_from = "u16")]
pub struct CloseCode(u16);

/// The number is not a [`CloseCode`] that a close frame may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a close frame must not contain the close code {0}")]
pub struct InvalidCloseCode(u16);

impl TryFrom<u16> for CloseCode {
    type Error = InvalidCloseCode;

    fn try_from(code: u16) -> Result<Self, InvalidCloseCode> {
        Self::new(code).ok_or(InvalidCloseCode(code))
    }
}

impl CloseCode {
    /// 1000: normal end.
    pub const NORMAL: Self = Self::known(1000);
    /// 1001: the server shuts down, or the browser leaves the page.
    pub const GOING_AWAY: Self = Self::known(1001);
    /// 1002: the peer violated the protocol.
    pub const PROTOCOL_ERROR: Self = Self::known(1002);
    /// 1003: the endpoint does not accept this kind of data.
    pub const UNSUPPORTED: Self = Self::known(1003);
    /// 1007: the content of a message does not match its type, for example text that is not UTF-8.
    pub const INVALID_DATA: Self = Self::known(1007);
    /// 1008: a message violates a rule that has no code of its own.
    pub const POLICY: Self = Self::known(1008);
    /// 1009: a message is too large.
    pub const TOO_BIG: Self = Self::known(1009);
    /// 1011: the server met an unexpected condition.
    pub const INTERNAL: Self = Self::known(1011);
    /// 1012: the server restarts. The client should come back later.
    pub const RESTART: Self = Self::known(1012);
    /// 1013: the server is overloaded. The client should try again later.
    pub const TRY_AGAIN: Self = Self::known(1013);

    /// 1005: the close frame had no code. For local reports only, never sent.
    pub(crate) const NO_STATUS: Self = Self(1005);
    /// 1006: the connection ended without a close frame. For local reports only, never sent.
    pub(crate) const ABNORMAL: Self = Self(1006);

    /// The code, if a close frame may contain it: 1000 to 1003, 1007 to 1014, 3000 to 4999.
    ///
    /// ```
    /// # use keywire::session::CloseCode;
    /// assert_eq!(CloseCode::new(1000), Some(CloseCode::NORMAL));
    /// assert_eq!(CloseCode::new(1006), None); // a browser reports it if there was no close frame
    /// ```
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// Makes constants. A code that must not be sent is a compile error.
    pub(crate) const fn known(code: u16) -> Self {
        match Self::new(code) {
            Some(code) => code,
            None => panic!("a close frame must not contain this code"),
        }
    }

    /// Whether a close frame may contain the code. Codes for local reports are never sent.
    pub(crate) const fn may_be_sent(self) -> bool {
        Self::new(self.0).is_some()
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> u16 {
        code.0
    }
}

/// Compares with the number, as in `closed.code == 4005`.
impl PartialEq<u16> for CloseCode {
    fn eq(&self, code: &u16) -> bool {
        self.0 == *code
    }
}

impl PartialEq<CloseCode> for u16 {
    fn eq(&self, code: &CloseCode) -> bool {
        *self == code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_that_may_stand_in_a_close_frame_can_be_made() {
        let sendable: Vec<u16> = (0..=u16::MAX).filter(|&code| CloseCode::new(code).is_some()).collect();
        let expected: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
        assert_eq!(sendable, expected);
        assert!(!CloseCode::NO_STATUS.may_be_sent() && !CloseCode::ABNORMAL.may_be_sent());
    }

    #[test]
    fn a_code_is_shown_as_its_number() {
        assert_eq!(CloseCode::GOING_AWAY.to_string(), "1001");
        assert_eq!(u16::from(CloseCode::ABNORMAL), 1006);
        assert_eq!(CloseCode::ABNORMAL, 1006);
        assert_eq!(1006, CloseCode::ABNORMAL);
        assert_ne!(CloseCode::GOING_AWAY, 1002);
        assert_ne!(1002, CloseCode::GOING_AWAY);
    }
}

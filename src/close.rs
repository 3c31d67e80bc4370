//! keywire's own close codes, and [`Closed`]: how a session ended.

use crate::websocket::CloseCode;

/// keywire's own codes. 4000–4499 ask the client to come back. 4500–4999 tell the client not to come back.
impl CloseCode {
    /// 4001: the credential expired. The client should come back with a new one.
    pub const EXPIRED: Self = Self::known(4001);
    /// 4002: no sign of life in time.
    pub const NO_PONG: Self = Self::known(4002);
    /// 4003: the client reads too slowly. Its queue was full.
    pub const TOO_SLOW: Self = Self::known(4003);
    /// 4004: too many messages.
    pub const TOO_MANY_MESSAGES: Self = Self::known(4004);
    /// 4005: the server drains. The reason is the number of milliseconds over which clients spread their return.
    pub const DRAIN: Self = Self::known(4005);
    /// 4501: credential missing or wrong.
    pub const UNAUTHENTICATED: Self = Self::known(4501);
    /// 4503: the origin or the key is forbidden.
    pub const FORBIDDEN: Self = Self::known(4503);
    /// 4504: replaced by a newer session of the same key.
    pub const REPLACED: Self = Self::known(4504);
    /// 4505: disconnected by the application.
    pub const DISCONNECTED: Self = Self::known(4505);
    /// 4506: too many sessions for this key.
    pub const TOO_MANY_SESSIONS: Self = Self::known(4506);
    /// 4507: the refreshed token belongs to another key.
    pub const OTHER_KEY: Self = Self::known(4507);

    /// Whether the client should come back. A standard code is retryable if a second attempt may end otherwise. Codes from 3000 to
    /// 3999 are always retryable, since their meaning is unknown.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        match u16::from(self) {
            1000 | 1002 | 1003 | 1007..=1010 => false,
            code => code < 4500,
        }
    }
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// The code of the close frame. 1005: the close frame has no code. 1006: the connection was lost without a close frame.
    pub code: CloseCode,
    /// The reason of the close frame. If [`Closed::by`] is [`ClosedBy::Peer`], it comes from the client: escape it before you log it.
    pub reason: Box<str>,
    /// The party that ended the session.
    pub by: ClosedBy,
}

impl Closed {
    /// The end of a session, for tests of [`MessageHandler::closed`](crate::MessageHandler::closed).
    pub fn new(code: CloseCode, reason: impl Into<Box<str>>, by: ClosedBy) -> Self {
        Self { code, reason: reason.into(), by }
    }

    pub(crate) fn by_server(code: CloseCode, reason: impl Into<Box<str>>) -> Self {
        Self::new(code, reason, ClosedBy::Server)
    }

    /// The end of a lost connection: 1006, by [`ClosedBy::Network`].
    #[must_use]
    pub fn lost() -> Self {
        Self::new(CloseCode::ABNORMAL, "", ClosedBy::Network)
    }
}

/// Party that ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClosedBy {
    /// The client sent a close frame.
    Peer,
    /// The server closed the session: the application, a limit or a shutdown.
    Server,
    /// The connection broke without a close frame.
    Network,
}

//! The close codes that keywire adds to those of RFC 6455, and the end of a session as a handler sees it.

use crate::websocket::CloseCode;

/// keywire's own codes. 4000–4499 ask the client to come back, 4500–4999 tell it not to.
impl CloseCode {
    /// 4001: the credential expired; come back with a fresh one.
    pub const EXPIRED: Self = Self::known(4001);
    /// 4002: no sign of life in time.
    pub const NO_PONG: Self = Self::known(4002);
    /// 4003: too slow a reader, its queue was full.
    pub const TOO_SLOW: Self = Self::known(4003);
    /// 4004: too many messages.
    pub const TOO_MANY_MESSAGES: Self = Self::known(4004);
    /// 4005: the server drains; the reason is the window in milliseconds to spread the return over.
    pub const DRAIN: Self = Self::known(4005);
    /// 4501: credential missing or wrong.
    pub const UNAUTHENTICATED: Self = Self::known(4501);
    /// 4503: forbidden, because of the origin or the key.
    pub const FORBIDDEN: Self = Self::known(4503);
    /// 4504: replaced by a newer session of the same key.
    pub const REPLACED: Self = Self::known(4504);
    /// 4505: disconnected by the application.
    pub const DISCONNECTED: Self = Self::known(4505);
    /// 4506: too many sessions for this key.
    pub const TOO_MANY_SESSIONS: Self = Self::known(4506);
    /// 4507: the refreshed token belongs to another key.
    pub const OTHER_KEY: Self = Self::known(4507);

    /// Whether the client should come back. Standard codes: if a second attempt may end otherwise. 3000–3999: always, since their
    /// meaning is unknown.
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
    /// The code of the close frame; 1005 if the peer gave none, 1006 if the connection was lost without one.
    pub code: CloseCode,
    /// The reason of the close frame. If [`Closed::by`] is [`ClosedBy::Peer`], the client wrote it: escape it before you log it.
    pub reason: Box<str>,
    /// Who ended it.
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

/// Who ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClosedBy {
    /// The client sent a close frame.
    Peer,
    /// The server closed it: the application, a limit or a shutdown.
    Server,
    /// The connection broke without a close frame.
    Network,
}

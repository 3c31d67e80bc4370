//! Reasons for a refusal, their HTTP statuses and close codes.

use std::time::Duration;

use http::StatusCode;

use crate::key::InvalidKey;
use crate::websocket::CloseCode;

/// Reason for refusing a connection.
///
/// It names only the kind of failure, and that is what the client learns. An extractor tells the server's log more by
/// [`Handshake::explain`](crate::adapter::Handshake::explain).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The request has no credential where the extractor looks. [`or`](crate::KeyExtractor::or) asks the next extractor.
    #[error("credential missing")]
    Missing,
    /// The credential is wrong.
    #[error("credential invalid")]
    Invalid,
    /// The credential has expired. The client should come back with a new one.
    #[error("credential expired")]
    Expired,
    /// The credential is not valid yet: its validity period has not begun, or the server does not have its key yet. The client
    /// should come back.
    #[error("credential not valid yet")]
    NotYet,
    /// The request is malformed: two credentials of one kind, or an invalid key.
    #[error("malformed request")]
    Malformed,
    /// Two cookies of one name have different values. Any page of the host can add a cookie, so this is not the user's fault and not
    /// final: [`or`](crate::KeyExtractor::or) asks the next extractor. If that one finds no credential, the client should come back.
    #[error("ambiguous credential")]
    Ambiguous,
    /// The user is known but not allowed.
    #[error("forbidden")]
    Forbidden,
    /// The key has its maximum of sessions, and all of them are alive. Coming back does not help.
    #[error("too many sessions")]
    TooMany,
    /// Too many attempts or sessions from the client's address. The client should come back later.
    #[error("throttled")]
    Throttled,
    /// The server cannot decide, is full or is shutting down. The client should come back.
    #[error("unavailable")]
    Unavailable,
}

impl Rejection {
    /// HTTP status for clients without `keywire.v1`.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Missing | Self::Invalid | Self::Expired | Self::NotYet => StatusCode::UNAUTHORIZED,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::TooMany | Self::Throttled => StatusCode::TOO_MANY_REQUESTS,
            Self::Ambiguous | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Close code for clients with `keywire.v1`, since a browser cannot read a status.
    #[must_use]
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::Missing | Self::Invalid | Self::Malformed => CloseCode::UNAUTHENTICATED,
            Self::Expired => CloseCode::EXPIRED,
            Self::Forbidden => CloseCode::FORBIDDEN,
            Self::TooMany => CloseCode::TOO_MANY_SESSIONS,
            Self::NotYet | Self::Ambiguous | Self::Throttled | Self::Unavailable => CloseCode::TRY_AGAIN,
        }
    }

    /// Value of `Retry-After` (RFC 9110, section 10.2.3): 5 s if waiting helps, else `None`. It only limits the rate of retries,
    /// since a place may become free at any moment.
    #[must_use]
    pub fn retry_after(self) -> Option<Duration> {
        matches!(self, Self::NotYet | Self::Ambiguous | Self::Throttled | Self::Unavailable)
            .then_some(Duration::from_secs(5))
    }

    /// One word for logs, metrics and the JSON body of a refusal.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Malformed => "malformed",
            Self::Ambiguous => "ambiguous",
            Self::Forbidden => "forbidden",
            Self::TooMany => "too_many",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Allows `Key::new(name)?` in your own extractor.
impl From<InvalidKey> for Rejection {
    fn from(_: InvalidKey) -> Self {
        Self::Malformed
    }
}

#[cfg(test)]
mod tests;

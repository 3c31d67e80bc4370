//! Why somebody is not let in, and how that is said: over HTTP or as a close code.

use std::time::Duration;

use http::StatusCode;

use crate::key::InvalidKey;
use crate::websocket::CloseCode;

/// Why a connection is refused.
///
/// It says the kind of failure and nothing else: neither the client nor a log learns what was wrong with a
/// credential, let alone the credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// There is no credential where the extractor looks. [`or`](crate::KeyExtractor::or) goes on to the next
    /// extractor.
    #[error("credential missing")]
    Missing,
    /// There is a credential, and it is wrong.
    #[error("credential invalid")]
    Invalid,
    /// The credential was good once. The client should come back with a fresh one.
    #[error("credential expired")]
    Expired,
    /// The credential is not good yet: its time or the key that signed it is still to come. The client should come
    /// back.
    #[error("credential not good yet")]
    NotYet,
    /// The request cannot be understood: two credentials of one kind, or a key that cannot be one.
    #[error("malformed request")]
    Malformed,
    /// Two cookies of one name say different things. Every page of the host can add one, so this is not the user's
    /// fault and not for ever: [`or`](crate::KeyExtractor::or) goes on to the next extractor, and if that finds nothing,
    /// the client should come back.
    #[error("ambiguous credential")]
    Ambiguous,
    /// It is known who asks, and they may not.
    #[error("forbidden")]
    Forbidden,
    /// The key has as many sessions as it may have. To come back would not help.
    #[error("too many sessions")]
    TooMany,
    /// Too many attempts or sessions from where the client is. It should come back later.
    #[error("throttled")]
    Throttled,
    /// What decides could not be reached, the server is full or is shutting down. The client should come back.
    #[error("unavailable")]
    Unavailable,
}

impl Rejection {
    /// The HTTP status that an ordinary client gets in place of the upgrade.
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

    /// The close code that says the same to a client that speaks `keywire.v1`, which as a browser could not
    /// read the status.
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

    /// What an ordinary client is told in `Retry-After` (RFC 9110, section 10.2.3), where it helps to wait: 5 s.
    /// What becomes free may do so at any moment, so this is only a pace.
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

/// `Key::new(name)?` in an extractor of your own.
impl From<InvalidKey> for Rejection {
    fn from(_: InvalidKey) -> Self {
        Self::Malformed
    }
}

#[cfg(test)]
mod tests;

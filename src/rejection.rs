//! Why somebody is not let in, and how that is said: over HTTP or as a close code.

use http::StatusCode;

use crate::CloseCode;

/// Why a connection is refused.
///
/// It says the kind of failure and nothing else: neither the client nor a log learns what was wrong with a
/// credential, let alone the credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// There is no credential where the extractor looks. [`or`](crate::KeyExtractor::or) goes on to the next
    /// extractor on this one only.
    #[error("credential missing")]
    Missing,
    /// There is a credential, and it is wrong.
    #[error("credential invalid")]
    Invalid,
    /// The credential was good once. The client should come back with a fresh one.
    #[error("credential expired")]
    Expired,
    /// The request cannot be understood: two credentials of one kind, or a key that cannot be one.
    #[error("malformed request")]
    Malformed,
    /// It is known who asks, and they may not.
    #[error("forbidden")]
    Forbidden,
    /// Too many sessions or attempts.
    #[error("too many sessions")]
    TooMany,
    /// What decides could not be reached, or the server is shutting down. The client should come back.
    #[error("unavailable")]
    Unavailable,
}

impl Rejection {
    /// The HTTP status that an ordinary client gets in place of the upgrade.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Missing | Self::Invalid | Self::Expired => StatusCode::UNAUTHORIZED,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
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
            Self::Unavailable => CloseCode::TRY_AGAIN,
        }
    }

    /// One word for logs, metrics and the JSON body of a refusal.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::Expired => "expired",
            Self::Malformed => "malformed",
            Self::Forbidden => "forbidden",
            Self::TooMany => "too_many",
            Self::Unavailable => "unavailable",
        }
    }
}

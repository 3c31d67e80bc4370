use std::io;

use super::super::jwk::InvalidJwks;

/// A JWK set could not be read. The error shows nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// A URL that is not asked for keys.
    #[error("not a URL for keys: https, or http to this machine, and no password in it")]
    Url,
    /// The file cannot be read.
    #[error("cannot read the file: {0}")]
    File(io::ErrorKind),
    /// No connection, or one that broke off.
    #[error("unreachable: no name, no connection, or no certificate that the system trusts")]
    Unreachable,
    /// Reading took longer than [`Jwks::timeout`](crate::auth::Jwks::timeout).
    #[error("reading took too long")]
    Timeout,
    /// An answer other than 200. Redirects are not followed: configure the final URL.
    #[error("the answer has status {0}")]
    Status(u16),
    /// The document is larger than [`Jwks::max_bytes`](crate::auth::Jwks::max_bytes).
    #[error("the document is too large")]
    TooLarge,
    /// The document is not a usable JWK set.
    #[error(transparent)]
    Invalid(#[from] InvalidJwks),
}

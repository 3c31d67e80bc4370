use std::io;

use super::super::jwk::InvalidJwks;

/// A JWK set could not be read. The error contains no part of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// The URL is of a kind that keywire does not request keys from.
    #[error("not a URL for keys: it must be https, or http to this machine, without a password")]
    Url,
    /// The file cannot be read.
    #[error("cannot read the file: {0}")]
    File(io::ErrorKind),
    /// The connection failed or was interrupted.
    #[error("unreachable: the name, the connection or the certificate failed")]
    Unreachable,
    /// Reading took longer than [`Jwks::timeout`](crate::auth::Jwks::timeout).
    #[error("reading took too long")]
    Timeout,
    /// The response has a status other than 200. Redirects are not followed: configure the final URL.
    #[error("the response has status {0}")]
    Status(u16),
    /// The document is larger than [`Jwks::max_bytes`](crate::auth::Jwks::max_bytes).
    #[error("the document is too large")]
    TooLarge,
    /// The document is not a usable JWK set.
    #[error(transparent)]
    Invalid(#[from] InvalidJwks),
}

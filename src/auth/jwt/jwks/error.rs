use std::io;

use super::super::jwk::InvalidJwks;

/// Why a JWK set could not be read. It shows nothing of what was read.
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
    /// It took too long.
    #[error("it took too long")]
    Timeout,
    /// An answer other than 200. Redirects are not followed: write down where they lead.
    #[error("the answer has status {0}")]
    Status(u16),
    /// The document is larger than [`Jwks::max_bytes`](crate::auth::Jwks::max_bytes).
    #[error("the document is too large")]
    TooLarge,
    /// It was read, and is of no use.
    #[error(transparent)]
    Invalid(#[from] InvalidJwks),
}

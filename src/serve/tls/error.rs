use std::io;

/// A certificate and its key cannot be used. Contains no bytes of the key.
///
/// `place` is the path of the file, or names the argument.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{place} cannot be read")]
    Read {
        /// The file.
        place: String,
        /// The system's error.
        source: io::Error,
    },
    /// A file is too large.
    #[error("{place} is larger than 1 MiB")]
    TooLarge {
        /// The file.
        place: String,
    },
    /// The PEM is malformed. A file that is being written looks like this.
    #[error("{place} is not valid PEM: a section has no end, or is not base64")]
    Pem {
        /// The file or argument.
        place: String,
    },
    /// There is no `CERTIFICATE` section.
    #[error("{place} has no certificate")]
    NoCertificate {
        /// The file or argument.
        place: String,
    },
    /// The first certificate is not a valid certificate.
    #[error("the first certificate of {place} is not valid: {reason}")]
    Certificate {
        /// The file or argument.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no `PRIVATE KEY`, `RSA PRIVATE KEY` or `EC PRIVATE KEY` section.
    #[error("{place} has no private key")]
    NoKey {
        /// The file or argument.
        place: String,
    },
    /// The key is encrypted with a password.
    #[error("the private key of {place} is encrypted with a password; keywire needs it without one")]
    EncryptedKey {
        /// The file or argument.
        place: String,
    },
    /// The key is malformed or of an unsupported kind.
    #[error(
        "the private key of {place} is malformed, or neither RSA (2048 bits or more), P-256, P-384 nor Ed25519"
    )]
    Key {
        /// The file or argument.
        place: String,
    },
    /// The key does not belong to the first certificate.
    #[error(
        "the private key of {key} does not match the first certificate of {chain}, which must be the server's own"
    )]
    Mismatch {
        /// The file or argument of the certificates.
        chain: String,
        /// The file or argument of the key.
        key: String,
    },
    /// The system has no random bytes.
    #[error("the system provides no random bytes")]
    Random,
    /// The [`Tls`](super::Tls) has no files to read again.
    #[error("the TLS settings do not come from files")]
    NoFiles,
    /// The [`Tls`](super::Tls) is made from a `ServerConfig`, which chooses the certificate itself.
    #[error("the TLS settings are those of a rustls::ServerConfig")]
    OwnConfig,
}

use super::algorithm::JwtAlgorithm;

/// A secret or a text cannot serve as a [`VerifyingKey`](super::VerifyingKey). The error shows nothing of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidVerifyingKey {
    /// A secret without a single byte.
    #[error("the secret of a JwtKey must not be empty: everybody could sign")]
    EmptySecret,
    /// A secret that is a PEM text, which mostly is a public key.
    #[error("a PEM text is no secret: an algorithm other than HMAC takes it as a key")]
    PemAsSecret,
    /// Not a PEM text.
    #[error("not a public key in PEM, which begins with -----BEGIN PUBLIC KEY-----")]
    NotPem,
    /// A private key.
    #[error("a private key: tokens are checked with the public one (openssl pkey -pubout)")]
    Private,
    /// PEM, of something that is not a public key of a supported kind: a certificate, or a key for ES512 or ES256K.
    #[error(
        "PEM, but not a public key of RSA, P-256, P-384 or Ed25519: ES512 and ES256K are not supported \
         (of a certificate: openssl x509 -pubkey -noout)"
    )]
    NotPublicKey,
    /// A key that belongs to another algorithm.
    #[error("not a key for {0}")]
    WrongKind(JwtAlgorithm),
    /// An RSA key that is too small to be safe, or larger than can be computed with; how many bits it has.
    #[error("an RSA key of {0} bits: it must have 2048 to 4096")]
    RsaSize(usize),
    /// A compressed elliptic point.
    #[error(
        "a compressed elliptic point: write it uncompressed \
         (openssl pkey -pubin -pubout -ec_conv_form uncompressed)"
    )]
    CompressedPoint,
    /// A key that cannot be read or computed with.
    #[error("a damaged key")]
    Damaged,
}

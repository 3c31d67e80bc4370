use super::algorithm::JwtAlgorithm;

/// A secret or a PEM text is not a valid [`VerifyingKey`](super::VerifyingKey). The error contains no part of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidVerifyingKey {
    /// The secret is empty.
    #[error("the secret of a JwtKey must not be empty: anyone could sign")]
    EmptySecret,
    /// The secret is a PEM text, so it is probably a public key.
    #[error("the secret is a PEM text: it must be random bytes; PEM keys are for algorithms other than HMAC")]
    PemAsSecret,
    /// The key is not a PEM text.
    #[error("not a public key in PEM: it must begin with -----BEGIN PUBLIC KEY-----")]
    NotPem,
    /// The key is a private key.
    #[error("a private key: pass the public key (openssl pkey -pubout)")]
    Private,
    /// The PEM text is not a public key of a supported kind, for example a certificate, or a key for ES512 or ES256K.
    #[error(
        "PEM, but not a public key for RSA, P-256, P-384 or Ed25519: ES512 and ES256K are not supported \
         (from a certificate: openssl x509 -pubkey -noout)"
    )]
    NotPublicKey,
    /// The key belongs to another algorithm.
    #[error("not a key for {0}")]
    WrongKind(JwtAlgorithm),
    /// The RSA key is too small to be safe, or too large to compute with. Contains its size in bits.
    #[error("an RSA key of {0} bits: it must have 2048 to 4096 bits")]
    RsaSize(usize),
    /// The key is a compressed elliptic point.
    #[error(
        "a compressed elliptic point: write it uncompressed \
         (openssl pkey -pubin -pubout -ec_conv_form uncompressed)"
    )]
    CompressedPoint,
    /// The key cannot be parsed, or is not a valid key.
    #[error("a damaged key")]
    Damaged,
}

use std::fmt;
use std::sync::Arc;

use super::algorithm::JwtAlgorithm;
use super::material::Material;
use super::pem;

/// What signatures are checked with: a secret or a public key, and the one algorithm that it is for.
///
/// ```
/// use keywire::auth::{InvalidVerifyingKey, JwtAlgorithm, JwtKey, VerifyingKey};
///
/// let key = VerifyingKey::from_secret(JwtAlgorithm::HS384, b"a secret of at least 48 bytes ......................")?;
/// let extractor = JwtKey::new(key);
/// # let _ = extractor;
/// # Ok::<(), InvalidVerifyingKey>(())
/// ```
///
/// ES512, ES256K and Ed448 are not supported, nor are compressed elliptic points.
///
/// Clones share the key material.
#[derive(Clone)]
pub struct VerifyingKey {
    algorithm: JwtAlgorithm,
    material: Arc<Material>,
}

impl VerifyingKey {
    /// A secret for HMAC (RFC 7518, section 3.2, which asks for as many bytes as the hash has: 32, 48 or 64).
    ///
    /// # Errors
    ///
    /// When the secret is empty or a PEM text, or `algorithm` is not HMAC.
    pub fn from_secret(algorithm: JwtAlgorithm, secret: &[u8]) -> Result<Self, InvalidVerifyingKey> {
        if !algorithm.is_hmac() {
            return Err(InvalidVerifyingKey::WrongKind(algorithm));
        }
        if secret.is_empty() {
            return Err(InvalidVerifyingKey::EmptySecret);
        }
        // Mostly a public key, with which everybody could sign.
        if secret.trim_ascii_start().starts_with(b"-----BEGIN ") {
            return Err(InvalidVerifyingKey::PemAsSecret);
        }
        Ok(Self::new(algorithm, Material::Secret(secret.into())))
    }

    /// A public key in PEM: `PUBLIC KEY`, or `RSA PUBLIC KEY` for RSA.
    ///
    /// ```
    /// use keywire::auth::{InvalidVerifyingKey, JwtAlgorithm, VerifyingKey};
    ///
    /// let pem = "-----BEGIN PUBLIC KEY-----
    /// MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
    /// -----END PUBLIC KEY-----";
    /// assert!(VerifyingKey::from_pem(JwtAlgorithm::EdDSA, pem).is_ok());
    /// let wrong = VerifyingKey::from_pem(JwtAlgorithm::RS256, pem);
    /// assert_eq!(wrong.unwrap_err(), InvalidVerifyingKey::WrongKind(JwtAlgorithm::RS256));
    /// ```
    ///
    /// # Errors
    ///
    /// When it is not PEM, a private key, a key of another kind than `algorithm` takes, an RSA key of
    /// less than 2048 bits (RFC 7518, section 3.3) or more than 4096, or a compressed elliptic point. No error shows
    /// any of the key.
    ///
    /// An Ed25519 key of 32 bytes that are no point of the curve is not found here: it verifies no token.
    pub fn from_pem(algorithm: JwtAlgorithm, pem: impl AsRef<[u8]>) -> Result<Self, InvalidVerifyingKey> {
        match pem::read(pem.as_ref())? {
            pem::PublicKey::Rsa { n, e } => Self::rsa(algorithm, &n, &e),
            pem::PublicKey::P256(point) => Self::p256(algorithm, &point),
            pem::PublicKey::P384(point) => Self::p384(algorithm, &point),
            pem::PublicKey::Ed25519(key) => Self::ed25519(algorithm, &key),
        }
    }

    /// The only algorithm that this key is good for.
    #[must_use]
    pub fn algorithm(&self) -> JwtAlgorithm {
        self.algorithm
    }

    pub(super) fn rsa(algorithm: JwtAlgorithm, n: &[u8], e: &[u8]) -> Result<Self, InvalidVerifyingKey> {
        Self::of_kind(algorithm, algorithm.is_rsa(), || Material::rsa(n, e))
    }

    pub(super) fn p256(algorithm: JwtAlgorithm, point: &[u8]) -> Result<Self, InvalidVerifyingKey> {
        Self::of_kind(algorithm, algorithm == JwtAlgorithm::ES256, || Material::p256(point))
    }

    pub(super) fn p384(algorithm: JwtAlgorithm, point: &[u8]) -> Result<Self, InvalidVerifyingKey> {
        Self::of_kind(algorithm, algorithm == JwtAlgorithm::ES384, || Material::p384(point))
    }

    pub(super) fn ed25519(algorithm: JwtAlgorithm, key: &[u8]) -> Result<Self, InvalidVerifyingKey> {
        Self::of_kind(algorithm, algorithm == JwtAlgorithm::EdDSA, || Material::ed25519(key))
    }

    fn of_kind(
        algorithm: JwtAlgorithm,
        fits: bool,
        read: impl FnOnce() -> Result<Material, InvalidVerifyingKey>,
    ) -> Result<Self, InvalidVerifyingKey> {
        if fits { Ok(Self::new(algorithm, read()?)) } else { Err(InvalidVerifyingKey::WrongKind(algorithm)) }
    }

    fn new(algorithm: JwtAlgorithm, material: Material) -> Self {
        Self { algorithm, material: Arc::new(material) }
    }

    /// Whether this is the same key for the same algorithm, under whatever name.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.material == other.material
    }

    /// Whether `signature` is this key's under `message`.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.material.verify(self.algorithm, message, signature)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Why something is no [`VerifyingKey`]. It shows nothing of the key.
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

use std::fmt;
use std::sync::Arc;

use super::algorithm::JwtAlgorithm;
use super::invalid_key::InvalidVerifyingKey;
use super::material::Material;
use super::pem;

/// Key that verifies signatures: a secret or a public key, and its only algorithm.
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
/// ES512, ES256K, Ed448 and compressed elliptic points are not supported.
///
/// Clones share the key material.
#[derive(Clone)]
pub struct VerifyingKey {
    algorithm: JwtAlgorithm,
    material: Arc<Material>,
}

impl VerifyingKey {
    /// A secret for HMAC. RFC 7518, section 3.2, requires at least as many bytes as the hash has: 32, 48 or 64.
    ///
    /// # Errors
    ///
    /// If the secret is empty or a PEM text, or if `algorithm` is not HMAC.
    pub fn from_secret(algorithm: JwtAlgorithm, secret: &[u8]) -> Result<Self, InvalidVerifyingKey> {
        if !algorithm.is_hmac() {
            return Err(InvalidVerifyingKey::WrongKind(algorithm));
        }
        if secret.is_empty() {
            return Err(InvalidVerifyingKey::EmptySecret);
        }
        // Probably a public key. Anyone who has it could sign.
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
    /// If `pem` is not PEM, a private key, a key of another kind than `algorithm` needs, an RSA key of less than 2048 bits (RFC
    /// 7518, section 3.3) or more than 4096 bits, or a compressed elliptic point. Errors contain no part of the key.
    ///
    /// An Ed25519 key whose 32 bytes are not a point of the curve is accepted here, but verifies no token.
    pub fn from_pem(algorithm: JwtAlgorithm, pem: impl AsRef<[u8]>) -> Result<Self, InvalidVerifyingKey> {
        match pem::read(pem.as_ref())? {
            pem::PublicKey::Rsa { n, e } => Self::rsa(algorithm, &n, &e),
            pem::PublicKey::P256(point) => Self::p256(algorithm, &point),
            pem::PublicKey::P384(point) => Self::p384(algorithm, &point),
            pem::PublicKey::Ed25519(key) => Self::ed25519(algorithm, &key),
        }
    }

    /// The only algorithm of this key.
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

    /// Whether both keys have the same algorithm and the same material.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.material == other.material
    }

    /// Whether `signature` is a valid signature of `message` by this key.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.material.verify(self.algorithm, message, signature)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm, DecodingKey};

use super::algorithm::JwtAlgorithm;
use super::pem;

/// What signatures are checked with: a secret or a public key, and the one algorithm that it is for.
///
/// ```
/// use keywire::{InvalidVerifyingKey, JwtAlgorithm, JwtKey, VerifyingKey};
///
/// let key = VerifyingKey::from_secret(JwtAlgorithm::HS384, b"a secret of at least 48 bytes ......................")?;
/// let extractor = JwtKey::new(key);
/// # let _ = extractor;
/// # Ok::<(), InvalidVerifyingKey>(())
/// ```
///
/// Its clones share the key material, which is wiped from memory with the last of them.
#[derive(Clone)]
pub struct VerifyingKey {
    algorithm: JwtAlgorithm,
    key: Arc<DecodingKey>,
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
        Ok(Self { algorithm, key: Arc::new(DecodingKey::from_secret(secret)) })
    }

    /// A public key in PEM: `PUBLIC KEY`, or `RSA PUBLIC KEY` for RSA.
    ///
    /// ```
    /// use keywire::{InvalidVerifyingKey, JwtAlgorithm, VerifyingKey};
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
    /// When it is not PEM, a private key, a key of another kind than `algorithm` takes, or an RSA key of
    /// less than 2048 bits (RFC 7518, section 3.3) or more than 4096. No error shows any of the key.
    pub fn from_pem(algorithm: JwtAlgorithm, pem: impl AsRef<[u8]>) -> Result<Self, InvalidVerifyingKey> {
        match pem::read(pem.as_ref())? {
            pem::PublicKey::Rsa(key) => Self::rsa(algorithm, &key),
            pem::PublicKey::P256(point) => Self::elliptic(algorithm, JwtAlgorithm::ES256, &point),
            pem::PublicKey::P384(point) => Self::elliptic(algorithm, JwtAlgorithm::ES384, &point),
            pem::PublicKey::Ed25519(key) => Self::ed25519(algorithm, &key),
        }
    }

    /// The only algorithm that this key is good for.
    #[must_use]
    pub fn algorithm(&self) -> JwtAlgorithm {
        self.algorithm
    }

    pub(super) fn rsa(algorithm: JwtAlgorithm, key: &rsa::RsaPublicKey) -> Result<Self, InvalidVerifyingKey> {
        use rsa::traits::PublicKeyParts as _;

        if !algorithm.is_rsa() {
            return Err(InvalidVerifyingKey::WrongKind(algorithm));
        }
        let bits = key.n().bits();
        if !(2048..=rsa::RsaPublicKey::MAX_SIZE).contains(&bits) {
            return Err(InvalidVerifyingKey::RsaSize(bits));
        }
        let (n, e) = (key.n().to_bytes_be(), key.e().to_bytes_be());
        Self::checked(algorithm, DecodingKey::from_rsa_raw_components(&n, &e))
    }

    /// `point` as in SEC 1, section 2.3.3; `wanted` is the algorithm of its curve.
    pub(super) fn elliptic(
        algorithm: JwtAlgorithm,
        wanted: JwtAlgorithm,
        point: &[u8],
    ) -> Result<Self, InvalidVerifyingKey> {
        if algorithm != wanted {
            return Err(InvalidVerifyingKey::WrongKind(algorithm));
        }
        Self::checked(algorithm, DecodingKey::from_ec_der(point))
    }

    pub(super) fn ed25519(algorithm: JwtAlgorithm, key: &[u8]) -> Result<Self, InvalidVerifyingKey> {
        if algorithm != JwtAlgorithm::EdDSA {
            return Err(InvalidVerifyingKey::WrongKind(algorithm));
        }
        // The library takes the first 32 bytes, and panics where there are fewer.
        if key.len() != 32 {
            return Err(InvalidVerifyingKey::Damaged);
        }
        Self::checked(algorithm, DecodingKey::from_ed_der(key))
    }

    /// The verifier reads the key each time; a point that is not on its curve is to be found here and not there.
    fn checked(algorithm: JwtAlgorithm, key: DecodingKey) -> Result<Self, InvalidVerifyingKey> {
        match (DEFAULT_PROVIDER.verifier_factory)(&algorithm.inner(), &key) {
            Ok(_) => Ok(Self { algorithm, key: Arc::new(key) }),
            Err(_) => Err(InvalidVerifyingKey::Damaged),
        }
    }

    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithm.inner() == algorithm
    }

    /// Whether `signature` is this key's under `message`.
    ///
    /// jsonwebtoken's own `decode` asks for the process's default cryptography. It panics where none or both of
    /// its backends are in the build and nobody has chosen, and stays so even if somebody chooses later. What
    /// others build or install is out of our hands, so this backend is called by its name.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let verifier = (DEFAULT_PROVIDER.verifier_factory)(&self.algorithm.inner(), &self.key);
        verifier.is_ok_and(|verifier| verifier.verify(message, &signature.to_vec()).is_ok())
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
    /// PEM, of something that is not a public key: a certificate, for example.
    #[error("PEM, but not a public key (of a certificate: openssl x509 -pubkey -noout)")]
    NotPublicKey,
    /// A key that belongs to another algorithm.
    #[error("not a key for {0}")]
    WrongKind(JwtAlgorithm),
    /// An RSA key that is too small to be safe, or larger than can be computed with; how many bits it has.
    #[error("an RSA key of {0} bits: it must have 2048 to 4096")]
    RsaSize(usize),
    /// A key that cannot be read or computed with.
    #[error("a damaged key")]
    Damaged,
}

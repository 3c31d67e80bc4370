use std::fmt;
use std::str::FromStr;

/// Signature algorithm of a token (RFC 7518, section 3.1; RFC 8037). ES512, ES256K and Ed448 are not supported.
///
/// Each [`VerifyingKey`](crate::auth::VerifyingKey) belongs to one algorithm. The `alg` of a token does not change it.
///
/// ```
/// use keywire::auth::JwtAlgorithm;
///
/// assert_eq!("ES256".parse(), Ok(JwtAlgorithm::ES256));
/// assert_eq!(JwtAlgorithm::EdDSA.to_string(), "EdDSA");
/// assert!("none".parse::<JwtAlgorithm>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256. The key that verifies can also sign.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
    /// RSA, PKCS #1 v1.5, with SHA-256.
    RS256,
    /// RSA, PKCS #1 v1.5, with SHA-384.
    RS384,
    /// RSA, PKCS #1 v1.5, with SHA-512.
    RS512,
    /// RSA-PSS with SHA-256.
    PS256,
    /// RSA-PSS with SHA-384.
    PS384,
    /// RSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519, under the name of RFC 8037.
    EdDSA,
}

impl JwtAlgorithm {
    /// All algorithms with public keys, that is, all but HMAC.
    pub const ASYMMETRIC: [Self; 9] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    const HMAC: [Self; 3] = [Self::HS256, Self::HS384, Self::HS512];

    /// The name in a token's `alg`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    /// Whether the key is a secret. A secret can also sign.
    #[must_use]
    pub fn is_hmac(self) -> bool {
        Self::HMAC.contains(&self)
    }

    pub(super) fn is_rsa(self) -> bool {
        !self.is_hmac() && !matches!(self, Self::ES256 | Self::ES384 | Self::EdDSA)
    }
}

impl fmt::Display for JwtAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A string is not the name of a [`JwtAlgorithm`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an algorithm that keywire supports; supported: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, \
     ES256, ES384, EdDSA"
)]
pub struct UnknownJwtAlgorithm;

impl FromStr for JwtAlgorithm {
    type Err = UnknownJwtAlgorithm;

    /// Names are case-sensitive (RFC 7515, section 4.1.1).
    fn from_str(name: &str) -> Result<Self, UnknownJwtAlgorithm> {
        let mut all = Self::HMAC.into_iter().chain(Self::ASYMMETRIC);
        all.find(|algorithm| algorithm.name() == name).ok_or(UnknownJwtAlgorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_and_no_other() {
        for algorithm in JwtAlgorithm::HMAC.into_iter().chain(JwtAlgorithm::ASYMMETRIC) {
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
            assert_eq!(algorithm.name(), format!("{algorithm:?}"));
        }
        for name in ["", "none", "None", "hs256", "HS256 ", "ES512", "ES256K", "Ed25519", "RSA-OAEP", "dir"] {
            assert_eq!(name.parse::<JwtAlgorithm>(), Err(UnknownJwtAlgorithm), "{name}");
        }
    }
}

use super::jwks::Jwks;
use super::key::VerifyingKey;
use super::keys::VerifyingKeys;
use super::refused::Refused;
use super::token::Token;

/// The keys that a [`JwtKey`](crate::auth::JwtKey) trusts: one [`VerifyingKey`], [`VerifyingKeys`] or [`Jwks`].
#[derive(Debug, Clone)]
pub struct TrustedKeys(Trusted);

#[derive(Debug, Clone)]
enum Trusted {
    One(VerifyingKey),
    Several(VerifyingKeys),
    Published(Jwks),
}

impl TrustedKeys {
    /// The claims of `token`, if one of these keys signed it.
    ///
    /// A wrong signature is a final refusal. A missing key is not final if keys may be added while the server runs. A single key
    /// never changes.
    pub(super) async fn verify(&self, token: &Token<'_>) -> Result<Vec<u8>, Refused> {
        match &self.0 {
            Trusted::One(key) => token.verified_by(key),
            Trusted::Several(keys) => token.verified_by(&keys.find(token).ok_or(Refused::NO_KEY)?),
            Trusted::Published(jwks) => jwks.verify(token).await,
        }
    }
}

impl From<VerifyingKey> for TrustedKeys {
    fn from(key: VerifyingKey) -> Self {
        Self(Trusted::One(key))
    }
}

impl From<VerifyingKeys> for TrustedKeys {
    fn from(keys: VerifyingKeys) -> Self {
        Self(Trusted::Several(keys))
    }
}

impl From<Jwks> for TrustedKeys {
    fn from(jwks: Jwks) -> Self {
        Self(Trusted::Published(jwks))
    }
}

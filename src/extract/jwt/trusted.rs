use super::jwks::Jwks;
use super::key::VerifyingKey;
use super::keys::VerifyingKeys;
use super::token::Token;
use crate::rejection::Rejection;

/// Whose signatures a [`JwtKey`](crate::JwtKey) believes: made of one [`VerifyingKey`], of [`VerifyingKeys`] or of [`Jwks`].
#[derive(Debug, Clone)]
pub struct TrustedKeys(Trusted);

#[derive(Debug, Clone)]
enum Trusted {
    One(VerifyingKey),
    Several(VerifyingKeys),
    Published(Jwks),
}

impl TrustedKeys {
    /// The key that can have signed `token`, if its `kid` and `alg` tell the truth.
    pub(super) async fn find(&self, token: &Token<'_>) -> Result<VerifyingKey, Rejection> {
        match &self.0 {
            Trusted::One(key) => Ok(key.clone()),
            Trusted::Several(keys) => keys.find(token).ok_or(Rejection::Invalid),
            Trusted::Published(jwks) => jwks.find(token).await,
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

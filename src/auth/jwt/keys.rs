use std::sync::{Arc, PoisonError, RwLock};

use super::algorithm::JwtAlgorithm;
use super::jwk::{self, InvalidJwks};
use super::key::VerifyingKey;
use super::key_list::KeyList;
use super::token::Token;

/// Several keys with names (`kid`). The set may change while the server runs.
///
/// To rotate a secret, insert the new secret and sign with it. Remove the old secret when the last token that it signed has
/// expired. Meanwhile both are valid.
///
/// ```
/// use keywire::auth::{InvalidVerifyingKey, JwtAlgorithm, JwtKey, VerifyingKey, VerifyingKeys};
///
/// let secret = |secret| VerifyingKey::from_secret(JwtAlgorithm::HS256, secret);
/// let keys = VerifyingKeys::new();
/// keys.insert("2026-10", secret(b"the secret of October, at least 32 bytes")?);
/// let extractor = JwtKey::new(keys.clone());
///
/// // Later, in another part of the program:
/// keys.insert("2026-11", secret(b"the secret of November, at least 32 bytes")?);
/// keys.remove("2026-10");
/// # let _ = extractor;
/// # Ok::<(), InvalidVerifyingKey>(())
/// ```
///
/// A token's `kid` and `alg` must fit exactly one key. For a token without `kid`, only its `alg` must fit. Equal keys count as
/// one, even under different names. A token that fits no key or several keys is refused with
/// [`Rejection::NotYet`](crate::auth::Rejection::NotYet), since the next [`insert`](Self::insert) or [`remove`](Self::remove)
/// may change the result.
///
/// Clones share the keys. Tokens of a removed key open no new connections. Open sessions stay open.
#[derive(Debug, Clone, Default)]
pub struct VerifyingKeys(Arc<RwLock<KeyList>>);

impl VerifyingKeys {
    /// An empty set, which refuses every token.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The keys of a JWK set (RFC 7517, section 5) that verify signatures by one of `algorithms`.
    ///
    /// Other keys, and keys that keywire cannot read, are left out. An RSA key without `alg` gets RS256 if `algorithms` contains
    /// it, else the first RSA algorithm in `algorithms`.
    ///
    /// ```
    /// use keywire::auth::{InvalidJwks, JwtAlgorithm, JwtKey, VerifyingKeys};
    ///
    /// let text = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"2026","alg":"EdDSA",
    ///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    /// let extractor = JwtKey::new(VerifyingKeys::from_jwks(text, &JwtAlgorithm::ASYMMETRIC)?);
    /// # let _ = extractor;
    /// # Ok::<(), InvalidJwks>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If `text` is not a JWK set or has no usable key.
    pub fn from_jwks(text: &str, algorithms: &[JwtAlgorithm]) -> Result<Self, InvalidJwks> {
        jwk::read_set(text.as_bytes(), algorithms).map(|keys| Self(Arc::new(RwLock::new(keys))))
    }

    /// Adds a key and replaces all keys of this name.
    pub fn insert(&self, kid: impl Into<String>, key: VerifyingKey) {
        let kid = kid.into();
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.remove(&kid);
        keys.0.push((Some(kid), key));
    }

    /// Removes all keys of this name. Returns whether one was there.
    pub fn remove(&self, kid: &str) -> bool {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(kid)
    }

    pub(super) fn find(&self, token: &Token<'_>) -> Option<VerifyingKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).find(token)
    }
}

#[cfg(test)]
mod tests;

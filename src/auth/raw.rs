use std::borrow::Cow;

use async_trait::async_trait;

use super::{CredentialSource, KeyExtractor};
use crate::handshake::Handshake;
use crate::key::{Identity, Key};
use crate::rejection::Rejection;

/// Extracts the key as the client sends it, without any check.
///
/// Use it for development, in closed networks, and behind a proxy that authenticates the user and writes the key into a header.
/// On the open internet any client can claim any key: use `JwtKey` there.
///
/// A key is a name and not a secret: other users see it as `sender`, and logs contain it. If clients send an API key or a session
/// id, look up the user in a [`KeyExtractor`] of your own.
///
/// ```
/// use keywire::auth::RawKey;
/// use keywire::KeyExtractor;
///
/// let extractor = RawKey::from_path().or(RawKey::from_header("x-forwarded-user"));
/// # let _ = extractor;
/// ```
#[derive(Debug, Clone)]
pub struct RawKey(CredentialSource);

impl RawKey {
    /// Reads the key from the path segment: `/websocket/{key}`.
    #[must_use]
    pub fn from_path() -> Self {
        Self(CredentialSource::Path)
    }

    /// Reads the key from a parameter of the query string.
    pub fn from_query(name: impl Into<Cow<'static, str>>) -> Self {
        Self(CredentialSource::Query(name.into()))
    }

    /// Reads the key from a cookie.
    pub fn from_cookie(name: impl Into<Cow<'static, str>>) -> Self {
        Self(CredentialSource::Cookie(name.into()))
    }

    /// Reads the key from the token of `Authorization: Bearer`.
    #[must_use]
    pub fn from_bearer() -> Self {
        Self(CredentialSource::Bearer)
    }

    /// Reads the key from a subprotocol, see [`Handshake::protocol_token`].
    #[must_use]
    pub fn from_subprotocol() -> Self {
        Self(CredentialSource::Subprotocol)
    }

    /// Reads the key from a header.
    pub fn from_header(name: impl Into<Cow<'static, str>>) -> Self {
        Self(CredentialSource::Header(name.into()))
    }
}

#[async_trait]
impl KeyExtractor for RawKey {
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
        let text = self.0.read(handshake)?.ok_or(Rejection::Missing)?;
        // The reason names the rule, and nothing of the key.
        let key = Key::new(text).inspect_err(|invalid| handshake.explain(invalid.to_string()))?;
        Ok(Identity::new(key))
    }
}

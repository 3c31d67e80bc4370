use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, errors::ErrorKind};
use serde::Deserialize;

use super::{KeyExtractor, Source};
use crate::handshake::Handshake;
use crate::key::{Identity, Key};
use crate::rejection::Rejection;

/// Takes the key out of a signed token (RFC 7519).
///
/// The token stands in the path, in `?token=` or in `Authorization: Bearer`; the first place that has one
/// decides, and two of them are refused. The algorithm is the one chosen here, whatever the token says of itself.
/// Required are `sub`, which is the key, and `exp`, at which an open session ends too; `nbf` is checked
/// where there is one. Clocks may differ by [`JwtKey::leeway`].
///
/// ```
/// use keywire::{Hub, JwtKey, Switch};
///
/// let hub = Hub::builder().keys(JwtKey::hs256(b"a secret of at least 32 bytes ......")).build();
/// # let _ = hub;
/// ```
///
/// The claims are in the session's identity: `session.identity().get::<Claims>()`.
#[derive(Clone)]
pub struct JwtKey {
    key: Arc<DecodingKey>,
    validation: Validation,
    sources: Vec<Source>,
}

impl JwtKey {
    /// The longest token that is looked at, in bytes.
    const MAX_BYTES: usize = 8 * 1024;

    /// Tokens signed by HMAC with SHA-256 and this secret (RFC 7518, section 3.2, which asks for a secret of
    /// at least 32 bytes).
    ///
    /// # Panics
    ///
    /// When the secret is empty: everybody could sign.
    #[must_use]
    pub fn hs256(secret: &[u8]) -> Self {
        assert!(!secret.is_empty(), "the secret of a JwtKey must not be empty");
        install_crypto();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = 30;
        Self {
            key: Arc::new(DecodingKey::from_secret(secret)),
            validation,
            sources: vec![Source::Path, Source::Query("token".into()), Source::Bearer],
        }
    }

    /// By how much the clock of whoever signs may differ from this one: 30 s by default.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.validation.leeway = leeway.as_secs();
        self
    }

    /// Who signs: only tokens with this `iss` are good then.
    #[must_use]
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.validation.set_issuer(&[issuer]);
        self.validation.required_spec_claims.insert("iss".into());
        self
    }

    /// For whom it is signed: only tokens with this `aud` are good then. Without it a token that has an
    /// `aud` is refused, for it was made for somebody else.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        self.validation.set_audience(&[audience]);
        self.validation.required_spec_claims.insert("aud".into());
        self
    }

    /// Where tokens stand, in place of path, `?token=` and bearer.
    #[must_use]
    pub fn sources(mut self, sources: impl IntoIterator<Item = Source>) -> Self {
        self.sources = sources.into_iter().collect();
        self
    }

    /// Checks a token that came by another way.
    ///
    /// # Errors
    ///
    /// [`Rejection::Expired`] if that is all that is wrong with it, else [`Rejection::Invalid`].
    pub fn verify(&self, token: &str) -> Result<Identity, Rejection> {
        if token.len() > Self::MAX_BYTES {
            return Err(Rejection::Invalid);
        }
        // A `crit` names extensions that must be understood, and none is (RFC 7515, section 4.1.11). The
        // library reads the header without looking at it.
        let header = token.split('.').next().unwrap_or_default();
        if header_has_crit(header) {
            return Err(Rejection::Invalid);
        }
        let token = jsonwebtoken::decode::<serde_json::Value>(token, &self.key, &self.validation).map_err(
            |error| match error.kind() {
                ErrorKind::ExpiredSignature => Rejection::Expired,
                _ => Rejection::Invalid,
            },
        )?;
        let claims = token.claims;
        if claims.get("iss").is_some_and(|issuer| !issuer.is_string()) {
            return Err(Rejection::Invalid);
        }
        let Registered { sub, exp } = Registered::deserialize(&claims).map_err(|_| Rejection::Invalid)?;
        let key = Key::new(sub).map_err(|_| Rejection::Invalid)?;
        let mut identity = Identity::new(key).with(Claims(Arc::new(claims)));
        if let Some(moment) = expiry(exp, self.validation.leeway) {
            identity = identity.expiring_at(moment);
        }
        Ok(identity)
    }
}

#[async_trait]
impl KeyExtractor for JwtKey {
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
        let mut token = None;
        for source in &self.sources {
            if let Some(found) = source.read(handshake)? {
                if token.is_some() {
                    return Err(Rejection::Malformed);
                }
                token = Some(found);
            }
        }
        self.verify(&token.ok_or(Rejection::Missing)?)
    }

    async fn refresh(&self, token: &str) -> Result<Identity, Rejection> {
        self.verify(token)
    }
}

/// The claims of the token by which a session was opened.
#[derive(Clone)]
pub struct Claims(Arc<serde_json::Value>);

impl Claims {
    /// Reads the claims as a type of the application's.
    ///
    /// # Errors
    ///
    /// When a claim that `T` wants is missing or of another type.
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(&*self.0)
    }
}

/// The claims that keywire itself needs.
#[derive(Deserialize)]
struct Registered {
    sub: String,
    /// Seconds since 1970; a fraction is allowed (RFC 7519, section 2, NumericDate).
    exp: f64,
}

/// The moment at which a session ends, or none if it lies beyond what a clock can show.
fn expiry(exp: f64, leeway: u64) -> Option<SystemTime> {
    let since_epoch = Duration::try_from_secs_f64(exp).ok()?.checked_add(Duration::from_secs(leeway))?;
    SystemTime::UNIX_EPOCH.checked_add(since_epoch)
}

fn header_has_crit(header: &str) -> bool {
    use base64::Engine as _;

    let Ok(json) = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header) else { return true };
    let Ok(serde_json::Value::Object(header)) = serde_json::from_slice(&json) else { return true };
    header.contains_key("crit") || header.contains_key("b64")
}

/// jsonwebtoken panics when it does not know which cryptography to use, and it does not know as soon as
/// another crate of the same program enables its other one. So it is told. If the application was first,
/// its choice stays.
fn install_crypto() {
    let _ = jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER.install_default();
}

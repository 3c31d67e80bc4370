//! Keys from signed tokens (RFC 7519).

mod algorithm;
mod claims;
mod invalid_key;
mod jwk;
mod jwks;
mod key;
mod key_list;
mod keys;
mod material;
mod pem;
mod refused;
mod token;
mod trusted;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;

pub use algorithm::{JwtAlgorithm, UnknownJwtAlgorithm};
use claims::Rules;
pub use invalid_key::InvalidVerifyingKey;
pub use jwk::InvalidJwks;
pub use jwks::{Jwks, JwksError};
pub use key::VerifyingKey;
pub use keys::VerifyingKeys;
use refused::Refused;
use token::Token;
pub use trusted::TrustedKeys;

use super::source::read_only;
use super::{CredentialSource, KeyExtractor};
use crate::deadline::time_of_day;
use crate::handshake::Handshake;
use crate::key::Identity;
use crate::rejection::Rejection;

/// Extracts the key from a signed token (JWT, RFC 7519).
///
/// ```
/// use keywire::auth::JwtKey;
/// use keywire::Hub;
///
/// let hub = Hub::builder(JwtKey::hs256(b"a secret of at least 32 bytes ......")).build();
/// # let _ = hub;
/// ```
///
/// The token is in the path, in `?token=`, in `Authorization: Bearer` or in a subprotocol ([`Handshake::protocol_token`]). A
/// request with two tokens is refused. A secret or a public key ([`VerifyingKey`]), one of several keys ([`VerifyingKeys`]) or a
/// key of a published set ([`Jwks`]) verifies the signature. The key sets the algorithm. The `alg` of the token must match it.
///
/// # Required claims
///
/// - `exp`: in the future. The session ends at that time.
/// - `sub`, or the claim named by [`subject_claim`](JwtKey::subject_claim): a string that is a valid [`Key`](crate::Key).
/// - `iss` and `aud`: as set by [`issuer`](JwtKey::issuer) and [`audience`](JwtKey::audience).
/// - `nbf`: optional. Before that time the client is asked to come back.
///
/// Clocks may differ by [`leeway`](JwtKey::leeway). A token is never refused because of its `iat` (RFC 7519, section 4.1.6). Each
/// claim that the standard names must have the standard's type. The header parameters `jwk`, `jku`, `x5u` and `x5c`, which name a
/// key, are ignored. A token with `crit`, `b64`, `enc` or `zip` in its header is refused.
///
/// # Other claims
///
/// The session can read the claims as a type of the application:
///
/// ```
/// use keywire::auth::JwtKey;
/// use keywire::{Envelope, Hub, Reply, Session, Switch};
/// use serde::Deserialize;
///
/// #[derive(Clone, Deserialize)]
/// struct Member {
///     role: String,
/// }
///
/// let whoami = |session: Session, _: Envelope| async move {
///     let identity = session.identity();
///     let role = identity.get::<Member>().map_or("none", |member| &member.role);
///     Ok(Reply::ok(role.to_owned()))
/// };
/// let keys = JwtKey::hs256(b"a secret of at least 32 bytes ......").claims::<Member>();
/// let hub = Hub::builder(keys).handler(Switch::new().command(whoami)).build();
/// # let _ = hub;
/// ```
#[derive(Clone)]
pub struct JwtKey {
    keys: TrustedKeys,
    rules: Rules,
    sources: Vec<CredentialSource>,
    token_bytes: usize,
    claims: Option<ReadClaims>,
}

/// Reads the application's claims into the identity.
type ReadClaims = fn(&[u8], Identity) -> Option<Identity>;

impl JwtKey {
    /// Upper limit of [`JwtKey::leeway`].
    const MAX_LEEWAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// Tokens signed with a [`VerifyingKey`], one of several [`VerifyingKeys`], or the keys of [`Jwks`].
    #[must_use]
    pub fn new(keys: impl Into<TrustedKeys>) -> Self {
        Self {
            keys: keys.into(),
            rules: Rules {
                leeway: Duration::from_secs(30),
                issuer: None,
                audience: None,
                subject: "sub".into(),
            },
            sources: vec![
                CredentialSource::Path,
                CredentialSource::Query("token".into()),
                CredentialSource::Bearer,
                CredentialSource::Subprotocol,
            ],
            token_bytes: 8 * 1024,
            claims: None,
        }
    }

    /// Tokens signed by HMAC with SHA-256 and this secret. RFC 7518, section 3.2, requires a secret of at least 32 bytes.
    ///
    /// # Panics
    ///
    /// If the secret is empty or a PEM text, since anyone could sign. [`VerifyingKey::from_secret`] returns an error instead, and
    /// also has HMAC with SHA-384 and SHA-512.
    #[must_use]
    pub fn hs256(secret: &[u8]) -> Self {
        match VerifyingKey::from_secret(JwtAlgorithm::HS256, secret) {
            Ok(key) => Self::new(key),
            Err(error) => panic!("{error}"),
        }
    }

    /// Tokens signed by RSA, PKCS #1 v1.5, with SHA-256; the public key in PEM.
    ///
    /// # Errors
    ///
    /// Those of [`VerifyingKey::from_pem`].
    pub fn rs256_pem(pem: impl AsRef<[u8]>) -> Result<Self, InvalidVerifyingKey> {
        Self::from_pem(JwtAlgorithm::RS256, pem)
    }

    /// Tokens signed by RSA-PSS with SHA-256; the public key in PEM.
    ///
    /// # Errors
    ///
    /// Those of [`VerifyingKey::from_pem`].
    pub fn ps256_pem(pem: impl AsRef<[u8]>) -> Result<Self, InvalidVerifyingKey> {
        Self::from_pem(JwtAlgorithm::PS256, pem)
    }

    /// Tokens signed by ECDSA on P-256 with SHA-256; the public key in PEM.
    ///
    /// # Errors
    ///
    /// Those of [`VerifyingKey::from_pem`].
    pub fn es256_pem(pem: impl AsRef<[u8]>) -> Result<Self, InvalidVerifyingKey> {
        Self::from_pem(JwtAlgorithm::ES256, pem)
    }

    /// Tokens signed by ECDSA on P-384 with SHA-384; the public key in PEM.
    ///
    /// # Errors
    ///
    /// Those of [`VerifyingKey::from_pem`].
    pub fn es384_pem(pem: impl AsRef<[u8]>) -> Result<Self, InvalidVerifyingKey> {
        Self::from_pem(JwtAlgorithm::ES384, pem)
    }

    /// Tokens signed by Ed25519; the public key in PEM.
    ///
    /// # Errors
    ///
    /// Those of [`VerifyingKey::from_pem`].
    pub fn ed25519_pem(pem: impl AsRef<[u8]>) -> Result<Self, InvalidVerifyingKey> {
        Self::from_pem(JwtAlgorithm::EdDSA, pem)
    }

    /// Tokens signed by `algorithm`; the public key in PEM.
    ///
    /// # Errors
    ///
    /// Those of [`VerifyingKey::from_pem`].
    pub fn from_pem(algorithm: JwtAlgorithm, pem: impl AsRef<[u8]>) -> Result<Self, InvalidVerifyingKey> {
        VerifyingKey::from_pem(algorithm, pem).map(Self::new)
    }

    /// Tolerance for the difference between the issuer's clock and this one. Default: 30 s. Maximum: 1 day.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.rules.leeway = leeway.min(Self::MAX_LEEWAY);
        self
    }

    /// Required issuer: only tokens with this `iss` are valid.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.rules.issuer = Some(issuer.into());
        self
    }

    /// Required audience: only tokens with this `aud`, alone or among others, are valid. Default: none, which refuses tokens that
    /// have an `aud`, since they were issued for another service.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.rules.audience = Some(audience.into());
        self
    }

    /// Name of the claim that holds the key, instead of `sub`. The claim must be a string.
    #[must_use]
    pub fn subject_claim(mut self, name: impl Into<String>) -> Self {
        self.rules.subject = name.into();
        self
    }

    /// Also reads the claims as a type of the application. The value is in the identity of the session:
    /// `session.identity().get::<C>()`. A token whose claims are not a `C` is refused.
    ///
    /// `C` is any type that serde can deserialize. [`serde_json::Value`] holds all claims. The last call wins.
    #[must_use]
    pub fn claims<C>(mut self) -> Self
    where
        C: DeserializeOwned + Clone + Send + Sync + 'static,
    {
        self.claims = Some(|claims, identity| {
            let claims: C = serde_json::from_slice(claims).ok()?;
            Some(identity.with(claims))
        });
        self
    }

    /// Places for a token, instead of path, `?token=`, bearer and subprotocol.
    #[must_use]
    pub fn sources(mut self, sources: impl IntoIterator<Item = CredentialSource>) -> Self {
        self.sources = sources.into_iter().collect();
        self
    }

    /// Longest token, in bytes. Default: 8 KiB. A longer token is refused before it is parsed.
    #[must_use]
    pub fn token_bytes(mut self, bytes: usize) -> Self {
        self.token_bytes = bytes;
        self
    }

    /// Verifies a token from another source.
    ///
    /// # Errors
    ///
    /// - [`Rejection::Expired`] if the token has expired and is otherwise valid.
    /// - [`Rejection::NotYet`] if its `nbf` is in the future and it is otherwise valid, or if no key fits and the set of keys may
    ///   change ([`VerifyingKeys`], [`Jwks`]).
    /// - [`Rejection::Unavailable`] if no keys have been read yet ([`Jwks`]).
    /// - [`Rejection::Invalid`] in all other cases.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped. It waits only for [`Jwks`], which needs tokio's runtime.
    pub async fn verify(&self, token: &str) -> Result<Identity, Rejection> {
        Ok(self.check(token).await?)
    }

    async fn check(&self, token: &str) -> Result<Identity, Refused> {
        if token.len() > self.token_bytes {
            return Err(Refused::invalid("it is too long. Setting: JwtKey::token_bytes"));
        }
        let token = Token::read(token)?;
        let claims = self.keys.verify(&token).await?;
        let subject = self.rules.check(&claims)?;
        let current = subject.check_time(time_of_day());
        let mut identity = Identity::new(subject.key).expiring_at(subject.expires_at);
        if let Some(read) = self.claims {
            identity = read(&claims, identity).ok_or(CLAIMS)?;
        }
        // The time is judged last, so that this rejection means that nothing else is wrong.
        current.map(|()| identity)
    }
}

const CLAIMS: Refused = Refused::invalid("its claims are not of the type that JwtKey::claims reads");

#[async_trait]
impl KeyExtractor for JwtKey {
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
        let token = read_only(&self.sources, handshake)?;
        self.check(&token.ok_or(Rejection::Missing)?).await.map_err(|refused| {
            handshake.explain(format!("the token is refused: {}", refused.why));
            refused.rejection
        })
    }

    async fn refresh(&self, token: &str) -> Result<Identity, Rejection> {
        self.verify(token).await
    }
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtKey")
            .field("keys", &self.keys)
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}

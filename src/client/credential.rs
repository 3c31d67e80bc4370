use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::ClientError;
use crate::deadline::after;

/// A key or a token, with its expiry. A JWT contains its expiry.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use keywire::client::Credential;
///
/// let opaque = Credential::new("dGlja2V0").expiring_at(SystemTime::now() + Duration::from_secs(300));
/// # let _ = opaque;
/// ```
#[derive(Clone)]
pub struct Credential {
    pub(super) text: String,
    pub(super) expires_at: Option<SystemTime>,
}

impl Credential {
    /// A credential. If it is a JWT, its `exp` is its expiry. Otherwise it has no expiry.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let expires_at = expiry(&text);
        Self { text, expires_at }
    }

    /// The expiry on the monotonic clock. `None` if it is unknown or past.
    pub(super) fn end(&self) -> Option<Instant> {
        let left = self.expires_at?.duration_since(SystemTime::now()).ok()?;
        Some(after(Instant::now(), left))
    }

    /// The same credential with this expiry.
    #[must_use]
    pub fn expiring_at(mut self, moment: SystemTime) -> Self {
        self.expires_at = Some(moment);
        self
    }
}

impl From<&str> for Credential {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Credential {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Credential {
    /// Omits the credential itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// The expiry of a JWT. Only the server verifies it.
fn expiry(token: &str) -> Option<SystemTime> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let Claims { exp } = serde_json::from_slice(&claims).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(exp).ok()?)
}

type Asked = BoxFuture<'static, Result<Credential, Box<dyn std::error::Error + Send + Sync>>>;

/// Source of credentials.
#[derive(Clone)]
pub(super) enum Credentials {
    None,
    /// One credential that cannot be exchanged.
    Fixed(Credential),
    Asked(Arc<dyn Fn() -> Asked + Send + Sync>),
}

impl Credentials {
    /// Gets the credential for an attempt. `None`: there is no source. `due` is the deadline.
    pub(super) async fn ask(&self, due: Instant) -> Result<Option<Credential>, ClientError> {
        match self {
            Self::None => Ok(None),
            Self::Fixed(credential) => Ok(Some(credential.clone())),
            Self::Asked(ask) => {
                let asked = timeout_at(due, ask()).await;
                let credential =
                    asked.unwrap_or_else(|_| Err("the application returned none in time".into()));
                credential.map(Some).map_err(ClientError::NoCredential)
            }
        }
    }

    /// Whether another call may return a new credential.
    pub(super) fn is_renewable(&self) -> bool {
        matches!(self, Self::Asked(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jwt_says_when_it_ends() {
        let token = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds));
        assert_eq!(Credential::new(token(r#"{"exp":1000}"#)).expires_at, at(1000.0));
        assert_eq!(Credential::new(token(r#"{"exp":1000.5}"#)).expires_at, at(1000.5));
        for text in ["alice", "a.b.c", "", &token("{}"), &token(r#"{"exp":-1}"#), &token(r#"{"exp":1e300}"#)]
        {
            assert_eq!(Credential::new(text).expires_at, None, "{text}");
        }
    }

    #[test]
    fn debug_keeps_it_to_itself() {
        assert!(!format!("{:?}", Credential::new("s3cret")).contains("s3cret"));
    }
}

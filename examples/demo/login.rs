//! `POST /login`: issues tokens. A real login asks for a password.

use std::time::{Duration, SystemTime};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use keywire::Key;
use keywire::auth::JwtAlgorithm;
use serde::{Deserialize, Serialize};

const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The source of the page's token.
#[derive(Clone)]
pub(crate) enum Login {
    /// The page needs no token.
    No,
    Here(Box<Issuer>),
    /// The owner of the private key issues tokens.
    Elsewhere,
}

#[derive(Deserialize)]
pub(crate) struct Request {
    key: String,
}

#[derive(Serialize)]
pub(crate) struct Ticket {
    token: String,
    key: Key,
    expires_in: u64,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// Signs tokens that the demo accepts.
#[derive(Clone)]
pub(crate) struct Issuer {
    header: Header,
    secret: EncodingKey,
    issuer: Option<String>,
    audience: Option<String>,
}

impl Issuer {
    pub(crate) fn new(
        algorithm: JwtAlgorithm,
        secret: Vec<u8>,
        issuer: Option<String>,
        audience: Option<String>,
    ) -> Self {
        let header = Header::new(match algorithm {
            JwtAlgorithm::HS384 => Algorithm::HS384,
            JwtAlgorithm::HS512 => Algorithm::HS512,
            _ => Algorithm::HS256,
        });
        Self { header, secret: EncodingKey::from_secret(&secret), issuer, audience }
    }

    /// A token for the requested key, or what is wrong with the key.
    pub(crate) fn issue(&self, request: &Request) -> Result<Ticket, String> {
        let key = Key::new(&request.key).map_err(|error| error.to_string())?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let claims = Claims {
            sub: key.as_str(),
            exp: (now + LIFETIME).as_secs(),
            iss: self.issuer.as_deref(),
            aud: self.audience.as_deref(),
        };
        let token =
            jsonwebtoken::encode(&self.header, &claims, &self.secret).map_err(|error| error.to_string())?;
        Ok(Ticket { token, key, expires_in: LIFETIME.as_secs() })
    }
}

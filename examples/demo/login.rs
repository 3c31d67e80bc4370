//! `POST /login`: issues tokens. A real one would ask for a password.

use std::time::{Duration, SystemTime};

use jsonwebtoken::{EncodingKey, Header};
use keywire::Key;
use serde::{Deserialize, Serialize};

const LIFETIME: Duration = Duration::from_secs(60 * 60);

#[derive(Deserialize)]
pub(crate) struct Login {
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
}

/// A token for whoever asks, or what is wrong with the name.
pub(crate) fn issue(login: &Login, secret: &str) -> Result<Ticket, String> {
    let key = Key::new(&login.key).map_err(|error| error.to_string())?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let claims = Claims { sub: key.as_str(), exp: (now + LIFETIME).as_secs() };
    let signed_by = EncodingKey::from_secret(secret.as_bytes());
    let token =
        jsonwebtoken::encode(&Header::default(), &claims, &signed_by).map_err(|error| error.to_string())?;
    Ok(Ticket { token, key, expires_in: LIFETIME.as_secs() })
}

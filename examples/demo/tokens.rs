//! `--jwt-…`: who gets in, and what else the demo needs to know of tokens.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use keywire::auth::{CredentialSource, Jwks, JwtAlgorithm, JwtKey, VerifyingKey};

use crate::login::Issuer;

const DAY: u64 = 24 * 60 * 60;

/// With any of these only tokens get in. They stand in the path, in `?token=`, in `Authorization: Bearer`, in the cookie
/// `keywire` or in a subprotocol.
#[derive(clap::Args, Default)]
#[command(next_help_heading = "Tokens")]
pub(crate) struct TokenOptions {
    /// Let in only who has a token signed with this secret (HMAC); the demo's page logs in with it.
    #[arg(long, value_name = "SECRET", group = "keys", value_parser = NonEmptyStringValueParser::new())]
    jwt_secret: Option<String>,

    /// Let in only who has a token signed with the key in this file: a public key in PEM, or a secret for HMAC, of which
    /// a last line break is no part.
    #[arg(long, value_name = "FILE", group = "keys", requires = "jwt_alg")]
    jwt_key: Option<PathBuf>,

    /// Let in only who has a token signed with a key of this JWK set: a file, or an https URL, which is asked again every
    /// five minutes.
    #[arg(long, value_name = "FILE_OR_URL", group = "keys")]
    jwt_jwks: Option<String>,

    /// How tokens are signed: HS256 (as --jwt-secret without this), HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512,
    /// ES256, ES384 or EdDSA. Of a JWK set only the keys for it are used.
    #[arg(long, value_name = "ALG", requires = "keys")]
    jwt_alg: Option<JwtAlgorithm>,

    /// Let in only tokens with this `iss`.
    #[arg(long, value_name = "ISSUER", requires = "keys")]
    jwt_issuer: Option<String>,

    /// Let in only tokens with this `aud`. Without it those that have one are refused.
    #[arg(long, value_name = "AUDIENCE", requires = "keys")]
    jwt_audience: Option<String>,

    /// By how much the clock of whoever signs may differ [default: 30].
    #[arg(long, value_name = "SECONDS", requires = "keys", value_parser = clap::value_parser!(u64).range(..=DAY))]
    jwt_leeway: Option<u64>,
}

/// What the options ask for.
pub(crate) struct Tokens {
    pub(crate) key: JwtKey,
    /// There only where the demo has a secret to sign with.
    pub(crate) issuer: Option<Issuer>,
}

impl TokenOptions {
    /// Nothing if keys are raw, or what is wrong with the options.
    pub(crate) async fn read(self) -> Result<Option<Tokens>, String> {
        let (mut key, secret) = if let Some(secret) = &self.jwt_secret {
            let (key, secret) = hmac(self.jwt_alg.unwrap_or(JwtAlgorithm::HS256), secret.as_bytes())
                .map_err(|error| format!("--jwt-secret: {error}; public keys are taken by --jwt-key"))?;
            (key, Some(secret))
        } else if let (Some(file), Some(algorithm)) = (&self.jwt_key, self.jwt_alg) {
            let at = |error: &dyn std::fmt::Display| format!("--jwt-key {}: {error}", file.display());
            let text = std::fs::read(file).map_err(|error| at(&error))?;
            if algorithm.is_hmac() {
                let text = text.strip_suffix(b"\n").unwrap_or(&text);
                let (key, secret) =
                    hmac(algorithm, text.strip_suffix(b"\r").unwrap_or(text)).map_err(|error| at(&error))?;
                (key, Some(secret))
            } else {
                (JwtKey::from_pem(algorithm, text).map_err(|error| at(&error))?, None)
            }
        } else if let Some(origin) = &self.jwt_jwks {
            (JwtKey::new(self.jwks(origin).await?), None)
        } else {
            return Ok(None);
        };

        key = key.sources([
            CredentialSource::Path,
            CredentialSource::Query("token".into()),
            CredentialSource::Bearer,
            CredentialSource::Cookie("keywire".into()),
            CredentialSource::Subprotocol,
        ]);
        if let Some(issuer) = &self.jwt_issuer {
            key = key.issuer(issuer);
        }
        if let Some(audience) = &self.jwt_audience {
            key = key.audience(audience);
        }
        if let Some(seconds) = self.jwt_leeway {
            key = key.leeway(Duration::from_secs(seconds));
        }
        let issuer = secret
            .map(|(algorithm, secret)| Issuer::new(algorithm, secret, self.jwt_issuer, self.jwt_audience));
        Ok(Some(Tokens { key, issuer }))
    }

    async fn jwks(&self, origin: &str) -> Result<Jwks, String> {
        let url = origin.starts_with("http://") || origin.starts_with("https://");
        let mut jwks = if url { from_url(origin)? } else { Jwks::from_file(origin) };
        if let Some(algorithm) = self.jwt_alg {
            if url && algorithm.is_hmac() {
                return Err(format!(
                    "--jwt-jwks: {algorithm} needs a secret, which is never taken from a URL"
                ));
            }
            jwks = jwks.algorithms([algorithm]);
        }
        match jwks.load().await {
            // Whoever publishes keys may come up later than we do.
            Err(error) if url => eprintln!("--jwt-jwks {origin}: {error}; asking again when a token comes"),
            Err(error) => return Err(format!("--jwt-jwks {origin}: {error}")),
            Ok(()) => {}
        }
        Ok(jwks)
    }
}

type Secret = (JwtAlgorithm, Vec<u8>);

fn hmac(
    algorithm: JwtAlgorithm,
    secret: &[u8],
) -> Result<(JwtKey, Secret), keywire::auth::InvalidVerifyingKey> {
    let key = VerifyingKey::from_secret(algorithm, secret)?;
    Ok((JwtKey::new(key), (algorithm, secret.to_vec())))
}

#[cfg(feature = "jwks")]
fn from_url(url: &str) -> Result<Jwks, String> {
    Jwks::from_url(url).map_err(|error| format!("--jwt-jwks {url}: {error}"))
}

#[cfg(not(feature = "jwks"))]
fn from_url(url: &str) -> Result<Jwks, String> {
    Err(format!("--jwt-jwks {url}: this demo was built without the feature jwks, which URLs need"))
}

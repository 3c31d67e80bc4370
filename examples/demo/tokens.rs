//! `--jwt-…`: the settings for tokens.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use keywire::auth::{CredentialSource, Jwks, JwtAlgorithm, JwtKey, VerifyingKey};

use crate::login::Issuer;

const DAY: u64 = 24 * 60 * 60;

/// Options for tokens. With any of them a client needs a token: in the path, in `?token=`, in `Authorization: Bearer`, in the
/// cookie `keywire` or in a subprotocol.
#[derive(clap::Args, Default)]
#[command(next_help_heading = "Tokens")]
pub(crate) struct TokenOptions {
    /// Accept tokens signed with this secret (HMAC). The demo's login signs tokens with it.
    #[arg(long, value_name = "SECRET", group = "keys", value_parser = NonEmptyStringValueParser::new())]
    jwt_secret: Option<String>,

    /// Accept tokens signed with the key in this file: a public key in PEM, or a secret for HMAC. A last line break is not part of
    /// the secret.
    #[arg(long, value_name = "FILE", group = "keys", requires = "jwt_alg")]
    jwt_key: Option<PathBuf>,

    /// Accept tokens signed with a key of this JWK set: a file, or an https URL, which is read again every five minutes.
    #[arg(long, value_name = "FILE_OR_URL", group = "keys")]
    jwt_jwks: Option<String>,

    /// Signature algorithm: HS256 (default with --jwt-secret), HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384
    /// or EdDSA. Of a JWK set only the keys for this algorithm are used.
    #[arg(long, value_name = "ALG", requires = "keys")]
    jwt_alg: Option<JwtAlgorithm>,

    /// Accept only tokens with this `iss`.
    #[arg(long, value_name = "ISSUER", requires = "keys")]
    jwt_issuer: Option<String>,

    /// Accept only tokens with this `aud`. Without this option, tokens with an `aud` are refused.
    #[arg(long, value_name = "AUDIENCE", requires = "keys")]
    jwt_audience: Option<String>,

    /// Tolerance for the issuer's clock [default: 30].
    #[arg(long, value_name = "SECONDS", requires = "keys", value_parser = clap::value_parser!(u64).range(..=DAY))]
    jwt_leeway: Option<u64>,
}

/// The result of the options.
pub(crate) struct Tokens {
    pub(crate) key: JwtKey,
    /// `None`: the demo has no secret to sign with.
    pub(crate) issuer: Option<Issuer>,
}

impl TokenOptions {
    /// Reads the options. `None`: keys are raw. `Err`: what is wrong.
    pub(crate) async fn read(self) -> Result<Option<Tokens>, String> {
        let (mut key, secret) = if let Some(secret) = &self.jwt_secret {
            let (key, secret) = hmac(self.jwt_alg.unwrap_or(JwtAlgorithm::HS256), secret.as_bytes())
                .map_err(|error| format!("--jwt-secret: {error}; use --jwt-key for a public key"))?;
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
                    "--jwt-jwks: {algorithm} needs a secret, and secrets are not read from URLs"
                ));
            }
            jwks = jwks.algorithms([algorithm]);
        }
        match jwks.load().await {
            // The server of the keys may start later than the demo.
            Err(error) if url => eprintln!("--jwt-jwks {origin}: {error}; trying again when a token comes"),
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
    Err(format!("--jwt-jwks {url}: a URL needs the feature jwks, which this demo was built without"))
}

//! Reads a JWK set (RFC 7517).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::algorithm::JwtAlgorithm;
use super::key::VerifyingKey;
use super::key_list::KeyList;

/// A string is not a usable JWK set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidJwks {
    /// The string is not JSON with a list of `keys`.
    #[error("not a JWK set: it must be {{\"keys\":[…]}}")]
    Malformed,
    /// The set has no key that verifies signatures by an allowed algorithm.
    #[error("no key in the JWK set verifies signatures by an allowed algorithm")]
    NoKey,
}

#[derive(Deserialize)]
struct Set<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// The members that keywire reads (RFC 7517, section 4; RFC 7518, section 6; RFC 8037, section 2).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    k: Option<String>,
}

/// Reads the usable keys. Other keys are left out (RFC 7517, section 5).
pub(super) fn read_set(text: &[u8], algorithms: &[JwtAlgorithm]) -> Result<KeyList, InvalidJwks> {
    let set: Set<'_> = serde_json::from_slice(text).map_err(|_| InvalidJwks::Malformed)?;
    let keys: Vec<_> = set.keys.into_iter().filter_map(|jwk| read(jwk, algorithms)).collect();
    if keys.is_empty() { Err(InvalidJwks::NoKey) } else { Ok(KeyList(keys)) }
}

fn read(jwk: &RawValue, allowed: &[JwtAlgorithm]) -> Option<(Option<String>, VerifyingKey)> {
    let jwk: Jwk = serde_json::from_str(jwk.get()).ok()?;
    if jwk.r#use.as_deref().is_some_and(|usage| usage != "sig") {
        return None;
    }
    if jwk.key_ops.as_deref().is_some_and(|operations| !operations.iter().any(|one| one == "verify")) {
        return None;
    }
    let algorithm = algorithm(&jwk, allowed)?;
    let key = match (&*jwk.kty, jwk.crv.as_deref()) {
        ("RSA", _) => VerifyingKey::rsa(algorithm, &decode(jwk.n)?, &decode(jwk.e)?),
        ("EC", Some("P-256")) => VerifyingKey::p256(algorithm, &point(&jwk, 32)?),
        ("EC", Some("P-384")) => VerifyingKey::p384(algorithm, &point(&jwk, 48)?),
        ("OKP", Some("Ed25519")) => VerifyingKey::ed25519(algorithm, &decode(jwk.x)?),
        ("oct", _) => VerifyingKey::from_secret(algorithm, &decode(jwk.k)?),
        _ => return None,
    };
    Some((jwk.kid, key.ok()?))
}

/// The algorithm of the key, or the usual algorithm for its kind.
fn algorithm(jwk: &Jwk, allowed: &[JwtAlgorithm]) -> Option<JwtAlgorithm> {
    let mut allowed = allowed.iter().copied();
    if let Some(named) = &jwk.alg {
        return allowed.find(|algorithm| algorithm.name() == named);
    }
    match (&*jwk.kty, jwk.crv.as_deref()) {
        ("RSA", _) => {
            let rsa: Vec<_> = allowed.filter(|algorithm| algorithm.is_rsa()).collect();
            rsa.iter().find(|algorithm| **algorithm == JwtAlgorithm::RS256).or(rsa.first()).copied()
        }
        ("EC", Some("P-256")) => allowed.find(|algorithm| *algorithm == JwtAlgorithm::ES256),
        ("EC", Some("P-384")) => allowed.find(|algorithm| *algorithm == JwtAlgorithm::ES384),
        ("OKP", _) => allowed.find(|algorithm| *algorithm == JwtAlgorithm::EdDSA),
        ("oct", _) => allowed.find(|algorithm| algorithm.is_hmac()),
        _ => None,
    }
}

/// An uncompressed point (SEC 1, section 2.3.3). Each coordinate has the full length (RFC 7518, section 6.2.1.2).
fn point(jwk: &Jwk, bytes: usize) -> Option<Vec<u8>> {
    let (x, y) = (decode(jwk.x.as_deref())?, decode(jwk.y.as_deref())?);
    (x.len() == bytes && y.len() == bytes).then(|| [&[4], &*x, &*y].concat())
}

fn decode(member: Option<impl AsRef<str>>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(member?.as_ref()).ok()
}

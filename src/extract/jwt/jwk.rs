//! Reads a JWK set (RFC 7517).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use rsa::BigUint;
use serde::Deserialize;
use serde_json::Value;

use super::algorithm::JwtAlgorithm;
use super::key::VerifyingKey;
use super::keys::KeyList;

/// Why a text cannot serve as a set of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidJwks {
    /// It is not JSON with a list of `keys`.
    #[error("not a JWK set: {{\"keys\":[…]}}")]
    Malformed,
    /// None of its keys is for checking signatures by an algorithm that is allowed.
    #[error("no key in the JWK set is for checking signatures by an algorithm that is allowed")]
    NoKey,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// The keys of use here. What is not understood is left out (RFC 7517, section 5).
pub(super) fn read_set(text: &[u8], algorithms: &[JwtAlgorithm]) -> Result<KeyList, InvalidJwks> {
    let set: Set = serde_json::from_slice(text).map_err(|_| InvalidJwks::Malformed)?;
    let keys: Vec<_> = set.keys.into_iter().filter_map(|jwk| read(jwk, algorithms)).collect();
    if keys.is_empty() { Err(InvalidJwks::NoKey) } else { Ok(KeyList(keys)) }
}

fn read(jwk: Value, allowed: &[JwtAlgorithm]) -> Option<(Option<String>, VerifyingKey)> {
    let Jwk { common, algorithm: parameters } = serde_json::from_value(jwk).ok()?;
    if common.public_key_use.is_some_and(|usage| usage != PublicKeyUse::Signature) {
        return None;
    }
    if common.key_operations.is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
        return None;
    }
    let algorithm = algorithm(common.key_algorithm, &parameters, allowed)?;
    let key = match parameters {
        AlgorithmParameters::RSA(rsa) => {
            let (n, e) = (BigUint::from_bytes_be(&decode(&rsa.n)?), BigUint::from_bytes_be(&decode(&rsa.e)?));
            VerifyingKey::rsa(algorithm, &rsa::RsaPublicKey::new(n, e).ok()?)
        }
        AlgorithmParameters::EllipticCurve(ec) => {
            let wanted = match ec.curve {
                EllipticCurve::P256 => JwtAlgorithm::ES256,
                EllipticCurve::P384 => JwtAlgorithm::ES384,
                _ => return None,
            };
            // An uncompressed point (SEC 1, section 2.3.3).
            VerifyingKey::elliptic(algorithm, wanted, &[&[4], &*decode(&ec.x)?, &*decode(&ec.y)?].concat())
        }
        AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => {
            VerifyingKey::ed25519(algorithm, &decode(&okp.x)?)
        }
        AlgorithmParameters::OctetKey(oct) => VerifyingKey::from_secret(algorithm, &decode(&oct.value)?),
        _ => return None,
    };
    Some((common.key_id, key.ok()?))
}

/// What the key says that it is for, or what keys of its kind are mostly for.
fn algorithm(
    named: Option<KeyAlgorithm>,
    parameters: &AlgorithmParameters,
    allowed: &[JwtAlgorithm],
) -> Option<JwtAlgorithm> {
    let mut allowed = allowed.iter().copied();
    if let Some(named) = named {
        return allowed.find(|algorithm| KeyAlgorithm::from(algorithm.inner()) == named);
    }
    match parameters {
        AlgorithmParameters::RSA(_) => {
            let rsa: Vec<_> = allowed.filter(|algorithm| algorithm.is_rsa()).collect();
            rsa.iter().find(|algorithm| **algorithm == JwtAlgorithm::RS256).or(rsa.first()).copied()
        }
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P384 => {
            allowed.find(|algorithm| *algorithm == JwtAlgorithm::ES384)
        }
        AlgorithmParameters::EllipticCurve(_) => allowed.find(|algorithm| *algorithm == JwtAlgorithm::ES256),
        AlgorithmParameters::OctetKeyPair(_) => allowed.find(|algorithm| *algorithm == JwtAlgorithm::EdDSA),
        AlgorithmParameters::OctetKey(_) => allowed.find(|algorithm| algorithm.is_hmac()),
        _ => None,
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

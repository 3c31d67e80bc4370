//! The three parts of a token before verification (RFC 7515, section 3.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::algorithm::JwtAlgorithm;
use super::key::VerifyingKey;
use crate::rejection::Rejection;

pub(super) struct Token<'a> {
    /// The algorithm that the token names. It selects a key, and the key sets the algorithm.
    pub(super) algorithm: JwtAlgorithm,
    /// The name of the key that signed the token.
    pub(super) kid: Option<String>,
    signed: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
}

impl<'a> Token<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, Rejection> {
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Rejection::Invalid);
        };
        let header = decode(header)?;
        // Fails on deep nesting, even in parameters that keywire does not read.
        let names: Map<String, Value> = serde_json::from_slice(&header).map_err(|_| Rejection::Invalid)?;
        if REFUSED.iter().any(|name| names.contains_key(*name)) {
            return Err(Rejection::Invalid);
        }
        let header: Header = serde_json::from_slice(&header).map_err(|_| Rejection::Invalid)?;
        let algorithm = header.alg.parse().map_err(|_| Rejection::Invalid)?;
        let signed = &text[..text.len() - signature.len() - 1];
        Ok(Self { algorithm, kid: header.kid, signed, claims, signature: decode(signature)? })
    }

    /// The bytes of the claims, if `key` signed them.
    pub(super) fn verified_by(&self, key: &VerifyingKey) -> Result<Vec<u8>, Rejection> {
        let genuine =
            self.algorithm == key.algorithm() && key.verify(self.signed.as_bytes(), &self.signature);
        if genuine { decode(self.claims) } else { Err(Rejection::Invalid) }
    }
}

/// The parameters that RFC 7515, section 4.1, names. A wrong type or a repeated parameter is refused, even if the parameter
/// has no effect.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    #[serde(rename = "typ")]
    _typ: Option<String>,
    #[serde(rename = "cty")]
    _cty: Option<String>,
    #[serde(rename = "jku")]
    _jku: Option<String>,
    #[serde(rename = "jwk")]
    _jwk: Option<Map<String, Value>>,
    #[serde(rename = "x5u")]
    _x5u: Option<String>,
    #[serde(rename = "x5c")]
    _x5c: Option<Vec<String>>,
    #[serde(rename = "x5t")]
    _x5t: Option<String>,
    #[serde(rename = "x5t#S256")]
    _x5t_s256: Option<String>,
}

/// Parameters that change how a token is read and that keywire does not support: critical extensions (RFC 7515, section 4.1.11),
/// unencoded claims (RFC 7797), and encryption and compression (RFC 7516, section 4.1).
const REFUSED: [&str; 4] = ["crit", "b64", "enc", "zip"];

/// Decodes base64url. Accepts only one spelling of the bytes: no padding, no trailing bits.
fn decode(part: &str) -> Result<Vec<u8>, Rejection> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Rejection::Invalid)
}

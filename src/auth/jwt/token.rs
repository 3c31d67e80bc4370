//! The three parts of a token, before verification (RFC 7515, section 3.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::algorithm::JwtAlgorithm;
use super::key::VerifyingKey;
use crate::rejection::Rejection;

pub(super) struct Token<'a> {
    /// The algorithm that the token names. It only selects a key, and the key decides.
    pub(super) algorithm: JwtAlgorithm,
    /// The name of the signer's key.
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
        // Fails on deep nesting, also in parts that nothing reads.
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

/// The parameters that RFC 7515, section 4.1, names. One of another type than there, or one that stands twice, is
/// refused, also where it has no effect.
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

/// What changes how the rest is to be read, or says that it must be understood, and is not: extensions (RFC
/// 7515, section 4.1.11), claims that are not encoded (RFC 7797), encrypted or compressed (RFC 7516, section 4.1).
const REFUSED: [&str; 4] = ["crit", "b64", "enc", "zip"];

/// Takes the one spelling of the bytes only: no padding, no bits left over.
fn decode(part: &str) -> Result<Vec<u8>, Rejection> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Rejection::Invalid)
}

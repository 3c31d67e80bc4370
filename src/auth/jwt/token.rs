//! The three parts of a token before verification (RFC 7515, section 3.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::algorithm::JwtAlgorithm;
use super::key::VerifyingKey;
use super::refused::Refused;

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
    pub(super) fn read(text: &'a str) -> Result<Self, Refused> {
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refused::invalid("it is not three parts with dots between them"));
        };
        let header = decode(header)?;
        // Fails on deep nesting, even in parameters that keywire does not read.
        let names: Map<String, Value> = serde_json::from_slice(&header).map_err(|_| HEADER)?;
        if REFUSED.iter().any(|name| names.contains_key(*name)) {
            return Err(Refused::invalid(
                "its header has a parameter that is not supported (crit, b64, enc, zip)",
            ));
        }
        let header: Header = serde_json::from_slice(&header).map_err(|_| HEADER)?;
        let algorithm = header.alg.parse().map_err(|_| Refused::invalid("its algorithm is not supported"))?;
        let signed = &text[..text.len() - signature.len() - 1];
        Ok(Self { algorithm, kid: header.kid, signed, claims, signature: decode(signature)? })
    }

    /// The bytes of the claims, if `key` signed them.
    pub(super) fn verified_by(&self, key: &VerifyingKey) -> Result<Vec<u8>, Refused> {
        if self.algorithm != key.algorithm() {
            return Err(Refused::invalid("its algorithm is not that of the key"));
        }
        if !key.verify(self.signed.as_bytes(), &self.signature) {
            return Err(Refused::invalid("its signature is wrong"));
        }
        decode(self.claims)
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

const HEADER: Refused = Refused::invalid("its header is not valid");

/// Parameters that change how a token is read and that keywire does not support: critical extensions (RFC 7515, section 4.1.11),
/// unencoded claims (RFC 7797), and encryption and compression (RFC 7516, section 4.1).
const REFUSED: [&str; 4] = ["crit", "b64", "enc", "zip"];

/// Decodes base64url. Accepts only one spelling of the bytes: no padding, no trailing bits.
fn decode(part: &str) -> Result<Vec<u8>, Refused> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::invalid("a part of it is not base64url"))
}

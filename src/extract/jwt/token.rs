//! The three parts of a token, before anything in it is believed (RFC 7515, section 3.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::key::VerifyingKey;
use crate::rejection::Rejection;

pub(super) struct Token<'a> {
    /// What the token says of itself: good for finding a key, which then decides.
    pub(super) algorithm: Algorithm,
    /// Which of the signer's keys it is.
    pub(super) kid: Option<String>,
    signed: &'a str,
    claims: &'a str,
    signature: &'a str,
}

impl<'a> Token<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, Rejection> {
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Rejection::Invalid);
        };
        let names: Map<String, Value> =
            serde_json::from_slice(&decode(header)?).map_err(|_| Rejection::Invalid)?;
        if REFUSED.iter().any(|name| names.contains_key(*name)) {
            return Err(Rejection::Invalid);
        }
        // Knows the type of each parameter, and refuses one that is given twice.
        let header = jsonwebtoken::decode_header(text).map_err(|_| Rejection::Invalid)?;
        let signed = &text[..text.len() - signature.len() - 1];
        Ok(Self { algorithm: header.alg, kid: header.kid, signed, claims, signature })
    }

    /// The bytes of the claims, if `key` signed them.
    pub(super) fn verified_by(&self, key: &VerifyingKey) -> Result<Vec<u8>, Rejection> {
        let genuine =
            key.is_for(self.algorithm) && key.verify(self.signed.as_bytes(), &decode(self.signature)?);
        if genuine { decode(self.claims) } else { Err(Rejection::Invalid) }
    }
}

/// What changes how the rest is to be read, or says that it must be understood, and is not: extensions (RFC
/// 7515, section 4.1.11), claims that are not encoded (RFC 7797), encrypted or compressed (RFC 7516, section 4.1).
const REFUSED: [&str; 4] = ["crit", "b64", "enc", "zip"];

/// Takes the one spelling of the bytes only: no padding, no bits left over.
fn decode(part: &str) -> Result<Vec<u8>, Rejection> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Rejection::Invalid)
}

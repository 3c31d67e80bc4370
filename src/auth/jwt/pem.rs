//! Reads public keys (RFC 7468, RFC 5280 section 4.1.2.7, RFC 8017 appendix A.1.1).

use pem_rfc7468::decode_vec;
use spki::der::asn1::UintRef;
use spki::der::{Decode as _, Reader as _, SliceReader};
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::invalid_key::InvalidVerifyingKey;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The numbers of a key as in the PEM text, not validated.
pub(super) enum PublicKey {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

pub(super) fn read(text: &[u8]) -> Result<PublicKey, InvalidVerifyingKey> {
    let (label, der) = decode_vec(text.trim_ascii()).map_err(|_| InvalidVerifyingKey::NotPem)?;
    match label {
        "PUBLIC KEY" => public_key(&der),
        "RSA PUBLIC KEY" => rsa_key(&der),
        label if label.ends_with("PRIVATE KEY") => Err(InvalidVerifyingKey::Private),
        _ => Err(InvalidVerifyingKey::NotPublicKey),
    }
}

fn public_key(der: &[u8]) -> Result<PublicKey, InvalidVerifyingKey> {
    let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| InvalidVerifyingKey::Damaged)?;
    let key = info.subject_public_key.as_bytes().ok_or(InvalidVerifyingKey::Damaged)?;
    match (info.algorithm.oid, info.algorithm.parameters_oid()) {
        (RSA, _) => rsa_key(key),
        (EC, Ok(P256)) => Ok(PublicKey::P256(key.to_vec())),
        (EC, Ok(P384)) => Ok(PublicKey::P384(key.to_vec())),
        (ED25519, _) => Ok(PublicKey::Ed25519(key.to_vec())),
        _ => Err(InvalidVerifyingKey::NotPublicKey),
    }
}

fn rsa_key(der: &[u8]) -> Result<PublicKey, InvalidVerifyingKey> {
    let parts = SliceReader::new(der).and_then(|mut reader| {
        let parts = reader.sequence(|parts| Ok((UintRef::decode(parts)?, UintRef::decode(parts)?)))?;
        reader.finish(parts)
    });
    let (n, e) = parts.map_err(|_| InvalidVerifyingKey::Damaged)?;
    Ok(PublicKey::Rsa { n: n.as_bytes().to_vec(), e: e.as_bytes().to_vec() })
}

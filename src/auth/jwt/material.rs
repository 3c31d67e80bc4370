//! Key material, and signature verification with ring (RFC 7518, section 3; RFC 8037, section 3.1).

use ring::agreement::{self, EphemeralPrivateKey, agree_ephemeral};
use ring::hmac::{self, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512};
use ring::rand::SystemRandom;
use ring::signature as sig;

use super::algorithm::JwtAlgorithm;
use super::invalid_key::InvalidVerifyingKey;

/// The numbers of a key in a normal form, so that equal keys have equal material.
#[derive(PartialEq, Eq)]
pub(super) enum Material {
    /// A secret for HMAC.
    Secret(Box<[u8]>),
    /// Modulus and exponent, big-endian, without leading zeros.
    Rsa { n: Box<[u8]>, e: Box<[u8]> },
    /// A point: uncompressed (SEC 1, section 2.3.3) for ECDSA, encoded as in RFC 8032 for Ed25519.
    Point(Box<[u8]>),
}

/// Verification function of an algorithm, by the kind of material that it needs.
enum Check {
    Hmac(hmac::Algorithm),
    Rsa(&'static sig::RsaParameters),
    Point(&'static dyn sig::VerificationAlgorithm),
}

impl Material {
    /// Sizes of RSA keys in bits. The minimum is that of RFC 7518, section 3.3. Larger keys are expensive to verify with.
    const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Result<Self, InvalidVerifyingKey> {
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        if !Self::RSA_BITS.contains(&bits) {
            return Err(InvalidVerifyingKey::RsaSize(bits));
        }
        // The checks of ring are repeated here, since ring reports a bad key only when it verifies a signature.
        let odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
        let exponent = e.iter().take(6).fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
        if !odd(n) || !odd(e) || !(3..1 << 33).contains(&exponent) {
            return Err(InvalidVerifyingKey::Damaged);
        }
        Ok(Self::Rsa { n: n.into(), e: e.into() })
    }

    pub(super) fn p256(point: &[u8]) -> Result<Self, InvalidVerifyingKey> {
        Self::on_curve(&agreement::ECDH_P256, point)
    }

    pub(super) fn p384(point: &[u8]) -> Result<Self, InvalidVerifyingKey> {
        Self::on_curve(&agreement::ECDH_P384, point)
    }

    /// Validates a point by a key agreement, since ring has no function for this alone.
    fn on_curve(curve: &'static agreement::Algorithm, point: &[u8]) -> Result<Self, InvalidVerifyingKey> {
        if matches!(point, [2 | 3, ..]) {
            return Err(InvalidVerifyingKey::CompressedPoint);
        }
        // If there are no random numbers, the point is validated only with each signature.
        if let Ok(ours) = EphemeralPrivateKey::generate(curve, &SystemRandom::new()) {
            agree_ephemeral(ours, &agreement::UnparsedPublicKey::new(curve, point), |_| ())
                .map_err(|_| InvalidVerifyingKey::Damaged)?;
        }
        Ok(Self::Point(point.into()))
    }

    pub(super) fn ed25519(key: &[u8]) -> Result<Self, InvalidVerifyingKey> {
        if key.len() != sig::ED25519_PUBLIC_KEY_LEN {
            return Err(InvalidVerifyingKey::Damaged);
        }
        Ok(Self::Point(key.into()))
    }

    /// Whether `signature` is a valid signature of `message` by this material under `algorithm`.
    pub(super) fn verify(&self, algorithm: JwtAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        match (check(algorithm), self) {
            (Check::Hmac(hash), Self::Secret(secret)) => {
                hmac::verify(&hmac::Key::new(hash, secret), message, signature).is_ok()
            }
            (Check::Rsa(parameters), Self::Rsa { n, e }) => {
                sig::RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }
            (Check::Point(curve), Self::Point(point)) => {
                sig::UnparsedPublicKey::new(curve, point).verify(message, signature).is_ok()
            }
            _ => false,
        }
    }
}

fn check(algorithm: JwtAlgorithm) -> Check {
    match algorithm {
        JwtAlgorithm::HS256 => Check::Hmac(HMAC_SHA256),
        JwtAlgorithm::HS384 => Check::Hmac(HMAC_SHA384),
        JwtAlgorithm::HS512 => Check::Hmac(HMAC_SHA512),
        JwtAlgorithm::RS256 => Check::Rsa(&sig::RSA_PKCS1_2048_8192_SHA256),
        JwtAlgorithm::RS384 => Check::Rsa(&sig::RSA_PKCS1_2048_8192_SHA384),
        JwtAlgorithm::RS512 => Check::Rsa(&sig::RSA_PKCS1_2048_8192_SHA512),
        JwtAlgorithm::PS256 => Check::Rsa(&sig::RSA_PSS_2048_8192_SHA256),
        JwtAlgorithm::PS384 => Check::Rsa(&sig::RSA_PSS_2048_8192_SHA384),
        JwtAlgorithm::PS512 => Check::Rsa(&sig::RSA_PSS_2048_8192_SHA512),
        JwtAlgorithm::ES256 => Check::Point(&sig::ECDSA_P256_SHA256_FIXED),
        JwtAlgorithm::ES384 => Check::Point(&sig::ECDSA_P384_SHA384_FIXED),
        JwtAlgorithm::EdDSA => Check::Point(&sig::ED25519),
    }
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

//! What the hostile tokens are made for, and what an attacker has.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::support::tokens::{Signer, base64url, claims, der, fixture, with};

pub(crate) const SECRET: &[u8] = b"the secret of the tests, longer than 32 bytes";

pub(crate) struct Target {
    /// The name of the one algorithm that is good.
    pub(crate) alg: &'static str,
    /// What signs good tokens. Nobody hostile has it, but an issuer may be made to sign strange things.
    pub(crate) signer: Signer,
    /// A key of the attacker's own, of the same kind.
    pub(crate) attacker: Signer,
    /// The attacker's own public key, for headers that recommend it.
    pub(crate) attackers_jwk: Value,
    /// What anybody knows of the good key, to be tried as a secret for HMAC.
    pub(crate) known: Vec<(&'static str, Vec<u8>)>,
    /// Other algorithms that the good key itself could sign by.
    pub(crate) siblings: Vec<Signer>,
}

impl Target {
    pub(crate) fn hs256() -> Self {
        let sibling = |algorithm| Signer::hmac(algorithm, SECRET);
        let attackers = b"the attacker's own secret, 32 bytes long";
        Self {
            alg: "HS256",
            signer: Signer::hmac(Algorithm::HS256, SECRET),
            attacker: Signer::hmac(Algorithm::HS256, attackers),
            attackers_jwk: json!({ "kty": "oct", "alg": "HS256", "k": base64url(attackers) }),
            known: vec![
                ("no secret", vec![]),
                ("secret", b"secret".to_vec()),
                ("the name of the algorithm", b"HS256".to_vec()),
                ("a shorter secret", SECRET[..SECRET.len() - 1].to_vec()),
                ("a longer secret", [SECRET, b"\n"].concat()),
                ("the secret in base64", base64url(SECRET).into_bytes()),
                ("the secret in capitals", SECRET.to_ascii_uppercase()),
                ("a public key", fixture("rsa.public.pem").into_bytes()),
            ],
            siblings: [Algorithm::HS384, Algorithm::HS512].map(sibling).into(),
        }
    }

    pub(crate) fn rs256() -> Self {
        let all = [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
        let pkcs1 = der(&fixture("rsa.pkcs1.pem"));
        // In DER: SEQUENCE and INTEGER with lengths of two bytes and a sign, 256 bytes of modulus; 65537 is the end.
        let modulus = &pkcs1[9..265];
        let jwk = json!({ "kty": "RSA", "n": base64url(modulus), "e": "AQAB" });
        let other = der(&fixture("rsa-other.private.pem"));
        let mut known = public("rsa.public.pem", &jwk);
        known.extend([
            ("the key in PKCS #1", pkcs1.clone()),
            ("the PEM in PKCS #1", fixture("rsa.pkcs1.pem").into_bytes()),
            ("the modulus", modulus.to_vec()),
        ]);
        Self {
            alg: "RS256",
            signer: Signer::fixture(Algorithm::RS256, "rsa"),
            attacker: Signer::fixture(Algorithm::RS256, "rsa-other"),
            // Behind the version comes the modulus.
            attackers_jwk: json!({ "kty": "RSA", "alg": "RS256", "n": base64url(&other[12..268]), "e": "AQAB" }),
            known,
            siblings: all.map(|algorithm| Signer::fixture(algorithm, "rsa")).into(),
        }
    }

    pub(crate) fn es256() -> Self {
        let point = |der: &[u8]| {
            let (x, y) = der[der.len() - 64..].split_at(32);
            json!({ "kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y) })
        };
        let own = der(&fixture("p256.public.pem"));
        let mut known = public("p256.public.pem", &point(&own));
        known.extend([
            ("the point", own[own.len() - 65..].to_vec()),
            ("both coordinates", own[own.len() - 64..].to_vec()),
            ("a coordinate", own[own.len() - 64..own.len() - 32].to_vec()),
        ]);
        Self {
            alg: "ES256",
            signer: Signer::fixture(Algorithm::ES256, "p256"),
            attacker: Signer::fixture(Algorithm::ES256, "p256-other"),
            // A private key in PKCS #8 as openssl writes it ends with the public point.
            attackers_jwk: point(&der(&fixture("p256-other.private.pem"))),
            known,
            siblings: vec![],
        }
    }

    pub(crate) fn good(&self) -> String {
        self.signer.token(&claims("alice"))
    }

    /// The header of a good token, with more in it.
    pub(crate) fn header(&self, more: Value) -> Value {
        with(&json!({ "alg": self.alg, "typ": "JWT" }), &more)
    }
}

/// The forms in which a public key goes about.
fn public(pem: &str, jwk: &Value) -> Vec<(&'static str, Vec<u8>)> {
    let pem = fixture(pem);
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    vec![
        ("the PEM", pem.clone().into_bytes()),
        ("the PEM without its last line break", pem.trim_end().into()),
        ("the PEM with CRLF", pem.replace('\n', "\r\n").into_bytes()),
        ("the PEM in one line", pem.replace('\n', "\\n").into_bytes()),
        ("the PEM's body", body.into_bytes()),
        ("the DER", der(&pem)),
        ("the JWK", jwk.to_string().into_bytes()),
        ("the JWK set", json!({ "keys": [jwk] }).to_string().into_bytes()),
        ("no secret", vec![]),
    ]
}

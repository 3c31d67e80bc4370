//! What tokens are signed with: every algorithm, the keys that are refused, and several at a time.
#![cfg(all(feature = "warp", feature = "jwt"))]

mod support;

use jsonwebtoken::Algorithm;
use keywire::Hub;
use keywire::auth::{
    InvalidJwks, InvalidVerifyingKey as Wrong, JwtAlgorithm, JwtKey, Rejection, VerifyingKey, VerifyingKeys,
};
use serde_json::json;
use support::Server;
use support::tokens::{Signer, base64url, claims, der, fixture};

const SECRET: &[u8] = b"the secret of the tests, which has room for HS512: 64 bytes and more";

async fn lets_in(server: &Server, token: &str) -> bool {
    match support::Client::connect(server.addr, &format!("/websocket/{token}"), &[]).await {
        Ok(mut client) => {
            client.ping().await;
            true
        }
        Err(_) => false,
    }
}

/// What signs and what checks, for each algorithm.
fn all() -> Vec<(Signer, JwtKey)> {
    let hmac = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512].map(|algorithm| {
        let own = format!("{algorithm:?}").parse().expect("the same name");
        (
            Signer::hmac(algorithm, SECRET),
            JwtKey::new(VerifyingKey::from_secret(own, SECRET).expect("a secret")),
        )
    });
    let public = [
        (Algorithm::RS256, "rsa", JwtKey::rs256_pem(fixture("rsa.public.pem"))),
        (Algorithm::RS384, "rsa", JwtKey::from_pem(JwtAlgorithm::RS384, fixture("rsa.public.pem"))),
        (Algorithm::RS512, "rsa", JwtKey::from_pem(JwtAlgorithm::RS512, fixture("rsa.pkcs1.pem"))),
        (Algorithm::PS256, "rsa", JwtKey::ps256_pem(fixture("rsa.public.pem"))),
        (Algorithm::PS384, "rsa", JwtKey::from_pem(JwtAlgorithm::PS384, fixture("rsa.public.pem"))),
        (Algorithm::PS512, "rsa", JwtKey::from_pem(JwtAlgorithm::PS512, fixture("rsa.public.pem"))),
        (Algorithm::ES256, "p256", JwtKey::es256_pem(fixture("p256.public.pem"))),
        (Algorithm::ES384, "p384", JwtKey::es384_pem(fixture("p384.public.pem"))),
        (Algorithm::EdDSA, "ed25519", JwtKey::ed25519_pem(fixture("ed25519.public.pem"))),
    ];
    let public =
        public.map(|(algorithm, name, key)| (Signer::fixture(algorithm, name), key.expect("a public key")));
    hmac.into_iter().chain(public).collect()
}

#[tokio::test]
async fn each_algorithm_lets_its_own_tokens_in_and_no_others() {
    let all = all();
    let tokens: Vec<_> = all.iter().map(|(signer, _)| signer.token(&claims("alice"))).collect();
    for (i, (signer, key)) in all.iter().enumerate() {
        let server = Server::start(Hub::builder(key.clone()).build()).await;
        for (j, token) in tokens.iter().enumerate() {
            assert_eq!(lets_in(&server, token).await, i == j, "{:?}, {j}", signer.algorithm());
        }
    }
}

#[test]
fn a_key_of_another_kind_is_refused_and_not_shown() {
    let pem = |algorithm, text: &str| VerifyingKey::from_pem(algorithm, text).unwrap_err();
    let kinds = [
        ("rsa.public.pem", JwtAlgorithm::RS256),
        ("p256.public.pem", JwtAlgorithm::ES256),
        ("p384.public.pem", JwtAlgorithm::ES384),
        ("ed25519.public.pem", JwtAlgorithm::EdDSA),
    ];
    for (name, own) in kinds {
        for (_, other) in kinds.iter().filter(|(_, other)| *other != own) {
            assert_eq!(pem(*other, &fixture(name)), Wrong::WrongKind(*other), "{name}");
        }
        assert_eq!(pem(JwtAlgorithm::HS256, &fixture(name)), Wrong::WrongKind(JwtAlgorithm::HS256));
        let secret = VerifyingKey::from_secret(JwtAlgorithm::HS256, fixture(name).as_bytes());
        assert_eq!(secret.unwrap_err(), Wrong::PemAsSecret);
        assert_eq!(VerifyingKey::from_secret(own, SECRET).unwrap_err(), Wrong::WrongKind(own));
    }
    let rs256 = |text: &str| pem(JwtAlgorithm::RS256, text);
    for name in ["rsa.private.pem", "p256.private.pem", "ed25519.private.pem"] {
        assert_eq!(rs256(&fixture(name)), Wrong::Private, "{name}");
    }
    assert_eq!(rs256(&fixture("tls-localhost.pem")), Wrong::NotPublicKey);
    assert_eq!(rs256(&fixture("secp256k1.public.pem")), Wrong::NotPublicKey);
    assert_eq!(rs256(&fixture("rsa-1024.public.pem")), Wrong::RsaSize(1024));
    assert_eq!(rs256(&fixture("rsa-4104.public.pem")), Wrong::RsaSize(4104));
    let whole = fixture("rsa.public.pem");
    for text in ["", "secret", "-----BEGIN PUBLIC KEY-----", &whole[..200], &whole[30..]] {
        assert_eq!(rs256(text), Wrong::NotPem, "{text}");
    }
    // One byte of the point is another, so that it is not on the curve any more.
    let mut point = der(&fixture("p256.public.pem"));
    *point.last_mut().unwrap() ^= 1;
    assert_eq!(pem(JwtAlgorithm::ES256, &public_pem(&point)), Wrong::Damaged);
    assert_eq!(VerifyingKey::from_secret(JwtAlgorithm::HS256, b"").unwrap_err(), Wrong::EmptySecret);

    let key = JwtKey::hs256(SECRET);
    assert_eq!(
        format!("{key:?}"),
        r#"JwtKey { keys: TrustedKeys(One(VerifyingKey { algorithm: HS256, .. })), sources: [Path, Query("token"), Bearer, Subprotocol], .. }"#
    );
}

fn public_pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n"))
}

#[test]
fn a_key_that_cannot_be_used_is_an_error_that_says_why() {
    let pem = |algorithm, der: &[u8]| VerifyingKey::from_pem(algorithm, public_pem(der)).unwrap_err();
    // Type and curve, then a BIT STRING with the point (SEC 1, section 2.3.3).
    let whole = der(&fixture("p256.public.pem"));
    let (head, point) = whole.split_at(whole.len() - 65);
    let with_point = |point: &[u8]| {
        let mut der = [&head[..head.len() - 2], &[point.len() as u8 + 1, 0], point].concat();
        der[1] = der.len() as u8 - 2;
        der
    };
    assert!(VerifyingKey::from_pem(JwtAlgorithm::ES256, public_pem(&with_point(point))).is_ok());
    for sign in [2, 3] {
        let compressed = with_point(&[&[sign], &point[1..33]].concat());
        let error = pem(JwtAlgorithm::ES256, &compressed);
        assert_eq!(error, Wrong::CompressedPoint);
        assert!(error.to_string().contains("conv_form uncompressed"), "{error}");
    }
    let hybrid = [&[6 + (point[64] & 1)], &point[1..]].concat();
    for bad in [&hybrid[..], &point[..64], &[0], &[], &[4; 65], &[[4].as_slice(), &[0; 64]].concat()] {
        assert_eq!(pem(JwtAlgorithm::ES256, &with_point(bad)), Wrong::Damaged, "{bad:?}");
    }
    assert_eq!(pem(JwtAlgorithm::ES256, &whole[..whole.len() - 1]), Wrong::Damaged, "cut");
    assert_eq!(pem(JwtAlgorithm::ES256, &[&whole[..], &[0]].concat()), Wrong::Damaged, "with more behind it");

    let whole = der(&fixture("ed25519.public.pem"));
    let mut short = whole[..whole.len() - 1].to_vec();
    (short[1], short[10]) = (short[1] - 1, short[10] - 1);
    assert_eq!(pem(JwtAlgorithm::EdDSA, &short), Wrong::Damaged);

    // Modulus and exponent of the fixture, and others in their places.
    let pkcs1 = der(&fixture("rsa.pkcs1.pem"));
    let (n, integer) = (&pkcs1[9..265], |bytes: &[u8]| {
        [&[2, 0x82, (bytes.len() >> 8) as u8, bytes.len() as u8], bytes].concat()
    });
    let rsa = |n: &[u8], e: &[u8]| {
        let e = [&[2, e.len() as u8], e].concat();
        let inner = [integer(n), e].concat();
        let der = [&[0x30, 0x82, (inner.len() >> 8) as u8, inner.len() as u8], &*inner].concat();
        let body = public_pem(&der).replace("PUBLIC KEY", "RSA PUBLIC KEY");
        VerifyingKey::from_pem(JwtAlgorithm::RS256, body).map(|_| ())
    };
    let positive = [&[0], n].concat();
    let even = [&positive[..256], &[n[255] ^ 1]].concat();
    let small = [&[0, n[0] >> 1], &positive[2..]].concat();
    assert_eq!(rsa(&positive, &[1, 0, 1]), Ok(()));
    assert_eq!(rsa(&positive, &[3]), Ok(()));
    assert_eq!(rsa(&small[1..], &[1, 0, 1]), Err(Wrong::RsaSize(2047)));
    for (n, e) in [
        (&even, &[1, 0, 1][..]),
        (&positive, &[1]),
        (&positive, &[0]),
        (&positive, &[4]),
        (&positive, &[2, 0, 0, 0, 1]),
        (&positive, &[1, 0, 0, 0, 0, 0, 0, 0, 1]),
        (&positive, &[0, 1, 0, 1]),
        (&positive, &[0xff]),
        (&n.to_vec(), &[1, 0, 1]),
    ] {
        assert_eq!(rsa(n, e), Err(Wrong::Damaged), "{e:?}");
    }
    for error in [Wrong::NotPublicKey.to_string(), "ES512".parse::<JwtAlgorithm>().unwrap_err().to_string()] {
        assert!(error.contains("support"), "{error}");
    }
}

#[tokio::test]
async fn old_and_new_secret_are_both_good_until_the_old_one_is_removed() {
    let secret = |secret| VerifyingKey::from_secret(JwtAlgorithm::HS256, secret).unwrap();
    let keys = VerifyingKeys::new();
    let server = Server::start(Hub::builder(JwtKey::new(keys.clone())).build()).await;
    let sign = |kid: Option<&str>, secret: &[u8]| {
        let mut header = json!({ "alg": "HS256" });
        if let Some(kid) = kid {
            header["kid"] = json!(kid);
        }
        Signer::hmac(Algorithm::HS256, secret).sign(&header, &claims("alice"))
    };
    let (old, new) = (b"the old secret, of 32 bytes and more", b"the new secret, of 32 bytes and more");
    assert!(!lets_in(&server, &sign(Some("old"), old)).await, "no keys at all");

    keys.insert("old", secret(old));
    assert!(lets_in(&server, &sign(Some("old"), old)).await);
    assert!(lets_in(&server, &sign(None, old)).await, "there is only one that it can be");
    assert!(!lets_in(&server, &sign(Some("new"), new)).await);
    assert!(!lets_in(&server, &sign(Some("new"), old)).await, "an unknown name");

    keys.insert("new", secret(new));
    assert!(lets_in(&server, &sign(Some("old"), old)).await);
    assert!(lets_in(&server, &sign(Some("new"), new)).await);
    assert!(!lets_in(&server, &sign(Some("old"), new)).await, "the name of another key");
    for secret in [&old[..], new] {
        assert!(!lets_in(&server, &sign(None, secret)).await, "it could be either");
    }

    assert!(keys.remove("old"));
    assert!(!keys.remove("old"));
    assert!(!lets_in(&server, &sign(Some("old"), old)).await);
    assert!(lets_in(&server, &sign(Some("new"), new)).await);
}

/// Equal keys are one key, whatever stands next to them.
#[tokio::test]
async fn a_key_that_is_listed_twice_is_one_key() {
    let jwk = |name: &str, more: serde_json::Value| {
        let whole = der(&fixture(&format!("{name}.public.pem")));
        let mut jwk = match name {
            "rsa" => {
                json!({ "kty": "RSA", "n": base64url(&der(&fixture("rsa.pkcs1.pem"))[9..265]), "e": "AQAB" })
            }
            "p256" => {
                let (x, y) = whole[whole.len() - 64..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y) })
            }
            _ => json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(&whole[12..]) }),
        };
        jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        jwk
    };
    for (algorithm, name) in
        [(Algorithm::RS256, "rsa"), (Algorithm::ES256, "p256"), (Algorithm::EdDSA, "ed25519")]
    {
        let alg = format!("{algorithm:?}");
        let signer = Signer::fixture(algorithm, name);
        let (named, nameless) = (
            signer.sign(&json!({ "alg": alg, "kid": "a" }), &claims("alice")),
            signer.token(&claims("alice")),
        );
        for more in [
            json!({ "kid": "a" }),
            json!({ "kid": "a", "alg": alg }),
            json!({ "kid": "a", "use": "sig", "x5t": "AAAA" }),
            json!({ "kid": "b" }),
            json!({}),
        ] {
            let set =
                json!({ "keys": [jwk(name, json!({ "kid": "a" })), jwk(name, more.clone())] }).to_string();
            let keys = JwtKey::new(VerifyingKeys::from_jwks(&set, &JwtAlgorithm::ASYMMETRIC).unwrap());
            let server = Server::start(Hub::builder(keys).build()).await;
            assert!(lets_in(&server, &named).await, "{alg}, {more}");
            assert!(lets_in(&server, &nameless).await, "{alg}, {more}");
        }
    }

    // So is one that is written in another way.
    let mut padded = vec![0];
    padded.extend(&der(&fixture("rsa.pkcs1.pem"))[9..265]);
    let padded = json!({ "n": base64url(&padded), "e": "AAEAAQ" });
    let set = json!({ "keys": [jwk("rsa", json!({})), jwk("rsa", padded)] }).to_string();
    let keys = JwtKey::new(VerifyingKeys::from_jwks(&set, &JwtAlgorithm::ASYMMETRIC).unwrap());
    assert!(keys.verify(&Signer::fixture(Algorithm::RS256, "rsa").token(&claims("alice"))).await.is_ok());

    // And a secret under two names. Another one under the same name is another key.
    let secret = |secret: &[u8]| json!({ "kty": "oct", "kid": "a", "k": base64url(secret) });
    let token = Signer::hmac(Algorithm::HS256, SECRET).token(&claims("alice"));
    for (second, verdict) in
        [(SECRET, None), (b"another secret, of 32 bytes and more", Some(Rejection::NotYet))]
    {
        let set = json!({ "keys": [secret(SECRET), secret(second)] }).to_string();
        let keys = JwtKey::new(VerifyingKeys::from_jwks(&set, &[JwtAlgorithm::HS256]).unwrap());
        assert_eq!(keys.verify(&token).await.err(), verdict);
    }
}

/// An application adds keys while it runs, so that a name may be unknown for a moment only.
#[tokio::test]
async fn a_name_that_is_not_known_asks_to_come_back() {
    let keys = VerifyingKeys::new();
    let key = JwtKey::new(keys.clone());
    let token = |kid: &str, secret: &[u8]| {
        Signer::hmac(Algorithm::HS256, secret).sign(&json!({ "alg": "HS256", "kid": kid }), &claims("alice"))
    };
    assert_eq!(key.verify(&token("a", SECRET)).await.unwrap_err(), Rejection::NotYet);
    keys.insert("a", VerifyingKey::from_secret(JwtAlgorithm::HS256, SECRET).unwrap());
    assert!(key.verify(&token("a", SECRET)).await.is_ok());
    assert_eq!(key.verify(&token("b", SECRET)).await.unwrap_err(), Rejection::NotYet);
    assert_eq!(key.verify(&token("a", b"another")).await.unwrap_err(), Rejection::Invalid, "forged");

    let one = JwtKey::hs256(SECRET);
    let es256 = Signer::fixture(Algorithm::ES256, "p256").token(&claims("alice"));
    assert_eq!(one.verify(&es256).await.unwrap_err(), Rejection::Invalid, "a single key never changes");
}

#[tokio::test]
async fn a_set_of_keys_lets_in_what_its_keys_are_for() {
    let p256 = der(&fixture("p256.public.pem"));
    let (x, y) = p256[p256.len() - 64..].split_at(32);
    let (x, y) = (base64url(x), base64url(y));
    let ec = |more: serde_json::Value| {
        let mut jwk = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "a" });
        jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "keys": [jwk] }).to_string()
    };
    let header = json!({ "alg": "ES256", "kid": "a" });
    let token = Signer::fixture(Algorithm::ES256, "p256").sign(&header, &claims("alice"));

    let read = |text: &str| VerifyingKeys::from_jwks(text, &JwtAlgorithm::ASYMMETRIC);
    for good in [json!({}), json!({ "use": "sig" }), json!({ "alg": "ES256", "key_ops": ["verify"] })] {
        let keys = read(&ec(good)).unwrap();
        let server = Server::start(Hub::builder(JwtKey::new(keys)).build()).await;
        assert!(lets_in(&server, &token).await);
    }
    for bad in [
        json!({ "use": "enc" }),
        json!({ "alg": "ES384" }),
        json!({ "alg": "RS256" }),
        json!({ "alg": "HS256" }),
        json!({ "alg": "ECDH-ES" }),
        json!({ "key_ops": ["sign"] }),
        json!({ "crv": "P-384" }),
        json!({ "crv": "secp256k1" }),
        json!({ "x": y }),
        json!({ "x": "AA" }),
        json!({ "y": "" }),
        json!({ "kty": "OKP" }),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA" }),
        json!({ "kty": "oct", "k": base64url(SECRET) }),
        json!({ "kty": "oct", "k": base64url(SECRET), "alg": "HS256" }),
        json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" }),
        json!({ "kty": "new" }),
    ] {
        assert_eq!(read(&ec(bad.clone())).unwrap_err(), InvalidJwks::NoKey, "{bad}");
    }
    assert_eq!(
        VerifyingKeys::from_jwks(&ec(json!({})), &[JwtAlgorithm::RS256]).unwrap_err(),
        InvalidJwks::NoKey
    );
    for text in ["", "{}", "[]", r#"{"keys":{}}"#, "<html>"] {
        assert_eq!(read(text).unwrap_err(), InvalidJwks::Malformed, "{text}");
    }
}

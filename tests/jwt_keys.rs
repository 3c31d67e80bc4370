//! What tokens are signed with: every algorithm, the keys that are refused, and several at a time.
#![cfg(all(feature = "warp", feature = "jwt"))]

mod support;

use jsonwebtoken::Algorithm;
use keywire::{
    Hub, InvalidJwks, InvalidVerifyingKey as Wrong, JwtAlgorithm, JwtKey, VerifyingKey, VerifyingKeys,
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
        let server = Server::start(Hub::builder().keys(key.clone()).build()).await;
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
    let bent = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(point);
        format!("{}\n{}", &text[..64], &text[64..])
    });
    assert_eq!(pem(JwtAlgorithm::ES256, &bent), Wrong::Damaged);
    assert_eq!(VerifyingKey::from_secret(JwtAlgorithm::HS256, b"").unwrap_err(), Wrong::EmptySecret);

    let key = JwtKey::hs256(SECRET);
    assert_eq!(
        format!("{key:?}"),
        r#"JwtKey { keys: TrustedKeys(One(VerifyingKey { algorithm: HS256, .. })), sources: [Path, Query("token"), Bearer, Subprotocol], .. }"#
    );
}

#[tokio::test]
async fn old_and_new_secret_are_both_good_until_the_old_one_is_removed() {
    let secret = |secret| VerifyingKey::from_secret(JwtAlgorithm::HS256, secret).unwrap();
    let keys = VerifyingKeys::new();
    let server = Server::start(Hub::builder().keys(JwtKey::new(keys.clone())).build()).await;
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
        let server = Server::start(Hub::builder().keys(JwtKey::new(keys)).build()).await;
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

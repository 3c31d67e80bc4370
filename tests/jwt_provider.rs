//! jsonwebtoken panics where the features of a build leave it none or two backends to choose from: its default then is
//! one whose functions panic. A program in which somebody has used it before is stuck with that. Here it is put into
//! place by hand, in a process of its own, and keywire goes on as if nothing were.
#![cfg(all(feature = "warp", feature = "jwt"))]

mod support;

use jsonwebtoken::Algorithm;
use jsonwebtoken::crypto::{CryptoProvider, KeyUtils};
use keywire::{JwtAlgorithm, JwtKey, Rejection, VerifyingKeys};
use support::tokens::{Signer, base64url, claims, der, fixture};

static NONE_CHOSEN: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| panic!("no backend"),
    verifier_factory: |_, _| panic!("no backend"),
    key_utils: KeyUtils::new_unimplemented(),
};

#[tokio::test]
async fn no_choice_of_jsonwebtokens_features_makes_a_token_panic() {
    // Made elsewhere, before: in this process there will be nothing to sign with.
    let sign = jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER.signer_factory;
    let signer = |algorithm, name: &str| {
        let der = der(&fixture(&format!("{name}.private.pem")));
        let key = match algorithm {
            Algorithm::ES256 => jsonwebtoken::EncodingKey::from_ec_der(&der),
            _ => jsonwebtoken::EncodingKey::from_ed_der(&der),
        };
        let text = format!(
            "{}.{}",
            base64url(format!(r#"{{"alg":"{algorithm:?}"}}"#)),
            base64url(claims("alice").to_string())
        );
        let signature = sign(&algorithm, &key).unwrap().try_sign(text.as_bytes()).unwrap();
        format!("{text}.{}", base64url(signature))
    };
    NONE_CHOSEN.install_default().expect("nobody was first");
    let used = std::panic::catch_unwind(|| Signer::hmac(Algorithm::HS256, b"x").token(&claims("alice")));
    assert!(used.is_err(), "the default is as bad as it can be");

    for (algorithm, name, key) in [
        (Algorithm::ES256, "p256", JwtKey::es256_pem(fixture("p256.public.pem"))),
        (Algorithm::EdDSA, "ed25519", JwtKey::ed25519_pem(fixture("ed25519.public.pem"))),
    ] {
        let (key, token) = (key.unwrap(), signer(algorithm, name));
        assert_eq!(key.verify(&token).await.unwrap().key().as_str(), "alice");
        assert_eq!(key.verify(&token[..token.len() - 4]).await.unwrap_err(), Rejection::Invalid);
    }
    let rsa = JwtKey::rs256_pem(fixture("rsa.public.pem")).unwrap();
    let hmac = JwtKey::hs256(b"a secret");
    for (key, name) in [(rsa, "RS256"), (hmac, "HS256")] {
        let token = format!("{}.e30.AAAA", base64url(format!(r#"{{"alg":"{name}"}}"#)));
        assert_eq!(key.verify(&token).await.unwrap_err(), Rejection::Invalid);
    }
    let x = base64url(&der(&fixture("ed25519.public.pem"))[12..]);
    let set = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}]}}"#);
    let key = JwtKey::new(VerifyingKeys::from_jwks(&set, &JwtAlgorithm::ASYMMETRIC).unwrap());
    assert!(key.verify(&signer(Algorithm::EdDSA, "ed25519")).await.is_ok());
}

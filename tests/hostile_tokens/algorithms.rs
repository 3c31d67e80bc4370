//! Who decides how a token is signed: not the token.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::Hostile;
use crate::support::tokens::{Signer, base64url, claims, parts};
use crate::target::Target;

/// No algorithm at all, however that is spelt, with and without a signature.
pub(crate) fn none(target: &Target) -> Vec<Hostile> {
    let good = target.good();
    let [_, _, signature] = parts(&good);
    let texts = [
        "none",
        "None",
        "NONE",
        "nOnE",
        "NoNe",
        " none",
        "none ",
        "none\0",
        "n\u{43e}ne",
        "\u{ff4e}one",
        "null",
        "",
    ];
    let others =
        [json!(null), json!(false), json!(0), json!([]), json!({}), json!(["none"]), json!([target.alg])];
    let mut all = Vec::new();
    for alg in texts.into_iter().map(Value::from).chain(others) {
        let text = format!(
            "{}.{}",
            base64url(json!({ "alg": alg, "typ": "JWT" }).to_string()),
            base64url(claims("alice").to_string())
        );
        all.push((format!("alg {alg} without a signature"), format!("{text}.")));
        all.push((format!("alg {alg} with a signature"), format!("{text}.{signature}")));
    }
    all.push(("no alg".into(), target.signer.sign(&json!({ "typ": "JWT" }), &claims("alice"))));
    let twice = format!(r#"{{"alg":"none","alg":"{}"}}"#, target.alg);
    all.push(("alg twice".into(), target.signer.sign_bytes(twice, claims("alice").to_string())));
    all
}

/// Another algorithm, by a key that could.
pub(crate) fn others(target: &Target) -> Vec<Hostile> {
    let mut all = Vec::new();
    for sibling in &target.siblings {
        let name = format!("{:?} by the good key", sibling.algorithm());
        all.push((name.clone(), sibling.token(&claims("alice"))));
        let header = json!({ "alg": target.alg });
        all.push((format!("{name}, under a false name"), sibling.sign(&header, &claims("alice"))));
    }
    for (algorithm, fixture) in [
        (Algorithm::RS256, "rsa-other"),
        (Algorithm::PS256, "rsa-other"),
        (Algorithm::ES256, "p256-other"),
        (Algorithm::ES384, "p384"),
        (Algorithm::EdDSA, "ed25519"),
    ] {
        let signer = Signer::fixture(algorithm, fixture);
        all.push((format!("{algorithm:?} by a foreign key"), signer.token(&claims("alice"))));
        let header = target.header(json!({ "x": fixture, "y": format!("{algorithm:?}") }));
        all.push((format!("{algorithm:?}, under a false name"), signer.sign(&header, &claims("alice"))));
    }
    let lower = target.alg.to_lowercase();
    let spelt = [lower, format!("{} ", target.alg), format!(" {}", target.alg), format!("{}\n", target.alg)];
    let names = ["ES512", "ES256K", "RSA-OAEP", "dir", "A128KW", "HMAC", "SHA256", "HS1", "Ed25519", "ALL"];
    let known = ["HS256", "HS384", "HS512", "RS256", "RS384", "PS256", "PS512", "ES256", "ES384", "EdDSA"];
    let known = known.into_iter().filter(|alg| *alg != target.alg);
    for alg in spelt.into_iter().chain(names.into_iter().chain(known).map(String::from)) {
        all.push((format!("alg {alg:?}"), target.signer.sign(&json!({ "alg": alg }), &claims("alice"))));
    }
    all
}

/// What everybody knows of the key, as the secret of an HMAC.
pub(crate) fn confusion(target: &Target) -> Vec<Hostile> {
    let mut all = Vec::new();
    for (what, secret) in &target.known {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let signer = Signer::hmac(algorithm, secret);
            all.push((format!("{algorithm:?} with {what}"), signer.token(&claims("alice"))));
        }
        let signer = Signer::hmac(Algorithm::HS256, secret);
        let header = target.header(json!({ "kid": what }));
        all.push((format!("HMAC with {what}, under a false name"), signer.sign(&header, &claims("alice"))));
    }
    all
}

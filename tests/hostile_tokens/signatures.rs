//! Signatures that are cut, bent, re-encoded, borrowed or made of nothing.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use crate::Hostile;
use crate::support::tokens::{base64url, claims, parts};
use crate::target::Target;

pub(crate) fn bent(target: &Target) -> Vec<Hostile> {
    let good = target.good();
    let [header, payload, text] = parts(&good);
    let signed = format!("{header}.{payload}");
    let bytes = URL_SAFE_NO_PAD.decode(text).expect("base64");
    let len = bytes.len();

    let mut all: Vec<Hostile> = raw(target, &bytes)
        .into_iter()
        .map(|(what, signature)| (format!("signature {what}"), format!("{signed}.{}", base64url(signature))))
        .collect();

    let bob = target.signer.token(&claims("bob"));
    let [_, _, bobs] = parts(&bob);
    let attackers = target.attacker.token(&claims("root"));
    let standard = STANDARD.encode(&bytes);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let reversed: String = text.chars().rev().collect();
    let texts = [
        ("of another token", bobs.to_owned()),
        ("padded", format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4))),
        ("padded with one too many", format!("{text}====")),
        ("in the other alphabet", format!("{}+/", &standard[..text.len() - 2])),
        ("with a line break", format!("{}\n{}", &text[..10], &text[10..])),
        ("with a space before it", format!(" {text}")),
        ("in hex", hex),
        ("encoded twice", base64url(text)),
        ("backwards", reversed),
        // Not the last one: what it holds can be zeros, and then this is the signature without its last byte.
        ("a character short", text[1..].to_owned()),
        ("three times", format!("{text}{text}{text}")),
        ("that is a word", "signature".into()),
        ("that is nothing, twice", ".".into()),
        ("with another behind it", format!("{text}.{text}")),
        ("with %3D behind it", format!("{text}%3D")),
    ];
    all.extend(texts.map(|(what, signature)| (format!("signature {what}"), format!("{signed}.{signature}"))));

    // The last character has bits that no byte takes up. There is one spelling only.
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = ALPHABET.iter().position(|byte| text.ends_with(char::from(*byte))).expect("base64");
    let spare = if len % 3 == 1 { 16 } else { 4 };
    for bits in 1..spare {
        let other = char::from(ALPHABET[last | bits]);
        all.push((
            format!("signature spelt with {other}"),
            format!("{signed}.{}{other}", &text[..text.len() - 1]),
        ));
    }

    let other_claims = base64url(claims("root").to_string());
    let other_header = base64url(target.header(json!({ "x": 1 })).to_string());
    all.extend([
        ("other claims".into(), format!("{header}.{other_claims}.{text}")),
        ("another header".into(), format!("{other_header}.{payload}.{text}")),
        ("claims and header swapped".into(), format!("{payload}.{header}.{text}")),
        ("padded claims".into(), format!("{header}.{payload}=.{text}")),
        ("a padded header".into(), format!("{header}=.{payload}.{text}")),
        ("no dots".into(), format!("{header}{payload}{text}")),
        ("no signature, nor its dot".into(), signed.clone()),
        ("no signature".into(), format!("{signed}.")),
        ("the signature alone".into(), format!("..{text}")),
        ("the attacker's".into(), attackers),
    ]);
    all
}

/// Bytes where the signature's were.
fn raw(target: &Target, good: &[u8]) -> Vec<(String, Vec<u8>)> {
    let len = good.len();
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for cut in [1, 2, 8, len / 2, len - 1] {
        all.push((format!("without its last {cut} bytes"), good[..len - cut].to_vec()));
    }
    all.push(("without its first byte".into(), good[1..].to_vec()));
    for at in [0, 1, len / 2, len - 1] {
        let mut bytes = good.to_vec();
        bytes[at] ^= 1;
        all.push((format!("with a bit of byte {at} turned"), bytes));
    }
    all.extend([
        ("with a zero before it".into(), [&[0], good].concat()),
        ("with a zero behind it".into(), [good, &[0]].concat()),
        ("behind itself".into(), [good, good].concat()),
        ("of zeros".into(), vec![0; len]),
        ("of ones".into(), vec![0xff; len]),
        ("that is one zero".into(), vec![0]),
    ]);
    if target.alg == "ES256" {
        all.extend(elliptic(good));
    }
    if target.alg == "RS256" {
        let one = [vec![0; len - 1], vec![1]].concat();
        let padding = [&[0, 1], &*vec![0xff; len - 3], &[0]].concat();
        all.extend([("that is the number one".into(), one), ("that is padding alone".into(), padding)]);
    }
    all
}

/// Numbers that have no business in an ECDSA signature (0 < r, s < n), and other ways to write the two.
fn elliptic(good: &[u8]) -> Vec<(String, Vec<u8>)> {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
        0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (r, s) = good.split_at(32);
    let zero = [0; 32];
    let mut one = zero;
    one[31] = 1;
    let numbers = [("zero", &zero), ("one", &one), ("the order", &ORDER)];
    let mut all = Vec::new();
    for (name, number) in numbers {
        all.push((format!("with {name} for r"), [&number[..], s].concat()));
        all.push((format!("with {name} for s"), [r, number].concat()));
        for (other_name, other) in numbers {
            if (name, other_name) != ("zero", "zero") {
                all.push((format!("of {name} and {other_name}"), [&number[..], other].concat()));
            }
        }
    }
    all.push(("with r and s swapped".into(), [s, r].concat()));
    let integer = |number: &[u8]| [&[2, 33, 0], number].concat();
    let der = [&[0x30, 70], &*integer(r), &*integer(s)].concat();
    all.push(("in DER".into(), der));
    all.push(("in DER, of zeros".into(), vec![0x30, 6, 2, 1, 0, 2, 1, 0]));
    all
}

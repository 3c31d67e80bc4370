//! Claims that the issuer did sign, and that are still no reason to let somebody in.

use serde_json::{Value, json};

use crate::Hostile;
use crate::support::tokens::{claims, now, with};
use crate::target::Target;

/// Claims of another type than the standard gives them, or none.
pub(crate) fn types(target: &Target) -> Vec<Hostile> {
    let mut all = Vec::new();
    let texts = [json!(null), json!(true), json!([]), json!({}), json!(["alice"]), json!({ "a": 1 })];
    let moments =
        [json!("soon"), json!("1900000000"), json!(-1), json!(1e300), json!(u64::MAX), json!(i64::MAX)];
    for name in ["exp", "nbf", "iat", "iss", "sub", "aud", "jti"] {
        let more = match name {
            "exp" | "nbf" => moments.to_vec(),
            // Any number is good.
            "iat" => vec![json!("soon"), json!("1900000000")],
            // Nobody says who they are here, so no audience is good.
            "aud" => vec![json!(5), json!("billing"), json!(""), json!(["billing", "mail"]), json!([5])],
            _ => vec![json!(5), json!(0), json!(1.5)],
        };
        for value in texts.iter().chain(&more) {
            let all_claims = with(&claims("alice"), &json!({ name: value }));
            all.push((format!("{name} {value}"), target.signer.token(&all_claims)));
        }
    }
    for name in ["exp", "sub"] {
        let mut all_claims = claims("alice");
        all_claims.as_object_mut().expect("an object").remove(name);
        all.push((format!("no {name}"), target.signer.token(&all_claims)));
    }
    let header = target.header(json!({})).to_string();
    for (what, text) in shapes() {
        all.push((format!("claims that are {what}"), target.signer.sign_bytes(&header, text)));
    }
    all
}

/// What stands where an object with claims should.
fn shapes() -> Vec<(&'static str, Vec<u8>)> {
    let good = claims("alice").to_string();
    let exp = now() + 3600;
    let text = |text: String| text.into_bytes();
    vec![
        ("nothing", vec![]),
        ("null", text("null".into())),
        ("a number", text(exp.to_string())),
        ("a text", text(json!(good).to_string())),
        ("a list", text(format!("[{good}]"))),
        ("a list of values", text(json!([exp, null, null, null, "alice", null, null]).to_string())),
        ("an empty object", text("{}".into())),
        ("cut", text(good[..good.len() - 1].into())),
        ("followed by more", text(format!("{good}{good}"))),
        ("behind a byte order mark", text(format!("\u{feff}{good}"))),
        ("with NUL behind them", text(format!("{good}\0"))),
        ("not UTF-8", [b"{\"sub\":\"\xff\",\"exp\":", exp.to_string().as_bytes(), b"}"].concat()),
        ("with half a surrogate", text(format!(r#"{{"sub":"\ud800","exp":{exp}}}"#))),
        (
            "nested too deep",
            text(format!(r#"{{"sub":"alice","exp":{exp},"x":{}{}}}"#, "[".repeat(500), "]".repeat(500))),
        ),
        ("two subs", text(format!(r#"{{"sub":"alice","sub":"root","exp":{exp}}}"#))),
        ("two exps", text(format!(r#"{{"sub":"alice","exp":1,"exp":{exp}}}"#))),
        ("an exp that is NaN", text(r#"{"sub":"alice","exp":NaN}"#.into())),
        ("an exp that is infinite", text(r#"{"sub":"alice","exp":1e999}"#.into())),
        ("an exp in hex", text(r#"{"sub":"alice","exp":0x7fffffff}"#.into())),
        ("Sub in place of sub", text(format!(r#"{{"Sub":"alice","exp":{exp}}}"#))),
        ("a form", text(format!("sub=alice&exp={exp}"))),
        ("with a comment", text(format!("{good}//"))),
    ]
}

/// Moments that have passed or not come, up to the leeway of 30 s, and users whose names are no keys.
pub(crate) fn times_and_users(target: &Target) -> Vec<Hostile> {
    let now = now();
    let mut all = Vec::new();
    // Time goes on while the tokens are thrown: what has not come must be far enough off.
    let times = [
        json!({ "exp": now - 30 }),
        json!({ "exp": now - 31 }),
        json!({ "exp": now as f64 - 30.5 }),
        json!({ "exp": now - 3600 }),
        json!({ "exp": 0 }),
        json!({ "exp": 1 }),
        json!({ "exp": 0.1 }),
        json!({ "nbf": now + 600 }),
        json!({ "nbf": now as f64 + 600.5 }),
        json!({ "nbf": now + 3600 * 24 * 365 }),
        json!({ "nbf": 253_402_300_800_u64 }),
        json!({ "nbf": now * 1000 }),
        json!({ "exp": now - 3600, "nbf": now + 600 }),
        json!({ "exp": now - 3600, "aud": "billing" }),
    ];
    for more in times {
        all.push((format!("times {more}"), target.signer.token(&with(&claims("alice"), &more))));
    }
    let long = ["a".repeat(257), "ä".repeat(129), "a".repeat(4_000), "\u{1f511}".repeat(65)];
    let controls = [
        "",
        "\0",
        "\n",
        "\t",
        "\u{1b}[31malice",
        "alice\0",
        "alice\n",
        "\ralice",
        "ali\x08ce",
        "alice\u{7f}",
        "alice\u{80}",
        "alice\u{85}",
        "alice\u{9f}",
        "alice\r\nX-Forged: 1",
    ];
    for sub in controls.into_iter().chain(long.iter().map(|text| &**text)) {
        let short: String = sub.chars().take(12).collect();
        let value: Value = claims(sub);
        all.push((format!("user {short:?} of {} bytes", sub.len()), target.signer.token(&value)));
    }
    all
}

//! Keys out of signed tokens: which are good, which are not, and that nothing decides but the signature.
#![cfg(all(feature = "warp", feature = "jwt"))]

mod support;

use std::time::{Duration, UNIX_EPOCH};

use jsonwebtoken::Algorithm;
use keywire::auth::JwtKey;
use keywire::{Envelope, Hub, Reply, Session, Switch};
use serde::Deserialize;
use serde_json::{Value, json};
use support::tokens::{Signer, now};
use support::{Server, opening};

const SECRET: &[u8] = b"the secret of the tests, longer than 32 bytes";
const V1: (&str, &str) = ("Sec-WebSocket-Protocol", "keywire.v1");

/// Any header and any claims, signed with HS256 whatever the header says.
fn signed(header: &Value, claims: &Value, secret: &[u8]) -> String {
    Signer::hmac(Algorithm::HS256, secret).sign(header, claims)
}

fn hs256(claims: &Value) -> String {
    Signer::hmac(Algorithm::HS256, SECRET).token(claims)
}

fn good() -> String {
    hs256(&json!({ "sub": "alice", "exp": now() + 3600 }))
}

async fn server(keys: JwtKey) -> Server {
    Server::start(Hub::builder(keys).build()).await
}

#[tokio::test]
async fn a_good_token_opens_wherever_it_stands() {
    let server = server(JwtKey::hs256(SECRET)).await;
    let token = good();
    let bearer = format!("Bearer {token}");
    let lower = format!("bearer {token}");
    for (path, headers) in [
        (format!("/websocket/{token}"), vec![]),
        (format!("/websocket?token={token}"), vec![]),
        (format!("/websocket/?token={token}&other=1"), vec![]),
        ("/websocket".into(), vec![("Authorization", &*bearer)]),
        ("/websocket".into(), vec![("Authorization", &*lower)]),
        (format!("/websocket/{token}"), vec![V1]),
    ] {
        let mut client = server.open_with(&path, &headers).await;
        client.ping().await;
        let sessions = server.hub.sessions("alice").await;
        assert_eq!(sessions.len(), 1, "{headers:?}");
        assert!(sessions[0].identity().expires_at().is_some());
        client.close(1000, "").await;
    }
}

#[tokio::test]
async fn a_token_that_is_not_good_is_refused() {
    let server = server(JwtKey::hs256(SECRET)).await;
    let claims = json!({ "sub": "alice", "exp": now() + 3600 });
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        hs256(&claims)
    };
    let without = |name: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().expect("an object").remove(name);
        hs256(&claims)
    };
    let header = |header: Value| signed(&header, &claims, SECRET);
    let unsigned = |header: Value| {
        let token = signed(&header, &claims, SECRET);
        token[..=token.rfind('.').expect("three parts")].to_owned()
    };
    let tampered = {
        let (mine, other) = (good(), hs256(&json!({ "sub": "bob", "exp": now() + 3600 })));
        let (head, signature) = (&other[..other.rfind('.').unwrap()], &mine[mine.rfind('.').unwrap()..]);
        format!("{head}{signature}")
    };
    for (what, token) in [
        (
            "another secret",
            signed(&json!({ "alg": "HS256" }), &claims, b"another secret, of 32 bytes and more"),
        ),
        ("the signature of another token", tampered),
        ("no signature", unsigned(json!({ "alg": "HS256" }))),
        ("alg none", unsigned(json!({ "alg": "none" }))),
        ("alg None, and a signature", header(json!({ "alg": "None" }))),
        ("RS256", header(json!({ "alg": "RS256" }))),
        ("HS512", Signer::hmac(Algorithm::HS512, SECRET).token(&claims)),
        ("no alg", header(json!({ "typ": "JWT" }))),
        ("a crit", header(json!({ "alg": "HS256", "crit": ["x"], "x": 1 }))),
        ("an unencoded payload", header(json!({ "alg": "HS256", "b64": false }))),
        ("no exp", without("exp")),
        ("no sub", without("sub")),
        ("an exp that is a text", with("exp", json!("never"))),
        ("a sub that is a number", with("sub", json!(5))),
        ("a sub that is null", with("sub", json!(null))),
        ("a sub that is a list", with("sub", json!(["alice"]))),
        ("an empty sub", with("sub", json!(""))),
        ("a sub that is no key", with("sub", json!("two\nlines"))),
        ("a sub that is too long", with("sub", json!("a".repeat(257)))),
        ("an aud for somebody else", with("aud", json!("billing"))),
        ("auds for others", with("aud", json!(["billing", "mail"]))),
        ("an nbf that no clock shows", with("nbf", json!(1e300))),
        ("an iat that is a text", with("iat", json!("now"))),
        ("claims that are a list", hs256(&json!(["alice", now() + 3600]))),
        ("no token at all", "alice".into()),
        ("three dots", "...".into()),
        ("four parts", format!("{}.x", good())),
        ("one that is too long", with("more", json!("x".repeat(9_000)))),
    ] {
        let path = format!("/websocket?token={token}");
        let refusal = server.refusal(&path, &[]).await;
        assert_eq!((refusal.status, refusal.json()), (401, json!({ "error": "invalid" })), "{what}");
        assert_eq!(server.open_with(&path, &[V1]).await.end().await.code, 4501, "{what}");
    }
    assert_eq!(server.hub.counts().await.sessions, 0);
}

#[tokio::test]
async fn an_expired_token_asks_for_a_fresh_one() {
    let server = server(JwtKey::hs256(SECRET)).await;
    let path = format!("/websocket/{}", hs256(&json!({ "sub": "alice", "exp": now() - 3600 })));
    let refusal = server.refusal(&path, &[]).await;
    assert_eq!((refusal.status, refusal.json()), (401, json!({ "error": "expired" })));
    let end = server.open_with(&path, &[V1]).await.end().await;
    assert_eq!((end.code, &*end.reason), (4001, "expired"));

    // Expired and forged is forged: nobody learns when a token that is not his ended.
    let forged = signed(&json!({ "alg": "HS256" }), &json!({ "sub": "alice", "exp": 1 }), b"another secret");
    assert_eq!(server.open_with(&format!("/websocket/{forged}"), &[V1]).await.end().await.code, 4501);
}

#[tokio::test]
async fn a_token_whose_time_is_to_come_asks_to_come_back() {
    let server = server(JwtKey::hs256(SECRET)).await;
    for nbf in [json!(now() + 40), json!(now() as f64 + 40.5), json!(now() * 1000)] {
        let path = |exp: u64| {
            format!("/websocket/{}", hs256(&json!({ "sub": "alice", "exp": exp, "nbf": nbf.clone() })))
        };
        let refusal = server.refusal(&path(now() + 3600), &[]).await;
        assert_eq!((refusal.status, refusal.json()), (401, json!({ "error": "not_yet" })), "{nbf}");
        assert_eq!(refusal.header("retry-after"), Some("5"), "{nbf}");
        let end = server.open_with(&path(now() + 3600), &[V1]).await.end().await;
        assert_eq!((end.code, &*end.reason), (1013, "not_yet"), "{nbf}");
        // Over before it began: only a fresh one helps.
        assert_eq!(server.open_with(&path(now() - 3600), &[V1]).await.end().await.code, 4001, "{nbf}");
    }
    // What else is wrong stays wrong.
    let other = json!({ "sub": "alice", "exp": now() + 3600, "nbf": now() + 40, "aud": "billing" });
    assert_eq!(
        server.open_with(&format!("/websocket/{}", hs256(&other)), &[V1]).await.end().await.code,
        4501
    );

    let mut client = server.open(&format!("/websocket/{}", good())).await;
    let early = hs256(&json!({ "sub": "alice", "exp": now() + 7200, "nbf": now() + 40 }));
    let answer = client.ask(json!({ "flag": "kw:refresh", "body": early })).await;
    assert_eq!((&answer["code"], &answer["msg"]), (&json!("41"), &json!("not_yet")));
}

#[tokio::test]
async fn when_a_token_was_signed_refuses_nobody() {
    let server = server(JwtKey::hs256(SECRET).leeway(Duration::ZERO)).await;
    for iat in [json!(now() + 40), json!(now() as f64 + 40.5), json!(now() * 1000), json!(1e300), json!(0)] {
        let token = hs256(&json!({ "sub": "alice", "exp": now() + 3600, "iat": iat }));
        server.open(&format!("/websocket/{token}")).await.ping().await;
    }
}

#[tokio::test]
async fn a_session_ends_when_its_token_does() {
    for (keys, leeway) in [
        (JwtKey::hs256(SECRET), 30),
        (JwtKey::hs256(SECRET).leeway(Duration::ZERO), 0),
        (JwtKey::hs256(SECRET).leeway(Duration::from_secs(5)), 5),
    ] {
        let server = server(keys).await;
        let exp = now() + 3600;
        let token = hs256(&json!({ "sub": "alice", "exp": exp }));
        server.open(&format!("/websocket/{token}")).await.ping().await;
        let sessions = server.hub.sessions("alice").await;
        let moment = UNIX_EPOCH + Duration::from_secs(exp + leeway);
        assert_eq!(sessions[0].identity().expires_at(), Some(moment));
    }
}

#[tokio::test]
async fn a_fresh_token_moves_the_end_of_a_session() {
    let server = server(JwtKey::hs256(SECRET)).await;
    let mut client = server.open(&format!("/websocket/{}", good())).await;
    let exp = now() + 7200;
    for (exp, code) in [(exp, "00"), (now() - 3600, "41")] {
        let token = hs256(&json!({ "sub": "alice", "exp": exp }));
        assert_eq!(client.ask(json!({ "flag": "kw:refresh", "body": token })).await["code"], code);
    }
    let moment = UNIX_EPOCH + Duration::from_secs(exp + 30);
    assert_eq!(server.hub.sessions("alice").await[0].identity().expires_at(), Some(moment));
}

#[tokio::test]
async fn clocks_may_differ_by_the_leeway() {
    let server = server(JwtKey::hs256(SECRET).leeway(Duration::from_secs(7200))).await;
    for claims in [
        json!({ "sub": "alice", "exp": now() - 3600 }),
        json!({ "sub": "alice", "exp": now() + 3600, "nbf": now() + 3600 }),
        json!({ "sub": "alice", "exp": now() as f64 + 3600.5 }),
    ] {
        server.open(&format!("/websocket/{}", hs256(&claims))).await.ping().await;
    }
}

#[tokio::test]
async fn two_tokens_are_refused_even_if_both_are_good() {
    let server = server(JwtKey::hs256(SECRET)).await;
    let token = good();
    let bearer = format!("Bearer {token}");
    for (path, headers) in [
        (format!("/websocket/{token}?token={token}"), vec![]),
        (format!("/websocket?token={token}&token={token}"), vec![]),
        (format!("/websocket/{token}"), vec![("Authorization", &*bearer)]),
        (format!("/websocket?token={token}"), vec![("Authorization", &*bearer)]),
        ("/websocket".into(), vec![("Authorization", &*bearer), ("Authorization", &*bearer)]),
    ] {
        let refusal = server.refusal(&path, &headers).await;
        assert_eq!((refusal.status, refusal.json()), (400, json!({ "error": "malformed" })), "{headers:?}");
        let mut raw = server.raw().await;
        let headers = [headers, vec![V1]].concat();
        raw.write(opening(&path, &headers).as_bytes()).await;
        assert_eq!(raw.head().await.status, 101);
        assert_eq!(raw.frame().await.expect("a close frame").close_code(), 4501);
    }
}

#[tokio::test]
async fn without_a_token_it_is_missing() {
    let server = server(JwtKey::hs256(SECRET)).await;
    for headers in [vec![], vec![("Authorization", "Basic YWxpY2U6eA==")]] {
        let refusal = server.refusal("/websocket", &headers).await;
        assert_eq!((refusal.status, refusal.json()), (401, json!({ "error": "missing" })));
    }
}

#[tokio::test]
async fn who_signs_and_for_whom_can_be_demanded() {
    let server = server(JwtKey::hs256(SECRET).issuer("login").audience("chat")).await;
    let claims = |iss: Value, aud: Value| {
        let all = json!({ "sub": "alice", "exp": now() + 3600, "iss": iss, "aud": aud });
        let all: serde_json::Map<_, _> =
            all.as_object().expect("an object").clone().into_iter().filter(|(_, v)| !v.is_null()).collect();
        format!("/websocket/{}", hs256(&Value::Object(all)))
    };
    for aud in [json!("chat"), json!(["mail", "chat"])] {
        server.open(&claims(json!("login"), aud)).await.ping().await;
    }
    for (iss, aud) in [
        (json!("login"), json!("mail")),
        (json!("login"), json!(["mail"])),
        (json!("login"), json!(null)),
        (json!("other"), json!("chat")),
        (json!(null), json!("chat")),
        (json!(["login"]), json!("chat")),
    ] {
        assert_eq!(server.refusal(&claims(iss.clone(), aud.clone()), &[]).await.status, 401, "{iss} {aud}");
    }
}

#[tokio::test]
async fn the_claims_reach_the_session_as_a_type_of_the_applications() {
    #[derive(Clone, Deserialize)]
    struct Mine {
        role: String,
        teams: Vec<u32>,
    }
    let whoami = |session: Session, _: Envelope| async move {
        let identity = session.identity();
        let Mine { role, teams } = identity.get::<Mine>().ok_or(std::fmt::Error)?;
        Ok(Reply::data(json!({ "key": session.key(), "role": role, "teams": teams })))
    };
    let keys = JwtKey::hs256(SECRET).claims::<Mine>();
    let server = Server::start(Hub::builder(keys).handler(Switch::new().command(whoami)).build()).await;
    let with =
        |role: Value, exp: u64| hs256(&json!({ "sub": "zoë", "exp": exp, "role": role, "teams": [1, 2] }));
    let mut client = server.open(&format!("/websocket/{}", with(json!("admin"), now() + 3600))).await;
    let answer = client.ask(json!({ "flag": "command" })).await;
    assert_eq!(answer["data"], json!({ "key": "zoë", "role": "admin", "teams": [1, 2] }));

    // Claims of another shape are wrong, and a fresh token with the same would be as well.
    for token in [with(json!(5), now() + 3600), with(json!(5), now() - 3600), good()] {
        let refusal = server.refusal(&format!("/websocket/{token}"), &[]).await;
        assert_eq!(refusal.json(), json!({ "error": "invalid" }));
    }
}

#[tokio::test]
async fn another_claim_may_hold_the_key() {
    let server = server(JwtKey::hs256(SECRET).subject_claim("user_id")).await;
    let token = hs256(&json!({ "sub": "42", "user_id": "alice", "exp": now() + 3600 }));
    server.open(&format!("/websocket/{token}")).await.ping().await;
    assert_eq!(server.hub.sessions("alice").await.len(), 1);
    assert_eq!(server.refusal(&format!("/websocket/{}", good()), &[]).await.status, 401);
}

#[tokio::test]
async fn how_long_a_token_may_be_can_be_set() {
    let token = good();
    let short = server(JwtKey::hs256(SECRET).token_bytes(token.len() - 1)).await;
    assert_eq!(short.refusal(&format!("/websocket/{token}"), &[]).await.status, 401);
    let enough = server(JwtKey::hs256(SECRET).token_bytes(token.len())).await;
    enough.open(&format!("/websocket/{token}")).await.ping().await;
}

#[tokio::test]
async fn no_leeway_is_too_much() {
    let server = server(JwtKey::hs256(SECRET).leeway(Duration::MAX)).await;
    server.open(&format!("/websocket/{}", good())).await.ping().await;
    let yesterday = hs256(&json!({ "sub": "alice", "exp": now() - 2 * 24 * 3600 }));
    assert_eq!(server.refusal(&format!("/websocket/{yesterday}"), &[]).await.status, 401);
}

#[test]
#[should_panic(expected = "must not be empty")]
fn an_empty_secret_is_nobodys() {
    let _ = JwtKey::hs256(b"");
}

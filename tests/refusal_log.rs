//! Whoever runs the server reads at `info` why somebody is refused, and which setting decides.
#![cfg(feature = "warp")]

mod support;

use std::future::pending;
use std::num::NonZeroUsize;
use std::time::Duration;

use keywire::adapter::Handshake;
use keywire::auth::{Origins, RawKey, Rejection, extract_fn};
use keywire::limits::{Limits, Rate, SessionPolicy};
use keywire::{Config, Hub, HubBuilder, Identity, Key};
use support::{Client, Lines, request};
use tracing::Level;

/// What is logged at `info` from now on.
fn listen() -> (Lines, tracing::subscriber::DefaultGuard) {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::INFO)
        .with_ansi(false)
        .without_time()
        .with_writer(lines.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    (lines, guard)
}

async fn refuse(hub: &Hub, path: &str, headers: &[(&'static str, &str)]) {
    let request = request(([127, 0, 0, 1], 8090).into(), path, headers);
    let handshake = Handshake::new(request)
        .with_peer(([192, 0, 2, 1], 4321).into())
        .with_path_key(keywire::adapter::PathKey::encoded(&path[1..]));
    let upgrade = hub.upgrade(handshake).await;
    assert_ne!(upgrade.response.status(), 101, "{path}");
}

fn raw() -> HubBuilder {
    Hub::builder(RawKey::from_path())
}

fn saying(rejection: Rejection) -> HubBuilder {
    Hub::builder(extract_fn(move |_: Handshake| async move { Err(rejection) }))
}

#[tokio::test(start_paused = true)]
async fn each_kind_says_what_which_and_by_which_setting() {
    let (lines, _guard) = listen();
    let limits = |limits| Config { limits, ..Config::default() };
    let one = SessionPolicy::Many { cap: NonZeroUsize::MIN };
    let once = Rate::new(1, Duration::from_secs(3600));
    let full = raw().config(limits(Limits { sessions: 0, ..Limits::default() }));
    let full_for_one = raw().config(limits(Limits { sessions_per_address: Some(0), ..Limits::default() }));
    let origin = ("Origin", "null");
    for (hub, headers, kind, expected) in [
        (raw(), &[("Content-Length", "1")][..], "no_opening", &["the opening must not have a body"][..]),
        (
            raw(),
            &[origin],
            "forbidden",
            &[
                "origin \"null\" is not allowed; allowed: same host \"127.0.0.1:8090\". Setting: Origins::and(\"null\")",
            ],
        ),
        (
            raw().origins(Origins::same().or_none(false)),
            &[],
            "forbidden",
            &["no Origin", "Origins::or_none(true)"],
        ),
        (
            raw().origins(Origins::same().hosts(["chat.example"])),
            &[],
            "forbidden",
            &["host \"127.0.0.1:8090\"", "allowed: \"chat.example\"", "Origins::hosts([\"127.0.0.1\"])"],
        ),
        (
            saying(Rejection::Missing),
            &[],
            "missing",
            &["the extractor says: credential missing. Setting: the KeyExtractor given to Hub::builder peer"],
        ),
        (
            saying(Rejection::Invalid),
            &[],
            "invalid",
            &[
                "credential invalid. Setting: the KeyExtractor given to Hub::builder; Handshake::explain tells",
            ],
        ),
        (saying(Rejection::Expired), &[], "expired", &["credential expired"]),
        (saying(Rejection::Malformed), &[], "malformed", &["malformed request"]),
        (saying(Rejection::Forbidden), &[], "forbidden", &["the extractor says: forbidden", "Hub::builder"]),
        (saying(Rejection::Unavailable), &[], "unavailable", &["the extractor says: unavailable"]),
        (
            Hub::builder(extract_fn(|handshake: Handshake| async move {
                handshake.explain("the first reason");
                handshake.explain("banned\nby staff");
                Err(Rejection::Forbidden)
            })),
            &[],
            "forbidden",
            &[
                "the extractor says: forbidden: banned\\nby staff. Setting: the KeyExtractor given to Hub::builder peer",
            ],
        ),
        (
            Hub::builder(extract_fn(|_: Handshake| pending::<Result<Identity, Rejection>>())),
            &[],
            "unavailable",
            &["the extractor did not answer in time", "Config::handler_timeout"],
        ),
        (full, &[], "unavailable", &["0 sessions", "Limits::sessions"]),
        (full_for_one, &[], "throttled", &["0 sessions", "Limits::sessions_per_address"]),
    ] {
        refuse(&hub.build(), "/alice", headers).await;
        let said = lines.take();
        let line =
            said.lines().find(|line| line.contains("INFO")).unwrap_or_else(|| panic!("{kind}: {said}"));
        assert!(line.contains("refused: ") && line.contains(&format!("kind=\"{kind}\"")), "{line}");
        assert!(line.contains("peer=192.0.2.1:4321"), "{line}");
        for part in expected {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }

    let hub =
        raw().config(limits(Limits { handshakes_per_address: Some(once), ..Limits::default() })).build();
    refuse(&hub, "/", &[]).await;
    lines.take();
    refuse(&hub, "/", &[]).await;
    let said = lines.take();
    assert!(said.contains("too many openings") && said.contains("Limits::handshakes_per_address"), "{said}");

    let hub = raw().config(Config { policy: one, ..Config::default() }).build();
    let mut alice = Client::piped(&hub, "alice").await;
    alice.ping().await;
    refuse(&hub, "/alice", &[]).await;
    let said = lines.take();
    assert!(said.contains("unavailable") && said.contains("not all of them answer"), "{said}");
    let reading = tokio::spawn(async move { alice.receive().await });
    refuse(&hub, "/alice", &[]).await;
    let said = lines.take();
    assert!(said.contains("too_many") && said.contains("Config::policy, Many { cap: 1 }"), "{said}");
    reading.abort();

    hub.shutdown(Duration::ZERO).await;
    lines.take();
    refuse(&hub, "/alice", &[]).await;
    let said = lines.take();
    assert!(said.contains("the hub shuts down"), "{said}");
}

#[tokio::test]
async fn a_credential_that_cannot_be_read_is_refused_with_the_reason() {
    let (lines, _guard) = listen();
    let every_place = extract_fn(|handshake: Handshake| async move {
        handshake.cookie("key")?;
        handshake.header("x-key")?;
        handshake.bearer()?;
        handshake.protocol_token()?;
        Ok(Identity::new(Key::new("alice")?))
    });
    let by_header = || Hub::builder(every_place.clone());
    for (hub, path, headers, why) in [
        (raw(), "/a%00b", &[][..], "malformed request: a key must not contain control characters"),
        (raw(), "/%FF", &[], "the path has several segments below the endpoint, or is not UTF-8"),
        (
            Hub::builder(RawKey::from_query("key")),
            "/?key=a&key=b",
            &[],
            "the parameter of the query occurs twice, or is not UTF-8",
        ),
        (by_header(), "/", &[("Cookie", "key=a; key=b")], "the cookie has different values, or is not UTF-8"),
        (by_header(), "/", &[("X-Key", "a"), ("X-Key", "b")], "the header occurs twice, or is not UTF-8"),
        (
            by_header(),
            "/",
            &[("Authorization", "Bearer a"), ("Authorization", "Bearer b")],
            "there are two bearer tokens, or the token is not UTF-8",
        ),
        (
            by_header(),
            "/",
            &[("Sec-WebSocket-Protocol", "base64url.bearer.keywire.YQ")],
            "there are two subprotocols with a token, or it is not base64url, or keywire.v1 is missing",
        ),
    ] {
        refuse(&hub.build(), path, headers).await;
        let said = lines.take();
        assert!(said.contains(why), "{why} is not in {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_refusals_is_a_few_lines() {
    let (lines, _guard) = listen();
    let hub = raw().build();
    for _ in 0..10_000 {
        refuse(&hub, "/alice", &[("Origin", "https://evil.example")]).await;
    }
    assert_eq!(lines.take().lines().count(), 10);
    tokio::time::advance(Duration::from_secs(6)).await;
    refuse(&hub, "/alice", &[("Origin", "https://evil.example")]).await;
    let said = lines.take();
    assert!(said.contains("left_out=9990"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn no_line_shows_a_credential_or_is_forged() {
    let (lines, _guard) = listen();
    let keys = extract_fn(|_: Handshake| async {
        Key::new("alice").map(Identity::new).map_err(|_| Rejection::Invalid)
    });
    let hub = Hub::builder(keys).origins(Origins::same().hosts(["127.0.0.1"])).build();
    let long = format!("https://{}.example", "a".repeat(5_000));
    for origin in
        ["s3cret", "Bearer s3cret", "https://user:s3cret@127.0.0.1:8090", "https://x/?token=s3cret", &long]
    {
        refuse(&hub, "/", &[("Origin", origin)]).await;
    }
    let said = lines.take();
    assert!(said.lines().count() == 5 && !said.contains("s3cret") && said.len() < 3_000, "{said}");
}

/// The log of an opening with a token, without the token.
#[cfg(feature = "jwt")]
async fn reason(keys: keywire::auth::JwtKey, token: &str) -> String {
    let (lines, _guard) = listen();
    refuse(&Hub::builder(keys).build(), &format!("/{token}"), &[]).await;
    let said = lines.take();
    for part in token.split('.').filter(|part| part.len() > 8) {
        assert!(!said.contains(part), "{said}");
    }
    said
}

#[cfg(feature = "jwt")]
#[tokio::test]
async fn a_token_is_refused_with_a_reason_and_without_the_token() {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    use keywire::auth::JwtKey;
    use serde_json::json;

    const SECRET: &[u8] = b"a secret of at least 32 random bytes";
    let sign = |algorithm, claims: &serde_json::Value| {
        encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(SECRET)).expect("signed")
    };
    let end = 4_000_000_000_u64;
    let good = json!({ "sub": "alice", "exp": end });
    let keys = || JwtKey::hs256(SECRET);
    let token = sign(Algorithm::HS256, &good);
    for (keys, token, why) in [
        (keys(), "alice".to_owned(), "it is not three parts with dots between them"),
        (keys(), format!("{token}=="), "a part of it is not base64url"),
        (keys(), token.replacen("ey", "ex", 1), "its header is not valid"),
        (JwtKey::hs256(b"another secret, of at least 32 bytes"), token.clone(), "its signature is wrong"),
        (keys(), sign(Algorithm::HS512, &good), "its algorithm is not that of the key"),
        (keys().issuer("us"), token.clone(), "its iss is not the required issuer"),
        (keys().audience("chat"), token.clone(), "its aud is not the required audience"),
        (
            keys(),
            sign(Algorithm::HS256, &json!({ "sub": "alice", "exp": end, "aud": "chat" })),
            "it has an aud, and no audience is set",
        ),
        (keys(), sign(Algorithm::HS256, &json!({ "sub": "alice" })), "exp is required"),
        (keys(), sign(Algorithm::HS256, &json!({ "exp": end })), "the claim that holds the key is missing"),
        (keys(), sign(Algorithm::HS256, &json!({ "sub": "", "exp": end })), "is no valid key"),
        (keys(), sign(Algorithm::HS256, &json!({ "sub": "alice", "exp": 1 })), "its exp has passed"),
        (
            keys(),
            sign(Algorithm::HS256, &json!({ "sub": "alice", "exp": end, "nbf": end - 1 })),
            "its nbf is in the future",
        ),
        (keys().token_bytes(16), token.clone(), "it is too long. Setting: JwtKey::token_bytes"),
    ] {
        let said = reason(keys, &token).await;
        assert!(said.contains("the token is refused: ") && said.contains(why), "{why}: {said}");
    }
}

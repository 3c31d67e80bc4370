//! Each place where a credential can stand, from a client that is not keywire's.
#![cfg(all(feature = "warp", feature = "jwt"))]

mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header};
use keywire::auth::{CredentialSource, JwtKey, RawKey};
use keywire::{Hub, KeyExtractor};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use support::Server;

const SECRET: &[u8] = b"the secret of the tests, longer than 32 bytes";

/// The longest that a token may be.
const LONGEST: usize = 8 * 1024;

async fn server(keys: impl KeyExtractor) -> Server {
    Server::start(Hub::builder(keys).build()).await
}

/// A good token, exactly so long.
fn token(len: usize) -> String {
    let sign = |filler: usize| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs();
        let claims = json!({ "sub": "alice", "exp": now + 3600, "filler": "x".repeat(filler) });
        jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET)).expect("a token")
    };
    let shortest = sign(0).len();
    let token = (len.saturating_sub(shortest) * 3 / 4..).map(sign).find(|token| token.len() >= len);
    token.filter(|token| token.len() == len).expect("a length that base64 can have")
}

/// The path and the headers of an opening with the credential in this place.
fn with(source: &CredentialSource, credential: &str) -> (String, Vec<(&'static str, String)>) {
    let escaped = utf8_percent_encode(credential, NON_ALPHANUMERIC).to_string();
    let nowhere = "/websocket".to_owned();
    match source {
        CredentialSource::Path => (format!("/websocket/{escaped}"), vec![]),
        CredentialSource::Query(name) => (format!("/websocket?a=b&{name}={escaped}"), vec![]),
        CredentialSource::Bearer => (nowhere, vec![("Authorization", format!("Bearer {credential}"))]),
        CredentialSource::Cookie(name) => (nowhere, vec![("Cookie", format!("a=b; {name}={credential}"))]),
        CredentialSource::Header(_) => (nowhere, vec![("X-Api-Key", credential.to_owned())]),
        CredentialSource::Subprotocol => {
            let offer =
                format!("keywire.v1, base64url.bearer.keywire.{}", URL_SAFE_NO_PAD.encode(credential));
            (nowhere, vec![("Sec-WebSocket-Protocol", offer)])
        }
        other => panic!("a source without a test: {other:?}"),
    }
}

fn all() -> [CredentialSource; 6] {
    [
        CredentialSource::Path,
        CredentialSource::Query("token".into()),
        CredentialSource::Bearer,
        CredentialSource::Cookie("keywire".into()),
        CredentialSource::Header("x-api-key".into()),
        CredentialSource::Subprotocol,
    ]
}

fn borrowed<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    headers.iter().map(|(name, value)| (*name, &**value)).collect()
}

#[tokio::test]
async fn a_token_is_found_in_each_place_and_only_there() {
    for source in all() {
        let server = server(JwtKey::hs256(SECRET).sources([source.clone()])).await;
        for elsewhere in all() {
            let (path, headers) = with(&elsewhere, &token(300));
            if elsewhere == source {
                server.open_with(&path, &borrowed(&headers)).await.ping().await;
                assert_eq!(server.hub.sessions("alice").await.len(), 1, "{source:?}");
            } else if elsewhere == CredentialSource::Subprotocol {
                let end = server.open_with(&path, &borrowed(&headers)).await.end().await;
                assert_eq!((end.code, &*end.reason), (4501, "missing"), "{source:?}");
            } else {
                let refusal = server.refusal(&path, &borrowed(&headers)).await;
                assert_eq!(refusal.json(), json!({ "error": "missing" }), "{source:?} {elsewhere:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_of_8_kib_is_good_in_each_place_and_one_byte_more_in_none() {
    let server = server(JwtKey::hs256(SECRET).sources(all())).await;
    let (longest, too_long) = (token(LONGEST), token(LONGEST + 1));
    for source in all() {
        let (path, headers) = with(&source, &longest);
        server.open_with(&path, &borrowed(&headers)).await.ping().await;
        let (path, headers) = with(&source, &too_long);
        if source == CredentialSource::Subprotocol {
            let end = server.open_with(&path, &borrowed(&headers)).await.end().await;
            assert_eq!((end.code, &*end.reason), (4501, "invalid"));
        } else {
            let refusal = server.refusal(&path, &borrowed(&headers)).await;
            assert_eq!((refusal.status, refusal.json()), (401, json!({ "error": "invalid" })), "{source:?}");
        }
    }
}

#[tokio::test]
async fn two_credentials_are_refused_in_any_two_places_that_a_page_chooses() {
    let server = server(JwtKey::hs256(SECRET).sources(all())).await;
    let token = token(300);
    let chosen: Vec<_> =
        all().into_iter().filter(|source| !matches!(source, CredentialSource::Cookie(_))).collect();
    for (number, one) in chosen.iter().enumerate() {
        for other in &chosen[number + 1..] {
            let ((path, mut headers), (other_path, other_headers)) = (with(one, &token), with(other, &token));
            headers.extend(other_headers);
            let path = match other {
                // Both of these stand in the URL.
                CredentialSource::Query(_) => {
                    format!("{path}{}", other_path.trim_start_matches("/websocket"))
                }
                _ => path,
            };
            if *other == CredentialSource::Subprotocol {
                let end = server.open_with(&path, &borrowed(&headers)).await.end().await;
                assert_eq!((end.code, &*end.reason), (4501, "malformed"), "{one:?} {other:?}");
            } else {
                let refusal = server.refusal(&path, &borrowed(&headers)).await;
                assert_eq!(refusal.json(), json!({ "error": "malformed" }), "{one:?} {other:?}");
            }
        }
    }
    assert_eq!(server.hub.counts().await.sessions, 0);
}

/// Another page of the host may have set it.
#[tokio::test]
async fn a_cookie_decides_nothing_where_there_is_another_credential() {
    let server = server(JwtKey::hs256(SECRET).sources(all())).await;
    let token = token(300);
    for cookie in [token.as_str(), "forged", "\u{e9}"] {
        let cookies = [("Cookie", format!("keywire={cookie}"))];
        for source in all().iter().filter(|source| !matches!(source, CredentialSource::Cookie(_))) {
            let (path, headers) = with(source, &token);
            let headers = [&headers[..], &cookies].concat();
            server.open_with(&path, &borrowed(&headers)).await.ping().await;
        }
    }
}

/// Another page of the host may have added the second cookie.
#[tokio::test]
async fn an_ambiguous_cookie_is_no_credential_where_there_is_another() {
    let server = server(JwtKey::hs256(SECRET).sources(all())).await;
    let token = token(300);
    let cookies = [("Cookie", "keywire=a; keywire=b".to_owned())];
    let refusal = server.refusal("/websocket", &borrowed(&cookies)).await;
    assert_eq!((refusal.status, refusal.json()), (503, json!({ "error": "ambiguous" })));
    for source in all().iter().filter(|source| !matches!(source, CredentialSource::Cookie(_))) {
        let (path, headers) = with(source, &token);
        let headers = [&headers[..], &cookies].concat();
        server.open_with(&path, &borrowed(&headers)).await.ping().await;
    }
}

#[tokio::test]
async fn a_raw_key_is_found_in_each_place() {
    let keys = [
        (CredentialSource::Path, RawKey::from_path(), "zoë /東%"),
        (CredentialSource::Query("token".into()), RawKey::from_query("token"), "zoë +&=/東%"),
        (CredentialSource::Bearer, RawKey::from_bearer(), "zoe%20+"),
        (CredentialSource::Cookie("keywire".into()), RawKey::from_cookie("keywire"), "zoe%20+"),
        (CredentialSource::Header("x-api-key".into()), RawKey::from_header("x-api-key"), "zoe%20+"),
        (CredentialSource::Subprotocol, RawKey::from_subprotocol(), "zoë /東%"),
    ];
    for (source, extractor, key) in keys {
        let server = server(extractor).await;
        let (path, headers) = with(&source, key);
        let mut client = server.open_with(&path, &borrowed(&headers)).await;
        client.ping().await;
        assert_eq!(server.hub.sessions(key).await.len(), 1, "{source:?}");
    }
}

#[tokio::test]
async fn a_token_among_the_subprotocols_is_never_chosen() {
    let server = server(RawKey::from_subprotocol()).await;
    let offers = ["keywire.v1, base64url.bearer.keywire.YQ", "base64url.bearer.keywire.YQ,chat,keywire.v1"];
    for offer in offers {
        let client = server.open_with("/websocket", &[("Sec-WebSocket-Protocol", offer)]).await;
        let chosen: Vec<_> = client.response.headers().get_all("sec-websocket-protocol").iter().collect();
        assert_eq!(chosen, ["keywire.v1"], "{offer}");
    }
    for (offer, status) in [
        // Without keywire.v1 there is nothing to choose, so a browser would fail the connection.
        ("base64url.bearer.keywire.YQ", 400),
        ("base64url.bearer.keywire.YQ, chat", 400),
        ("chat", 401),
        // No opening at all.
        ("keywire.v1, base64url.bearer.keywire.YQ, base64url.bearer.keywire.YQ", 400),
        ("keywire.v1, base64url.bearer.keywire.YQ==", 400),
    ] {
        let refusal = server.refusal("/websocket", &[("Sec-WebSocket-Protocol", offer)]).await;
        assert_eq!(refusal.status, status, "{offer}");
        assert_eq!(refusal.header("sec-websocket-protocol"), None);
        assert!(!refusal.body.contains("YQ"), "{}", refusal.body);
    }
    for offer in [
        "keywire.v1, base64url.bearer.keywire.YQ, base64url.bearer.keywire.Yg",
        "keywire.v1, base64url.bearer.keywire.YR",
        "keywire.v1, base64url.bearer.keywire._w",
    ] {
        let end = server.open_with("/websocket", &[("Sec-WebSocket-Protocol", offer)]).await.end().await;
        assert_eq!((end.code, &*end.reason), (4501, "malformed"), "{offer}");
    }
    assert_eq!(server.refusal("/websocket", &[]).await.status, 401);
}

//! Keys that somebody else publishes: read when needed, no more often than set, and kept while nobody can be asked.
#![cfg(all(feature = "warp", feature = "jwks"))]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jsonwebtoken::Algorithm;
use keywire::Hub;
use keywire::auth::{InvalidJwks, Jwks, JwksError, JwtAlgorithm, JwtKey, Rejection};
use serde_json::{Value, json};
use support::Server;
use support::tokens::{Signer, base64url, claims, der, fixture};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use warp::Filter as _;

/// More than a test asks at the same time.
const PERMITS: u32 = 100;

/// What an identity provider does: answers with a document, and counts.
struct Provider {
    url: String,
    asked: Arc<AtomicUsize>,
    answer: Arc<Mutex<(u16, String)>>,
    /// Answers need a permit; there are more than enough unless a test takes them away.
    permits: Arc<Semaphore>,
    serving: JoinHandle<()>,
}

impl Provider {
    async fn start(document: &Value) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let answer = Arc::new(Mutex::new((200, document.to_string())));
        let permits = Arc::new(Semaphore::new(PERMITS as usize));
        let respond = {
            let (asked, answer, permits) = (asked.clone(), answer.clone(), permits.clone());
            move || {
                let (asked, answer, permits) = (asked.clone(), answer.clone(), permits.clone());
                async move {
                    asked.fetch_add(1, Ordering::SeqCst);
                    let _permit = permits.acquire().await.expect("open");
                    let (status, text) = answer.lock().expect("no panic while it is held").clone();
                    let answer = warp::http::Response::builder().status(status);
                    answer.header("location", "http://127.0.0.1:1/").body(text).expect("an answer")
                }
            }
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}/keys.json?tenant=secret", listener.local_addr().expect("an address"));
        let server = warp::serve(warp::path!("keys.json").then(respond)).incoming(listener);
        Self { url, asked, answer, permits, serving: tokio::spawn(server.run()) }
    }

    fn answers(&self, status: u16, text: impl ToString) {
        *self.answer.lock().expect("no panic while it is held") = (status, text.to_string());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn jwks(&self) -> Jwks {
        Jwks::from_url(&self.url).expect("a URL of this machine")
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The public half of `tests/fixtures/p256.private.pem` or of the Ed25519 key.
fn jwk(kid: &str) -> Value {
    if kid == "ed" {
        let key = der(&fixture("ed25519.public.pem"));
        return json!({ "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": base64url(&key[12..]) });
    }
    let key = der(&fixture("p256.public.pem"));
    let (x, y) = key[key.len() - 64..].split_at(32);
    json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": base64url(x), "y": base64url(y) })
}

/// The public half of `tests/fixtures/p256-other.private.pem`, which stands at its end.
fn other_jwk(kid: &str) -> Value {
    let key = der(&fixture("p256-other.private.pem"));
    let (x, y) = key[key.len() - 64..].split_at(32);
    json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": base64url(x), "y": base64url(y) })
}

fn set(kids: &[&str]) -> Value {
    json!({ "keys": kids.iter().map(|kid| jwk(kid)).collect::<Vec<_>>() })
}

fn token(kid: &str) -> String {
    let (algorithm, name) =
        if kid == "ed" { (Algorithm::EdDSA, "ed25519") } else { (Algorithm::ES256, "p256") };
    Signer::fixture(algorithm, name).sign(&json!({ "alg": algorithm, "kid": kid }), &claims("alice"))
}

async fn verify(key: &JwtKey, kid: &str) -> Result<(), Rejection> {
    support::within("a verdict", key.verify(&token(kid))).await.map(|_| ())
}

/// Lets time pass at once. The clock runs on its own the rest of the time, or it would run ahead of the sockets.
async fn later(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_set_is_asked_for_once_and_again_when_it_is_old() {
    let provider = Provider::start(&set(&["a"])).await;
    let key = JwtKey::new(provider.jwks());
    assert_eq!(provider.asked(), 0, "not before a token comes");
    let server = Server::start(Hub::builder(key.clone()).build()).await;
    for _ in 0..3 {
        server.open(&format!("/websocket/{}", token("a"))).await.ping().await;
    }
    later(299).await;
    assert_eq!(verify(&key, "a").await, Ok(()));
    assert_eq!(provider.asked(), 1);

    // A key that is withdrawn is good no longer than that, not even once more.
    provider.answers(200, set(&["ed"]));
    later(1).await;
    assert_eq!(verify(&key, "a").await, Err(Rejection::NotYet));
    assert_eq!(verify(&key, "ed").await, Ok(()));
    assert_eq!(provider.asked(), 2);
}

#[tokio::test]
async fn an_unknown_name_asks_again_but_once_a_minute() {
    let provider = Provider::start(&set(&["a"])).await;
    let key = JwtKey::new(provider.jwks());
    assert_eq!(verify(&key, "a").await, Ok(()));
    provider.answers(200, set(&["a", "ed"]));
    for _ in 0..3 {
        assert_eq!(verify(&key, "ed").await, Err(Rejection::NotYet), "asked a moment ago");
    }
    assert_eq!(provider.asked(), 1);
    later(60).await;
    assert_eq!(verify(&key, "ed").await, Ok(()));
    assert_eq!(verify(&key, "nobody").await, Err(Rejection::NotYet));
    assert_eq!(provider.asked(), 2);

    let often = JwtKey::new(provider.jwks().refetch_every(Duration::ZERO));
    assert_eq!(verify(&often, "a").await, Ok(()));
    assert_eq!(verify(&often, "nobody").await, Err(Rejection::NotYet));
    assert_eq!(provider.asked(), 4);
}

/// What another reading may heal is never final. What it cannot heal is, but only once there was one.
#[tokio::test]
async fn a_set_that_is_rotated_asks_to_come_back() {
    let provider = Provider::start(&json!({ "keys": [jwk("old")] })).await;
    let keys = JwtKey::new(provider.jwks());
    let server = Server::start(Hub::builder(keys.clone()).build()).await;
    let v1 = [("Sec-WebSocket-Protocol", "keywire.v1")];
    let code =
        async |token: &str| server.open_with(&format!("/websocket/{token}"), &v1).await.end().await.code;
    assert_eq!(verify(&keys, "old").await, Ok(()));
    let refusal = server.refusal(&format!("/websocket/{}", token("new")), &[]).await;
    assert_eq!((refusal.status, refusal.json()), (401, json!({ "error": "not_yet" })));
    assert_eq!(refusal.header("retry-after"), Some("5"));
    assert_eq!(code(&token("new")).await, 1013, "a name that comes later");

    // The provider has another key under the same name, and this side has not heard of it.
    let other = Signer::fixture(Algorithm::ES256, "p256-other");
    let other = other.sign(&json!({ "alg": "ES256", "kid": "old" }), &claims("alice"));
    assert_eq!(code(&other).await, 1013, "the set is older than the token");
    later(60).await;
    assert_eq!(code(&other).await, 4501, "and now it is not");
    assert_eq!(code(&other).await, 1013, "the next token is younger than the set again");
    let wrong = Signer::hmac(Algorithm::HS256, b"secret").sign(&json!({ "alg": "HS256" }), &claims("alice"));
    assert_eq!(code(&wrong).await, 4501, "no set will ever have a key for this algorithm");

    // Both are in the set while one takes over. Without a name it could be either, until one is gone.
    provider.answers(200, json!({ "keys": [jwk("old"), other_jwk("new")] }));
    later(300).await;
    let nameless = Signer::fixture(Algorithm::ES256, "p256").token(&claims("alice"));
    assert_eq!(code(&nameless).await, 1013);
    provider.answers(200, json!({ "keys": [other_jwk("old"), jwk("old")] }));
    later(300).await;
    assert_eq!(verify(&keys, "old").await, Err(Rejection::NotYet), "two keys of one name");
    provider.answers(200, json!({ "keys": [other_jwk("old")] }));
    later(300).await;
    assert!(keys.verify(&other).await.is_ok());
}

#[tokio::test]
async fn a_key_that_cannot_be_read_harms_no_other() {
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    for bad in [
        json!(null).to_string(),
        json!([]).to_string(),
        json!({}).to_string(),
        json!({ "kty": "EC", "crv": "P-521", "kid": "a", "x": "AA", "y": "AA" }).to_string(),
        json!({ "kty": "EC", "crv": "P-256", "kid": "a", "x": "AA", "y": "AA" }).to_string(),
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "AAAA" }).to_string(),
        json!({ "kty": "OKP", "crv": "Ed448", "kid": "a", "x": "AAAA" }).to_string(),
        json!({ "kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB" }).to_string(),
        json!({ "kty": "RSA", "kid": "a" }).to_string(),
        json!({ "kty": "EC", "kid": 5 }).to_string(),
        json!({ "kty": 5, "kid": "a" }).to_string(),
        r#"{"kty":"EC","kty":"EC"}"#.into(),
        r#"{"kty":"\ud800"}"#.into(),
        r#"{"kty":"EC","x":1e999}"#.into(),
        format!(r#"{{"kty":"EC","more":{deep}}}"#),
    ] {
        let provider = Provider::start(&json!({})).await;
        provider.answers(200, format!(r#"{{"keys":[{bad},{},{bad}]}}"#, jwk("a")));
        assert_eq!(verify(&JwtKey::new(provider.jwks()), "a").await, Ok(()), "{bad}");
    }
}

#[tokio::test]
async fn a_stampede_asks_once_and_outlives_the_one_who_began_it() {
    let provider = Provider::start(&set(&["a"])).await;
    let key = JwtKey::new(provider.jwks());
    let all = provider.permits.acquire_many(PERMITS).await.unwrap();

    let first = tokio::spawn({
        let key = key.clone();
        async move { verify(&key, "a").await }
    });
    support::until("the provider is asked", async || {
        (provider.asked() == 1).then_some(()).ok_or("no".into())
    })
    .await;
    first.abort();
    let _ = first.await;
    let mut waiting = JoinSet::new();
    for kid in ["a"; 20] {
        let key = key.clone();
        waiting.spawn(async move { verify(&key, kid).await });
    }
    tokio::task::yield_now().await;
    drop(all);
    while let Some(verdict) = waiting.join_next().await {
        assert_eq!(verdict.unwrap(), Ok(()));
    }
    assert_eq!(provider.asked(), 1);

    later(60).await;
    for i in 0..20 {
        let key = key.clone();
        waiting.spawn(async move { verify(&key, &format!("unknown {i}")).await });
    }
    while let Some(verdict) = waiting.join_next().await {
        assert_eq!(verdict.unwrap(), Err(Rejection::NotYet));
    }
    assert_eq!(provider.asked(), 2);
}

#[tokio::test]
async fn the_last_good_set_survives_an_outage() {
    let provider = Provider::start(&set(&["a"])).await;
    let key = JwtKey::new(provider.jwks());
    assert_eq!(verify(&key, "a").await, Ok(()));
    for (status, text) in [(500, ""), (200, "<html>"), (200, "{\"keys\":[]}"), (302, ""), (204, "")] {
        provider.answers(status, text);
        later(300).await;
        let before = provider.asked();
        for _ in 0..3 {
            assert_eq!(verify(&key, "a").await, Ok(()), "{status} {text}");
            assert_eq!(verify(&key, "ed").await, Err(Rejection::NotYet));
        }
        assert_eq!(provider.asked(), before + 1, "left alone for a minute");
    }
    provider.answers(200, set(&["ed"]));
    later(60).await;
    assert_eq!(verify(&key, "ed").await, Ok(()));
}

#[tokio::test]
async fn without_any_set_a_client_is_told_to_come_back() {
    let provider = Provider::start(&set(&["a"])).await;
    provider.answers(503, "");
    let key = JwtKey::new(provider.jwks());
    let server = Server::start(Hub::builder(key.clone()).build()).await;
    let refusal = server.refusal(&format!("/websocket/{}", token("a")), &[]).await;
    assert_eq!((refusal.status, refusal.json()), (503, json!({ "error": "unavailable" })));
    assert_eq!(verify(&key, "a").await, Err(Rejection::Unavailable));
    assert_eq!(provider.asked(), 1, "not again within a second");
    provider.answers(200, set(&["a"]));
    later(1).await;
    assert_eq!(verify(&key, "a").await, Ok(()));
}

#[tokio::test]
async fn an_opening_waits_for_a_while_only() {
    let provider = Provider::start(&set(&["a"])).await;
    let _all = provider.permits.acquire_many(PERMITS).await.unwrap();
    let jwks = provider.jwks().timeout(Duration::from_millis(10));
    assert_eq!(jwks.load().await, Err(JwksError::Timeout));
    assert_eq!(verify(&JwtKey::new(jwks), "a").await, Err(Rejection::Unavailable));
}

#[tokio::test]
async fn what_comes_from_a_url_is_limited() {
    let provider = Provider::start(&set(&["a"])).await;
    assert_eq!(provider.jwks().load().await, Ok(()));
    assert_eq!(provider.jwks().max_bytes(20).load().await, Err(JwksError::TooLarge));
    for status in [301, 302, 307, 404, 500] {
        provider.answers(status, set(&["a"]));
        assert_eq!(provider.jwks().load().await, Err(JwksError::Status(status)));
    }
    let none = Err(JwksError::Invalid(InvalidJwks::NoKey));
    provider.answers(200, set(&["a"]));
    assert_eq!(provider.jwks().algorithms([JwtAlgorithm::RS256]).load().await, none);
    // A secret at a URL is everybody's.
    provider
        .answers(200, json!({ "keys": [{ "kty": "oct", "alg": "HS256", "k": base64url("x".repeat(32)) }] }));
    assert_eq!(provider.jwks().load().await, none);
    assert_eq!(provider.jwks().algorithms([JwtAlgorithm::HS256]).load().await, none);

    for url in [
        "http://login.example/keys",
        "http://127.0.0.1.login.example/keys",
        "https://user:password@login.example/keys",
        "ftp://127.0.0.1/keys",
        "file:///etc/keys",
        "/keys",
        "",
    ] {
        assert_eq!(Jwks::from_url(url).unwrap_err(), JwksError::Url, "{url}");
    }
    let nobody = Jwks::from_url("http://127.0.0.1:1/keys").unwrap();
    assert_eq!(nobody.load().await, Err(JwksError::Unreachable));
    assert!(!format!("{:?}", provider.jwks()).contains("secret"), "a query may hold a credential");
}

#[tokio::test]
async fn a_file_may_change_and_hold_secrets() {
    let path = std::env::temp_dir().join(format!("keywire-jwks-{}.json", std::process::id()));
    let missing = Err(JwksError::File(std::io::ErrorKind::NotFound));
    assert_eq!(Jwks::from_file(&path).load().await, missing);
    std::fs::write(&path, set(&["a"]).to_string()).unwrap();
    let key = JwtKey::new(Jwks::from_file(&path));
    assert_eq!(verify(&key, "a").await, Ok(()));
    assert_eq!(Jwks::from_file(&path).max_bytes(20).load().await, Err(JwksError::TooLarge));

    std::fs::write(&path, set(&["ed"]).to_string()).unwrap();
    later(300).await;
    assert_eq!(verify(&key, "a").await, Err(Rejection::NotYet));
    assert_eq!(verify(&key, "ed").await, Ok(()));
    std::fs::remove_file(&path).unwrap();
    later(300).await;
    assert_eq!(verify(&key, "ed").await, Ok(()));

    let secret = b"a secret of at least 32 bytes ......";
    let oct = json!({ "keys": [{ "kty": "oct", "kid": "s", "k": base64url(secret) }] });
    std::fs::write(&path, oct.to_string()).unwrap();
    assert!(Jwks::from_file(&path).load().await.is_err(), "not unless asked for");
    let key = JwtKey::new(Jwks::from_file(&path).algorithms([JwtAlgorithm::HS256]));
    let token = Signer::hmac(Algorithm::HS256, secret).sign(&json!({ "alg": "HS256" }), &claims("alice"));
    assert!(key.verify(&token).await.is_ok());
    std::fs::remove_file(&path).unwrap();
}

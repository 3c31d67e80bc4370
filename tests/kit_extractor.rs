//! `keywire::testing::extractor`: keywire's own extractors keep the contract, and an extractor with any one of these bugs does not pass.
#![cfg(all(feature = "testing", feature = "jwt"))]

use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use keywire::adapter::Handshake;
use keywire::auth::{CredentialSource, JwtKey, RawKey, Rejection, TicketKey, Tickets};
use keywire::testing::TabBuilder;
use keywire::testing::extractor::{self, Sample};
use keywire::{Identity, Key, KeyExtractor, async_trait};
use serde_json::json;

const SECRET: &[u8] = b"the secret of the tests, longer than 32 bytes";

fn place(source: CredentialSource) -> impl Fn(TabBuilder, &[u8]) -> TabBuilder + Send + Sync {
    move |opening, credential| match &source {
        CredentialSource::Path => opening.path_key(credential),
        CredentialSource::Query(name) => opening.query(name, credential),
        CredentialSource::Bearer => opening.bearer(credential),
        CredentialSource::Cookie(name) => opening.cookie(name, credential),
        CredentialSource::Header(name) => opening.header(&**name, credential),
        CredentialSource::Subprotocol => opening.subprotocol_token(credential),
        other => panic!("a source without a test: {other:?}"),
    }
}

fn sources() -> [CredentialSource; 6] {
    [
        CredentialSource::Path,
        CredentialSource::Query("token".into()),
        CredentialSource::Bearer,
        CredentialSource::Cookie("keywire".into()),
        CredentialSource::Header("x-api-key".into()),
        CredentialSource::Subprotocol,
    ]
}

#[tokio::test]
async fn raw_keys() {
    for source in sources() {
        let keys = match &source {
            CredentialSource::Path => RawKey::from_path(),
            CredentialSource::Query(name) => RawKey::from_query(name.clone()),
            CredentialSource::Bearer => RawKey::from_bearer(),
            CredentialSource::Cookie(name) => RawKey::from_cookie(name.clone()),
            CredentialSource::Header(name) => RawKey::from_header(name.clone()),
            _ => RawKey::from_subprotocol(),
        };
        let sample = Sample::new("alice", || "alice".to_owned(), place(source)).wrong("x".repeat(257));
        extractor::all(&keys, &sample.wrong("\u{202e}alice")).await;
    }
}

fn token(secret: &[u8], sub: &str, lasts: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs();
    let claims = json!({ "sub": sub, "exp": now.saturating_add_signed(lasts) });
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(secret)).expect("a token")
}

#[tokio::test]
async fn signed_tokens() {
    for source in sources() {
        let keys = JwtKey::hs256(SECRET).sources([source.clone()]);
        let sample = Sample::new("alice", || token(SECRET, "alice", 3600), place(source))
            .wrong(token(SECRET, "alice", -3600))
            .wrong(token(SECRET, "", 3600))
            .wrong(token(&[0; 32], "alice", 3600));
        extractor::all(&keys, &sample).await;
    }
}

#[tokio::test]
async fn tickets() {
    let tickets = Tickets::new();
    let used = tickets.issue(alice()).await.expect("a ticket").as_str().to_owned();
    tickets.take(&used).await.expect("a good ticket");
    let mut issued = Vec::new();
    for _ in 0..20 {
        issued.push(tickets.issue(alice()).await.expect("a ticket").as_str().to_owned());
    }
    let issued = Mutex::new(issued);
    let next = move || issued.lock().expect("no panic").pop().expect("up to 20 credentials");
    let sample = Sample::new("alice", next, place(CredentialSource::Query("ticket".into())));
    extractor::all(&TicketKey::new(&tickets), &sample.wrong(used).wrong("no ticket")).await;
}

#[tokio::test]
async fn combined_extractors() {
    let keys = RawKey::from_header("x-other")
        .or(JwtKey::hs256(SECRET).sources([CredentialSource::Bearer]))
        .and_then(|identity: Identity| async { Ok(identity) })
        .map(|identity| identity);
    let sample = Sample::new("alice", || token(SECRET, "alice", 3600), place(CredentialSource::Bearer));
    extractor::all(&keys, &sample.wrong("no token")).await;
}

#[tokio::test(start_paused = true)]
async fn each_bug_is_found() {
    extractor::all(&ApiKeys(Bug::None), &api_keys()).await;
    for bug in [
        Bug::AbsentIsWrong,
        Bug::OthersAreWrong,
        Bug::WrongIsMissing,
        Bug::AcceptsAll,
        Bug::AnotherUser,
        Bug::TakesTheFirst,
        Bug::TakesTheLast,
        Bug::ComparesTheBeginning,
        Bug::IgnoresCase,
        Bug::WantsAnOpening,
        Bug::IsLossy,
        Bug::PanicsAtLong,
        Bug::PanicsAtEmpty,
        Bug::HangsAtEmpty,
        Bug::RefreshesAll,
        Bug::RefreshesAnother,
        Bug::RefreshPanics,
    ] {
        let checked = tokio::spawn(async move { extractor::all(&ApiKeys(bug), &api_keys()).await }).await;
        assert!(checked.is_err_and(|error| error.is_panic()), "{bug:?} is not found");
    }
}

/// A decorator that counts openings.
struct Counting<E> {
    inner: E,
    bug: Option<Forgets>,
}

#[derive(Debug, Clone, Copy)]
enum Forgets {
    Extract,
    Refresh,
}

#[async_trait]
impl<E: KeyExtractor> KeyExtractor for Counting<E> {
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
        match self.bug {
            Some(Forgets::Extract) => Err(Rejection::Missing),
            _ => self.inner.extract(handshake).await,
        }
    }

    async fn refresh(&self, credential: &str) -> Result<Identity, Rejection> {
        match self.bug {
            // The trait's default.
            Some(Forgets::Refresh) => Err(Rejection::Missing),
            _ => self.inner.refresh(credential).await,
        }
    }
}

#[tokio::test]
async fn a_decorator_that_forgets_a_method_is_found() {
    extractor::a_decorator_forwards(|inner| Counting { inner, bug: None }).await;
    extractor::a_decorator_forwards(|inner| inner.and_then(async |identity: Identity| Ok(identity))).await;
    extractor::a_decorator_forwards(|inner| inner.map(|identity| identity).or(RawKey::from_path())).await;
    for bug in [Forgets::Extract, Forgets::Refresh] {
        let wrap = move |inner| Counting { inner, bug: Some(bug) };
        let checked = tokio::spawn(extractor::a_decorator_forwards(wrap)).await;
        assert!(checked.is_err_and(|error| error.is_panic()), "{bug:?} is not found");
    }
}

fn api_keys() -> Sample {
    let place = |opening: TabBuilder, key: &[u8]| opening.header("x-api-key", key);
    Sample::new("alice", || GOOD.to_owned(), place).wrong("wrong")
}

const GOOD: &str = "Secret-17";

fn alice() -> Identity {
    Identity::new(Key::new("alice").expect("a key"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    AbsentIsWrong,
    OthersAreWrong,
    WrongIsMissing,
    AcceptsAll,
    AnotherUser,
    TakesTheFirst,
    TakesTheLast,
    ComparesTheBeginning,
    IgnoresCase,
    WantsAnOpening,
    IsLossy,
    PanicsAtLong,
    PanicsAtEmpty,
    HangsAtEmpty,
    RefreshesAll,
    RefreshesAnother,
    RefreshPanics,
}

/// An extractor for one API key, with one bug.
struct ApiKeys(Bug);

impl ApiKeys {
    async fn check(&self, key: &str) -> Result<Identity, Rejection> {
        let is_good = match self.0 {
            Bug::AcceptsAll => true,
            Bug::ComparesTheBeginning => key.starts_with(GOOD),
            Bug::IgnoresCase => key.eq_ignore_ascii_case(GOOD),
            _ => key == GOOD,
        };
        match self.0 {
            Bug::PanicsAtLong => assert!(key.len() < 1024),
            Bug::PanicsAtEmpty => assert!(!key.is_empty()),
            Bug::HangsAtEmpty if key.is_empty() => std::future::pending().await,
            Bug::AnotherUser if is_good => return Ok(Identity::new(Key::new("bob")?)),
            Bug::WrongIsMissing if !is_good => return Err(Rejection::Missing),
            _ => {}
        }
        if is_good { Ok(alice()) } else { Err(Rejection::Invalid) }
    }
}

#[async_trait]
impl KeyExtractor for ApiKeys {
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
        let headers = handshake.headers();
        let mut all = headers.get_all("x-api-key").into_iter();
        let absent = || if self.0 == Bug::AbsentIsWrong { Rejection::Invalid } else { Rejection::Missing };
        match self.0 {
            Bug::OthersAreWrong if headers.contains_key("authorization") => return Err(Rejection::Invalid),
            Bug::WantsAnOpening if !headers.contains_key("upgrade") => return Err(Rejection::Malformed),
            Bug::IsLossy if headers.get_all("x-api-key").into_iter().any(|key| key.to_str().is_err()) => {
                return Err(Rejection::Missing);
            }
            _ => {}
        }
        let one = match self.0 {
            Bug::TakesTheFirst => all.next().and_then(|key| key.to_str().ok()),
            Bug::TakesTheLast => all.next_back().and_then(|key| key.to_str().ok()),
            _ => handshake.header("x-api-key")?,
        };
        self.check(one.ok_or_else(absent)?).await
    }

    async fn refresh(&self, key: &str) -> Result<Identity, Rejection> {
        match self.0 {
            Bug::RefreshesAll => Ok(alice()),
            Bug::RefreshesAnother => Ok(Identity::new(Key::new("bob")?)),
            Bug::RefreshPanics => panic!("a bug"),
            _ => self.check(key).await,
        }
    }
}

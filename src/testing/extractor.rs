//! Checks for the contract of a [`KeyExtractor`], and for what a decorator of one must not forget.
//!
//! A [`Sample`] says which credentials are good and where they stand. An extractor for API keys in a header:
//!
//! ```
//! use keywire::adapter::Handshake;
//! use keywire::auth::{Rejection, extract_fn};
//! use keywire::testing::extractor::{self, Sample};
//! use keywire::{Identity, Key, KeyExtractor};
//!
//! async fn api_key(handshake: Handshake) -> Result<Identity, Rejection> {
//!     match handshake.header("x-api-key")?.ok_or(Rejection::Missing)? {
//!         "key-of-alice" => Ok(Identity::new(Key::new("alice")?)),
//!         _ => Err(Rejection::Invalid),
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let sample = Sample::new("alice", || "key-of-alice".to_owned(), |opening, key| opening.header("x-api-key", key));
//! extractor::all(&extract_fn(api_key), &sample.wrong("key-of-mallory")).await;
//! extractor::a_decorator_forwards(|inner| inner.map(|identity| identity)).await;
//! # }
//! ```

mod recorder;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::timeout;

pub use self::recorder::{Recorder, a_decorator_forwards};
use super::{Tab, TabBuilder};
use crate::auth::KeyExtractor;
use crate::key::Identity;
use crate::rejection::Rejection;

/// The credentials of an extractor for the checks. [`Debug`] does not show them.
pub struct Sample {
    key: Box<str>,
    good: Box<dyn Fn() -> String + Send + Sync>,
    place: Box<Place>,
    wrong: Vec<String>,
}

type Place = dyn Fn(TabBuilder, &[u8]) -> TabBuilder + Send + Sync;

impl Sample {
    /// - `key`: whom the credential belongs to.
    /// - `good`: a credential that is accepted. It is called up to 20 times, and only a credential for one use has to be a new one each
    ///   time.
    /// - `place`: puts a credential into an opening, as `|opening, credential| opening.bearer(credential)` does. The credential may be
    ///   any bytes that a header can have.
    pub fn new(
        key: impl Into<Box<str>>,
        good: impl Fn() -> String + Send + Sync + 'static,
        place: impl Fn(TabBuilder, &[u8]) -> TabBuilder + Send + Sync + 'static,
    ) -> Self {
        Self { key: key.into(), good: Box::new(good), place: Box::new(place), wrong: Vec::new() }
    }

    /// Adds a credential that must be refused, for example one with a wrong signature, or that is expired.
    #[must_use]
    pub fn wrong(mut self, credential: impl Into<String>) -> Self {
        self.wrong.push(credential.into());
        self
    }

    fn good(&self) -> String {
        (self.good)()
    }

    fn with(&self, credential: impl AsRef<[u8]>) -> TabBuilder {
        (self.place)(Tab::builder(), credential.as_ref())
    }
}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Runs all checks that every extractor must pass. Each call of the extractor has 30 s. What a [`Rejection`] shows needs no check: it
/// names a kind of failure and has no room for a credential.
///
/// # Panics
///
/// If the extractor violates the contract.
pub async fn all(extractor: &dyn KeyExtractor, sample: &Sample) {
    a_good_credential_is_its_key(extractor, sample).await;
    an_absent_credential_is_missing(extractor, sample).await;
    a_wrong_credential_is_refused_for_good(extractor, sample).await;
    another_credential_is_not_the_same_key(extractor, sample).await;
    two_credentials_are_refused(extractor, sample).await;
    hostile_credentials_are_refused(extractor, sample).await;
    a_refresh_is_as_strict(extractor, sample).await;
}

/// A good credential gives its key: at an opening and, for [`Hub::identify`](crate::Hub::identify), in a request to another route.
pub async fn a_good_credential_is_its_key(extractor: &dyn KeyExtractor, sample: &Sample) {
    for (what, request) in [
        ("an opening", sample.with(sample.good())),
        ("a second opening", sample.with(sample.good())),
        ("a request to another route", sample.with(sample.good()).without_upgrade()),
    ] {
        match extract(extractor, what, request).await {
            Ok(identity) => assert_eq!(identity.key().as_str(), &*sample.key, "the key of {what}"),
            Err(rejection) => panic!("{what} with a good credential is refused: {rejection:?}"),
        }
    }
}

/// Without a credential where the extractor looks, it says [`Rejection::Missing`], so that [`or`](KeyExtractor::or) asks the next one.
/// Credentials elsewhere belong to others.
pub async fn an_absent_credential_is_missing(extractor: &dyn KeyExtractor, _: &Sample) {
    let others = Tab::builder()
        .query("of-another", "a")
        .cookie("of-another", "b")
        .header("x-of-another", "c")
        .header("authorization", "Of-another d")
        .subprotocol("of-another");
    let bytes = Tab::builder().cookie("of-another", [0xff]).header("x-of-another", [0xff]);
    for (what, opening) in
        [("no credential", Tab::builder()), ("credentials of others", others), ("bytes of others", bytes)]
    {
        let extracted = extract(extractor, what, opening).await.map(|identity| identity.key().clone());
        assert_eq!(extracted, Err(Rejection::Missing), "an opening with {what}");
    }
}

/// A wrong credential is refused, and never as a missing one: no other extractor may decide about it.
pub async fn a_wrong_credential_is_refused_for_good(extractor: &dyn KeyExtractor, sample: &Sample) {
    for (at, wrong) in sample.wrong.iter().enumerate() {
        let what = format!("the wrong credential {at}");
        refused(&what, extract(extractor, &what, sample.with(wrong)).await);
    }
}

/// A credential that differs from a good one is never accepted as the same key.
pub async fn another_credential_is_not_the_same_key(extractor: &dyn KeyExtractor, sample: &Sample) {
    let good = sample.good();
    let shorter: String = good.chars().take(good.chars().count() - 1).collect();
    for (what, credential) in [
        ("shorter", shorter),
        ("longer", format!("{good}x")),
        ("longer in front", format!("x{good}")),
        ("doubled", format!("{good}{good}")),
        ("of another case", good.chars().map(swap_case).collect()),
    ] {
        if credential.is_empty() || credential == good {
            continue;
        }
        let what = format!("a credential that is {what}");
        match extract(extractor, &what, sample.with(credential)).await {
            Ok(identity) => assert_ne!(identity.key().as_str(), &*sample.key, "{what} is accepted"),
            // There is a credential, so this one decides.
            Err(rejection) => assert_ne!(rejection, Rejection::Missing, "{what}"),
        }
    }
}

/// Two credentials in one request are refused, whichever comes first: a server that reads in another order would see another user.
pub async fn two_credentials_are_refused(extractor: &dyn KeyExtractor, sample: &Sample) {
    for wrong in &sample.wrong {
        let good = sample.good();
        for (first, second) in [(&good, wrong), (wrong, &good)] {
            let both = (sample.place)(sample.with(first), second.as_bytes());
            // A path has room for one.
            if both == sample.with(second) {
                continue;
            }
            let extracted = extract(extractor, "two credentials", both).await;
            // Another page may have added a cookie: Rejection::Ambiguous.
            let is_refused = extracted.is_err_and(|rejection| rejection != Rejection::Missing);
            assert!(is_refused, "a good and a wrong credential in one request are not refused");
        }
    }
}

/// Whatever stands in place of a credential is refused: in time, without a panic, and not as a missing one.
pub async fn hostile_credentials_are_refused(extractor: &dyn KeyExtractor, sample: &Sample) {
    let long = "x".repeat(20 * 1024);
    for (what, credential) in [
        ("20 KiB", long.as_bytes()),
        ("not UTF-8", b"\xff\xfe"),
        ("the start of a character", b"a\xc3"),
        ("half of a surrogate pair", b"\xed\xa0\x80"),
    ] {
        let what = format!("a credential that is {what}");
        refused(&what, extract(extractor, &what, sample.with(credential)).await);
    }
    for (what, credential) in [
        ("empty", ""),
        ("a space", " "),
        ("a dot", "."),
        ("dots", "..."),
        ("percent", "%"),
        ("quotes", "\"\""),
        ("null", "null"),
    ] {
        let what = format!("a credential that is {what}");
        if let Ok(identity) = extract(extractor, &what, sample.with(credential)).await {
            assert_ne!(identity.key().as_str(), &*sample.key, "{what} is accepted");
        }
    }
}

/// [`KeyExtractor::refresh`] accepts what an opening accepts, or nothing at all.
pub async fn a_refresh_is_as_strict(extractor: &dyn KeyExtractor, sample: &Sample) {
    let good = sample.good();
    match refresh(extractor, &good).await {
        Ok(identity) => assert_eq!(identity.key().as_str(), &*sample.key, "the key of a refresh"),
        Err(rejection) => assert_eq!(rejection, Rejection::Missing, "an extractor without refresh says so"),
    }
    let long = "x".repeat(20 * 1024);
    let hostile = ["", " ", "\0", "...", "\u{202e}", &long];
    for wrong in sample.wrong.iter().map(String::as_str).chain(hostile) {
        assert!(refresh(extractor, wrong).await.is_err(), "a refresh with a wrong credential is accepted");
    }
}

/// More than a hub waits by default.
const PATIENCE: Duration = Duration::from_secs(30);

async fn extract(
    extractor: &dyn KeyExtractor,
    what: &str,
    opening: TabBuilder,
) -> Result<Identity, Rejection> {
    let opening = opening.into();
    in_time(what, extractor.extract(&opening)).await
}

async fn refresh(extractor: &dyn KeyExtractor, credential: &str) -> Result<Identity, Rejection> {
    in_time("a refresh", extractor.refresh(credential)).await
}

/// A panic is the extractor's, and the message says for what. Its own message may contain the credential.
async fn in_time<F: Future>(what: &str, call: F) -> F::Output {
    match timeout(PATIENCE, AssertUnwindSafe(call).catch_unwind()).await {
        Ok(Ok(output)) => output,
        Ok(Err(_)) => panic!("the extractor panicked at {what}"),
        Err(_) => panic!("the extractor took more than 30 s for {what}"),
    }
}

fn refused(what: &str, extracted: Result<Identity, Rejection>) {
    match extracted {
        Ok(_) => panic!("{what} is accepted"),
        Err(rejection @ (Rejection::Missing | Rejection::Ambiguous)) => {
            panic!("{what} is refused with {rejection:?}, so that another extractor decides")
        }
        Err(_) => {}
    }
}

fn swap_case(character: char) -> char {
    if character.is_ascii_lowercase() {
        character.to_ascii_uppercase()
    } else {
        character.to_ascii_lowercase()
    }
}

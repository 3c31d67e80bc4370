//! Everything that a token can lie about, thrown at a server that listens: nobody gets in, nobody learns more than that, and
//! whoever has a good token still does.
#![cfg(all(feature = "warp", feature = "jwt"))]

#[path = "../support/mod.rs"]
mod support;

mod algorithms;
mod claims;
mod headers;
mod signatures;
mod target;
mod texts;

use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use keywire::Hub;
use keywire::auth::JwtKey;
use support::{Head, Server, opening};
use target::Target;
use tracing::level_filters::LevelFilter;

/// A name for whoever reads a failure, and what is thrown.
type Hostile = (String, String);

fn all(target: &Target) -> Vec<Hostile> {
    let groups: [fn(&Target) -> Vec<Hostile>; 10] = [
        algorithms::none,
        algorithms::others,
        algorithms::confusion,
        headers::kid,
        headers::embedded,
        headers::demands,
        signatures::bent,
        claims::types,
        claims::times_and_users,
        texts::no_tokens,
    ];
    groups.iter().flat_map(|group| group(target)).collect()
}

#[tokio::test]
async fn hs256_lets_no_hostile_token_in() {
    let target = Target::hs256();
    let key = JwtKey::hs256(target::SECRET);
    throw_all(&target, key).await;
}

#[tokio::test]
async fn rs256_lets_no_hostile_token_in() {
    let target = Target::rs256();
    let key = JwtKey::rs256_pem(support::tokens::fixture("rsa.public.pem")).unwrap();
    throw_all(&target, key).await;
}

#[tokio::test]
async fn es256_lets_no_hostile_token_in() {
    let target = Target::es256();
    let key = JwtKey::es256_pem(support::tokens::fixture("p256.public.pem")).unwrap();
    throw_all(&target, key).await;
}

async fn throw_all(target: &Target, key: JwtKey) {
    listen_to_the_log();
    let server = Server::start(Hub::builder(key).build()).await;
    let hostile = all(target);
    let different: HashSet<_> = hostile.iter().map(|(_, token)| token).collect();
    assert_eq!(different.len(), hostile.len(), "{:?}", twice(&hostile));
    assert!(hostile.len() >= 150, "only {}", hostile.len());

    for (i, (name, token)) in hostile.iter().enumerate() {
        let thrown = tokio::time::timeout(Duration::from_secs(1), throw(&server, &request(token, i))).await;
        let head = thrown.unwrap_or_else(|_| panic!("{name}: no answer"));
        assert!((400..500).contains(&head.status), "{name}: {} for {token:?}", head.status);
        let answer = format!("{head:?}");
        let echoed = telling(token).find(|word| answer.contains(word));
        assert!(echoed.is_none(), "{name} is echoed: {answer}");
    }
    assert_eq!(server.hub.counts().await.sessions, 0);

    let good = target.good();
    server.open(&format!("/websocket/{good}")).await.ping().await;
    let sessions = server.hub.sessions("alice").await;
    assert_eq!(sessions.len(), 1);

    let log = String::from_utf8_lossy(&LOG.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
    assert!(log.contains("refused") && log.contains("opened"), "something is logged at all: {log}");
    let logged: HashSet<_> = telling(&log).collect();
    let leaked = |text: &str| telling(text).any(|word| logged.iter().any(|logged| logged.contains(word)));
    for (name, token) in &hostile {
        assert!(!leaked(token) && !leaked(&escaped(token)), "{name} is logged");
    }
    assert!(!leaked(&good), "a good token is logged");
    println!("{} hostile tokens", hostile.len());
}

/// Asks with the token in one of the places where it may stand; what is no word of a URL is escaped in the query.
fn request(token: &str, i: usize) -> String {
    let plain = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let place = if plain && !token.trim_matches('.').is_empty() { i % 3 } else { 0 };
    match place {
        1 => opening(&format!("/websocket/{token}"), &[]),
        2 => opening("/websocket", &[("Authorization", &format!("Bearer {token}"))]),
        _ if plain => opening(&format!("/websocket?token={token}"), &[]),
        _ => opening(&format!("/websocket?token={}", escaped(token)), &[]),
    }
}

fn escaped(token: &str) -> String {
    token.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn throw(server: &Server, request: &str) -> Head {
    let mut raw = server.raw().await;
    raw.write(request.as_bytes()).await;
    raw.head().await
}

/// The parts of a text that can be told from other words: runs of the characters of tokens, 20 or more of them.
fn telling(text: &str) -> impl Iterator<Item = &str> {
    let of_a_token = |c: char| c.is_ascii_alphanumeric() || "-_%".contains(c);
    text.split(move |c| !of_a_token(c)).filter(|word| word.len() >= 20)
}

fn twice(hostile: &[Hostile]) -> Vec<&str> {
    let mut seen = HashSet::new();
    hostile.iter().filter(|(_, token)| !seen.insert(token)).map(|(name, _)| &**name).collect()
}

/// All that is logged in this process, at every level, by keywire and what it is built on.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct ToLog;

impl Write for ToLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn listen_to_the_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let everything = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false);
        everything.with_writer(|| ToLog).init();
    });
}

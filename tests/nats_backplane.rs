//! The backplane on a real NATS server: what arrives, and what is told when something may not have.
#![cfg(feature = "nats")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use keywire::cluster::{Backplane, Event, Nats, NatsError, NatsOptions, Topic};
use keywire::log::Log;
use keywire::{Key, Push};
use support::{NatsServer, until, within};

/// A cluster that needs no JetStream.
fn core() -> NatsOptions {
    Nats::options().without_log().without_presence()
}

async fn nodes(server: &NatsServer) -> [Nats; 2] {
    [
        core().connect(&server.url()).await.expect("a node"),
        core().connect(&server.url()).await.expect("a node"),
    ]
}

fn topic(key: &str) -> Topic {
    Topic::key(&Key::new(key).expect("a key"))
}

async fn subscribe(nats: &Nats, key: &str) {
    nats.subscribe(&topic(key)).await.expect("a subscription");
}

async fn publish(nats: &Nats, key: &str, text: &str) {
    nats.publish(&topic(key), text.to_owned().into()).await.expect("a message");
}

/// The next event as a text: `{topic} {message}`, `!` for an interruption, `+` for its end.
async fn next(nats: &Nats) -> String {
    match within("an event", nats.next()).await {
        Event::Message { topic, message } => format!("{topic} {}", String::from_utf8_lossy(&message)),
        Event::Interrupted => "!".into(),
        Event::Restored => "+".into(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_topic_reaches_its_subscribers_in_order() {
    let server = NatsServer::start_with("topics", &[]);
    let [one, other] = nodes(&server).await;
    let keys = ["alice", "a.b", "a", "*", ">", "a b", "ä%", "k:a", "\u{1f600}", &"x".repeat(256)];
    for key in keys {
        subscribe(&other, key).await;
    }
    other.subscribe(&Topic::ALL).await.expect("a subscription");
    for key in keys {
        publish(&one, key, "1").await;
        publish(&one, key, "2").await;
    }
    one.publish(&Topic::ALL, Bytes::from_static(b"\r\nMSG")).await.expect("a message");
    for key in keys {
        assert_eq!(next(&other).await, format!("k:{key} 1"));
        assert_eq!(next(&other).await, format!("k:{key} 2"));
    }
    assert_eq!(next(&other).await, "all \r\nMSG");

    // The end of a subscription, and its return. Nobody else has got anything.
    other.unsubscribe(&topic("alice")).await;
    other.unsubscribe(&topic("alice")).await;
    subscribe(&other, "a").await;
    publish(&one, "alice", "lost").await;
    subscribe(&other, "alice").await;
    subscribe(&other, "alice").await;
    publish(&one, "alice", "3").await;
    assert_eq!(next(&other).await, "k:alice 3");
    subscribe(&one, "bob").await;
    publish(&other, "bob", "4").await;
    assert_eq!(next(&one).await, "k:bob 4");
}

#[tokio::test]
async fn a_server_that_comes_back_has_all_subscriptions_again() {
    let mut server = NatsServer::start_with("comes-back", &[]);
    let [one, other] = nodes(&server).await;
    subscribe(&other, "alice").await;
    subscribe(&other, "bob").await;
    for _ in 0..2 {
        server.kill();
        assert_eq!(next(&other).await, "!");
        // While the server is away nothing is buffered, and a subscription is remembered.
        until("the end of the connection", async || {
            let text = Bytes::from_static(b"lost");
            one.publish(&topic("alice"), text).await.err().map(drop).ok_or_else(|| "published".into())
        })
        .await;
        other.subscribe(&topic("carol")).await.expect_err("no server");
        other.unsubscribe(&topic("bob")).await;
        server.start_again();
        assert_eq!(next(&other).await, "+");
        assert_eq!([next(&one).await, next(&one).await], ["!", "+"]);
        publish(&one, "bob", "not wanted").await;
        publish(&one, "alice", "1").await;
        publish(&one, "carol", "2").await;
        assert_eq!([next(&other).await, next(&other).await], ["k:alice 1", "k:carol 2"]);
        subscribe(&other, "bob").await;
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left() {
    let server = NatsServer::start_with("silent", &[]);
    let [one, other] = nodes(&server).await;
    subscribe(&other, "alice").await;
    server.freeze();
    let silent = one.publish(&topic("alice"), Bytes::from_static(b"1")).await.expect_err("no answer");
    let reason = std::error::Error::source(&silent).map(ToString::to_string);
    assert_eq!(reason.as_deref(), Some("NATS gave no answer in time"));
    assert_eq!(next(&other).await, "!");
    server.thaw();
    assert_eq!(next(&other).await, "+");
    let [again, _] = nodes(&server).await;
    publish(&again, "alice", "2").await;
    let last = async { while next(&other).await != "k:alice 2" {} };
    within("a message", last).await;
}

#[tokio::test]
async fn a_node_that_does_not_keep_up_is_told() {
    let server = NatsServer::start_with("slow", &[]);
    let [one, _] = nodes(&server).await;
    let slow = core().queue(10, 1024 * 1024).connect(&server.url()).await.expect("a node");
    subscribe(&slow, "alice").await;
    for number in 0..20 {
        publish(&one, "alice", &number.to_string()).await;
    }
    // What was published is there when a confirmation comes that was asked for later.
    subscribe(&slow, "bob").await;
    for number in 0..10 {
        assert_eq!(next(&slow).await, format!("k:alice {number}"));
    }
    assert_eq!([next(&slow).await, next(&slow).await], ["!", "+"]);
    publish(&one, "alice", "later").await;
    assert_eq!(next(&slow).await, "k:alice later");
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused() {
    let server = NatsServer::start_with("large", &[]);
    let [one, other] = nodes(&server).await;
    subscribe(&other, "alice").await;
    let large = Bytes::from(vec![b'a'; 1024 * 1024 + 1]);
    one.publish(&topic("alice"), large).await.expect_err("1 MiB is what a server allows");
    publish(&one, "alice", "1").await;
    assert_eq!(next(&other).await, "k:alice 1");
}

#[tokio::test]
async fn credentials_are_checked_and_never_shown() {
    let password = NatsServer::start_with("password", &["--user", "us@er", "--pass", "secret"]);
    let token = NatsServer::start_with("token", &["--auth", "secret"]);
    let (address, token) = (password.address(), token.address());
    for url in [format!("nats://us%40er:secret@{address}"), format!("secret@{token}")] {
        let nats = core().connect(&url).await.expect("a node");
        assert!(!format!("{nats:?}").contains("secret"));
    }
    for url in
        [format!("nats://{address}"), format!("nats://us%40er:secret2@{address}"), format!("secret2@{token}")]
    {
        let error = core().connect(&url).await.expect_err("wrong credentials");
        assert!(matches!(error, NatsError::Credentials { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}

#[tokio::test]
async fn one_of_several_servers_is_enough() {
    let server = NatsServer::start_with("several", &[]);
    // Nothing listens at port 1.
    let urls = format!("nats://127.0.0.1:1,{}", server.url());
    core().connect(&urls).await.expect("a node");
    let error = core().connect("nats://127.0.0.1:1").await.expect_err("no server");
    assert!(matches!(error, NatsError::Unreachable { .. }), "{error}");
    assert_eq!(error.to_string(), "the NATS server 127.0.0.1:1 cannot be reached");
}

#[tokio::test]
async fn a_server_without_tls_gets_no_credentials() {
    let server = NatsServer::start_with("plain", &["--auth", "secret"]);
    let url = format!("tls://secret@{}", server.address());
    let error = core().connect(&url).await.expect_err("no TLS");
    assert!(matches!(error, NatsError::Tls { .. }), "{error}");
}

#[tokio::test]
async fn a_missing_permission_is_an_error() {
    let server = NatsServer::start_with("permission", &["-js", "-c", "tests/support/permissions.conf"]);
    let timeout = Duration::from_secs(1);
    let nats = Nats::options().timeout(timeout).connect(&server.url()).await.expect("a node");
    let (log, draft) = (nats.log().expect("a log"), Push::message("a").kept().into());
    log.append(&Key::new("alice").expect("a key"), &draft).await.expect("an entry");
    let refused =
        log.append(&Key::new("forbidden").expect("a key"), &draft).await.expect_err("no permission");
    let reason = std::error::Error::source(&refused).map(ToString::to_string).unwrap_or_default();
    assert!(reason.contains("Permissions Violation"), "{reason}");
    nats.subscribe(&topic("forbidden")).await.expect_err("no permission");
    nats.publish(&topic("forbidden"), Bytes::new()).await.expect_err("no permission");
    subscribe(&nats, "alice").await;
    publish(&nats, "alice", "1").await;
}

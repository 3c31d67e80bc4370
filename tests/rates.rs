//! How fast a client may send, and how long it may say nothing.
#![cfg(feature = "warp")]

mod support;

use std::time::Duration;

use keywire::adapter::{Handshake, PathKey};
use keywire::auth::RawKey;
use keywire::limits::{Rate, SessionPolicy};
use keywire::{Config, Hub, Reply, Session, Switch};
use serde_json::{Value, json};
use support::{Client, Events, PING, Server, TEXT, events, masked};

/// Ten at once, and then none for as long as a test lasts.
const TEN: Option<Rate> = Some(Rate::new(10, Duration::from_secs(1_800)));

/// A hub whose handler tells of what it handles, and gives it back.
fn hub(config: Config) -> (Hub, Events<u64>) {
    let (tell, told) = events();
    let switch = Switch::new().command(move |_: Session, number: u64| {
        let _ = tell.send(number);
        async move { Ok(Reply::data(number)) }
    });
    (Hub::builder(RawKey::from_path()).handler(switch).config(config).build(), told)
}

fn command(number: u64) -> Value {
    json!({ "flag": "command", "body": number, "id": number })
}

fn commands(numbers: std::ops::Range<u64>) -> Vec<u8> {
    numbers.flat_map(|number| masked(TEXT, command(number).to_string().as_bytes())).collect()
}

fn too_soon(number: u64) -> Value {
    json!({ "code": "29", "msg": "too many messages", "id": number })
}

#[tokio::test]
async fn who_sends_too_much_is_told_and_then_sent_away() {
    let (hub, mut told) = hub(Config { message_rate: TEN, ..Config::default() });
    let server = Server::start(hub).await;
    let mut bob = server.client("bob").await;
    let mut alice = server.raw().await;
    alice.write(support::opening("/websocket/alice", &[]).as_bytes()).await;
    assert_eq!(alice.head().await.status, 101);

    alice.write(&commands(0..20)).await;
    for number in 0..10 {
        assert_eq!(alice.push().await["data"], number);
    }
    for number in 10..20 {
        assert_eq!(alice.push().await, too_soon(number));
    }
    // As many again have been refused. Nothing behind it is looked at.
    alice.write(&commands(20..22)).await;
    assert_eq!(alice.frame().await.expect("a close frame").close_code(), 4004);
    assert_eq!(told.rest(), (0..10).collect::<Vec<_>>());
    bob.ping().await;
    server.client("alice").await;
}

#[tokio::test]
async fn a_message_that_is_not_understood_is_refused_without_an_id() {
    let (hub, _told) = hub(Config { message_rate: TEN, ..Config::default() });
    let server = Server::start(hub).await;
    // One is the ping.
    let mut alice = server.raw_session("alice").await;
    alice.write(&commands(0..9)).await;
    alice.write(&[masked(TEXT, b"what?"), masked(2, b"what?")].concat()).await;
    for _ in 0..9 {
        assert_eq!(alice.push().await["code"], "01");
    }
    for _ in 0..2 {
        assert_eq!(alice.push().await, json!({ "code": "29", "msg": "too many messages" }));
    }
}

#[tokio::test]
async fn pings_and_pongs_count() {
    for opcode in [PING, 10] {
        let (hub, _told) = hub(Config { message_rate: TEN, ..Config::default() });
        let server = Server::start(hub).await;
        let mut alice = server.raw_session("alice").await;
        alice.write(&masked(opcode, b"x").repeat(20)).await;
        let close = loop {
            let frame = alice.frame().await.expect("a close frame");
            if frame.opcode == support::CLOSE {
                break frame;
            }
            assert_eq!(frame.opcode, 10);
        };
        assert_eq!(close.close_code(), 4004);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pong_that_the_server_has_asked_for_does_not_count() {
    let config = Config { message_rate: TEN, policy: SessionPolicy::Reject, ..Config::default() };
    let (hub, _told) = hub(config);
    let mut alice = Client::piped(&hub, "alice").await;
    alice.ping().await;
    for _ in 0..21 {
        // A further opening asks for a sign of life. Who reads answers.
        let head = support::request(([127, 0, 0, 1], 1).into(), "/", &[]);
        let further = hub.upgrade(Handshake::new(head).with_path_key(PathKey::decoded("alice")));
        let upgrade = tokio::select! {
            upgrade = further => upgrade,
            message = alice.receive() => panic!("nothing was sent: {message:?}"),
        };
        assert_eq!(upgrade.response.status(), 429);
    }
    for number in 0..9 {
        assert_eq!(alice.ask(command(number)).await["data"], number);
    }
}

#[tokio::test]
async fn by_default_two_thousand_may_come_at_once() {
    let (hub, _told) = hub(Config::default());
    let server = Server::start(hub).await;
    let mut alice = server.raw_session("alice").await;
    alice.write(&commands(0..1_999)).await;
    for number in 0..1_999 {
        assert_eq!(alice.push().await["data"], number);
    }
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let (hub, _told) = hub(Config { message_rate: None, ..Config::default() });
    let server = Server::start(hub).await;
    let mut alice = server.raw_session("alice").await;
    for _ in 0..10 {
        alice.write(&commands(0..1_000)).await;
        for number in 0..1_000 {
            assert_eq!(alice.push().await["data"], number);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_may_go_on() {
    let message_rate = Some(Rate::new(10, Duration::from_secs(5)));
    let (hub, _told) = hub(Config { message_rate, ..Config::default() });
    let mut alice = Client::piped(&hub, "alice").await;
    for _ in 0..3 {
        for number in 0..10 {
            assert_eq!(alice.ask(command(number)).await["data"], number);
        }
        assert_eq!(alice.ask(command(10)).await, too_soon(10));
        // The share of the one that was refused, and of one more.
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(alice.ask(command(11)).await["data"], 11);
        assert_eq!(alice.ask(command(12)).await, too_soon(12));
        tokio::time::advance(Duration::from_secs(6)).await;
    }
}

fn expecting_a_message() -> Config {
    let soon = Duration::from_secs(1);
    Config {
        first_message_timeout: Some(Duration::from_secs(5)),
        ping_interval: Some(soon),
        ..Config::default()
    }
}

/// It answers pings, one each second. A page that was frozen may be in time when it comes back.
#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_sent_away_where_something_is_expected() {
    let (hub, _told) = hub(expecting_a_message());
    let mut alice = Client::piped(&hub, "alice").await;
    let start = tokio::time::Instant::now();
    let end = alice.end().await;
    assert_eq!((end.code, &*end.reason), (4002, "no message in time"));
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn who_has_said_something_may_be_silent() {
    let (hub, _told) = hub(expecting_a_message());
    let mut alice = Client::piped(&hub, "alice").await;
    tokio::time::advance(Duration::from_secs(4)).await;
    alice.ping().await;
    let silence = tokio::time::timeout(Duration::from_secs(20), alice.receive()).await;
    assert!(silence.is_err(), "{silence:?}");
    alice.ping().await;
}

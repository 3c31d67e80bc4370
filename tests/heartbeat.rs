//! Signs of life: who gives none is gone.
#![cfg(feature = "warp")]

mod support;

use std::time::Duration;

use keywire::auth::RawKey;
use keywire::session::ClosedBy;
use keywire::{Config, Hub};
use support::{PING, Raw, Server, masked, opening, telling_ends};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);

fn hub(ping_interval: Duration, pong_timeout: Duration) -> keywire::HubBuilder {
    let config = Config { ping_interval: Some(ping_interval), pong_timeout, ..Config::default() };
    Hub::builder(RawKey::from_path()).config(config)
}

async fn open(server: &Server) -> Raw {
    let mut raw = server.raw().await;
    raw.write(opening("/websocket/alice", &[]).as_bytes()).await;
    assert_eq!(raw.head().await.status, 101);
    raw
}

async fn pinged(raw: &mut Raw) -> Vec<u8> {
    let ping = raw.frame().await.expect("a ping");
    assert_eq!(ping.opcode, PING, "{ping:?}");
    ping.payload
}

#[tokio::test]
async fn who_never_answers_a_ping_is_closed() {
    let (switch, mut ends) = telling_ends();
    let server = Server::start(hub(SHORT, SHORT).handler(switch).build()).await;
    let mut alice = open(&server).await;
    pinged(&mut alice).await;
    let close = alice.frame().await.expect("a close frame");
    assert_eq!(close.close_code(), 4002);
    let (_, closed) = ends.next("the end").await;
    assert_eq!((u16::from(closed.code), closed.by), (4002, ClosedBy::Server));
}

/// A ping follows only on a sign of life, so each of them shows that the one before was taken for answered.
#[tokio::test]
async fn who_answers_stays() {
    let server = Server::start(hub(SHORT, LONG).build()).await;
    let mut alice = open(&server).await;
    for _ in 0..10 {
        let payload = pinged(&mut alice).await;
        alice.write(&masked(10, &payload)).await;
    }
    assert_eq!(server.hub.counts().await.sessions, 1);
}

#[tokio::test]
async fn a_message_is_as_good_an_answer_and_half_of_one_is_too() {
    let server = Server::start(hub(SHORT, LONG).build()).await;
    let mut alice = open(&server).await;
    for byte in masked(1, br#"{"flag":"x"}"#) {
        pinged(&mut alice).await;
        alice.write(&[byte]).await;
    }
    loop {
        let frame = alice.frame().await.expect("an answer");
        if frame.opcode != PING {
            assert!(frame.text().contains("44"));
            break;
        }
    }
}

#[tokio::test]
async fn a_client_that_is_not_keywires_stays_without_doing_anything() {
    let server = Server::start(hub(SHORT, LONG).build()).await;
    let mut alice = server.client("alice").await;
    // It answers pings while it waits. Another client counts the time for it.
    let mut clock = open(&server).await;
    let tick = async {
        for _ in 0..10 {
            let payload = pinged(&mut clock).await;
            clock.write(&masked(10, &payload)).await;
        }
    };
    tokio::select! {
        message = alice.receive() => panic!("a plain client got {message:?}"),
        () = tick => {}
    }
    alice.ping().await;
}

/// The answer lay in the socket all the while: a server that was held up must not blame its clients.
#[tokio::test]
async fn an_answer_that_the_server_was_late_to_read_counts() {
    let server = Server::start(hub(SHORT, Duration::from_secs(1)).build()).await;
    let mut alice = open(&server).await;
    let payload = pinged(&mut alice).await;
    alice.write(&masked(10, &payload)).await;
    // Server and client share this thread.
    std::thread::sleep(Duration::from_millis(1_500));
    pinged(&mut alice).await;
}

#[tokio::test]
async fn a_ping_of_the_clients_is_answered_with_what_it_carries() {
    let server = Server::start(hub(LONG, LONG).build()).await;
    let mut alice = server.raw_session("alice").await;
    for payload in [&b""[..], b"hello", &[0xff; 125]] {
        alice.write(&masked(PING, payload)).await;
        let pong = alice.frame().await.expect("a pong");
        assert_eq!((pong.opcode, &*pong.payload), (10, payload));
    }
    // A pong that nobody asked for is none of anybody's business.
    alice.write(&masked(10, b"unasked")).await;
    alice.write(&masked(PING, b"after")).await;
    assert_eq!(alice.frame().await.expect("a pong").payload, b"after");
}

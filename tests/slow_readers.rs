//! Who does not read loses the connection, and nobody else notices.
#![cfg(feature = "warp")]

mod support;

use std::time::Duration;

use futures_util::{FutureExt as _, TryFutureExt as _};
use keywire::adapter::{Handshake, PathKey};
use keywire::auth::RawKey;
use keywire::limits::{SessionPolicy, SlowPolicy};
use keywire::message::Frame;
use keywire::session::{Closed, ClosedBy};
use keywire::store::Outcome;
use keywire::{Config, Envelope, Hub, Push, Reply, Session, Switch};
use serde_json::json;
use support::{Client, PING, Server, TEXT, events, masked};
use tokio::io::DuplexStream;

#[tokio::test]
async fn who_does_not_read_is_closed_and_the_others_get_everything() {
    let (tell, mut ends) = events();
    let switch = keywire::Switch::new().closed(move |_, closed: Closed| {
        let _ = tell.send(closed);
        async {}
    });
    let config = Config { close_timeout: Duration::MAX, ..Config::default() };
    let server =
        Server::start(Hub::builder(RawKey::from_path()).handler(switch).config(config).build()).await;
    let mut slow = server.raw_session("slow").await;
    let mut good = server.client("good").await;
    let session = server.hub.sessions("slow").await.remove(0);

    let text = "x".repeat(16 * 1024);
    let mut sent = 0;
    loop {
        let delivery = server.hub.broadcast(Push::message(text.clone()).with_data(sent)).await;
        assert_eq!(good.next().await["data"], sent);
        if delivery.slow > 0 {
            assert_eq!((delivery.delivered, delivery.slow), (1, 1));
            break;
        }
        assert_eq!(delivery.delivered, 2);
        sent += 1;
        assert!(sent < 100_000, "a socket without a bottom");
    }
    assert!(sent > 60, "the queue holds 1 MiB, and only {sent} messages were taken");

    let closed = ends.next("the end of the slow one").await;
    assert_eq!((u16::from(closed.code), closed.by), (4003, ClosedBy::Server));
    assert_eq!(session.send(Push::message("")), Outcome::Gone);
    assert!(server.hub.send_to("slow", Push::message("")).await.is_absent());
    good.ping().await;

    // Once it reads, it finds what was on the way, without a gap, and then the reason.
    let mut received = 0;
    let close = loop {
        let frame = slow.frame().await.expect("a close frame");
        if frame.opcode == support::CLOSE {
            break frame;
        }
        let push: serde_json::Value = serde_json::from_str(frame.text()).unwrap();
        assert_eq!(push["data"], received);
        received += 1;
    };
    assert_eq!(close.close_code(), 4003);
    assert!(received < sent, "what waited was to be dropped");
    slow.write(&support::masked(support::CLOSE, &4003u16.to_be_bytes())).await;
    assert!(slow.frame().await.is_none());
}

/// Over a pipe, and on the thread of this test, nothing is written before the test awaits something.
async fn over_a_pipe(config: Config) -> (Session, Client<DuplexStream>) {
    let hub = Hub::builder(RawKey::from_path()).config(config).build();
    let mut client = Client::piped(&hub, "alice").await;
    client.ping().await;
    (hub.sessions("alice").await.remove(0), client)
}

#[tokio::test]
async fn the_queue_is_bounded_in_messages() {
    let (session, mut client) = over_a_pipe(Config { queue_messages: 10, ..Config::default() }).await;
    for number in 0..10 {
        assert_eq!(session.send(Push::data(number)), Outcome::Accepted, "{number}");
    }
    assert_eq!(session.send(Push::data(10)), Outcome::Slow);
    assert_eq!(session.send(Push::data(11)), Outcome::Gone);
    assert_eq!(client.end().await.code, 4003);
}

#[tokio::test]
async fn the_queue_is_bounded_in_bytes_but_one_message_is_always_taken() {
    let (session, mut client) = over_a_pipe(Config { queue_bytes: 1_000, ..Config::default() }).await;
    for _ in 0..3 {
        assert_eq!(session.send(Push::message("x".repeat(5_000))), Outcome::Accepted);
        assert_eq!(client.next().await["msg"].as_str().map(str::len), Some(5_000));
    }
    assert_eq!(session.send(Push::message("x".repeat(600))), Outcome::Accepted);
    assert_eq!(session.send(Push::message("x".repeat(600))), Outcome::Slow);
    assert_eq!(client.end().await.code, 4003);
}

/// A pong is no message, so nothing waits yet.
#[tokio::test]
async fn one_message_is_taken_behind_a_pong_too() {
    for slow_readers in [SlowPolicy::Close, SlowPolicy::DropNewest, SlowPolicy::DropOldest] {
        let config = Config { queue_bytes: 1_000, slow_readers, ..Config::default() };
        let switch = Switch::new().command(async |_: Session, _: Envelope| Ok(Reply::ok("x".repeat(5_000))));
        let hub = Hub::builder(RawKey::from_path()).handler(switch).config(config).build();
        let head = support::request(([127, 0, 0, 1], 1).into(), "/", &[]);
        let handshake = Handshake::new(head).with_path_key(PathKey::decoded("alice"));
        let connection = hub.upgrade(handshake).await.connection.expect("an upgrade");
        let (near, far) = tokio::io::duplex(64 * 1024);
        // The reply follows the pong in the same turn.
        let early = [masked(PING, b""), masked(TEXT, br#"{"flag":"command"}"#)].concat();
        tokio::spawn(connection.run(near, early.into()));
        let mut client = Client::upgraded(far).await;
        assert_eq!(client.next().await["msg"].as_str().map(str::len), Some(5_000), "{slow_readers:?}");
    }
}

#[tokio::test]
async fn the_newest_are_dropped_if_so_decided() {
    let config = Config { queue_messages: 10, slow_readers: SlowPolicy::DropNewest, ..Config::default() };
    let (session, mut client) = over_a_pipe(config).await;
    for number in 0..10 {
        assert_eq!(session.send(Push::data(number)), Outcome::Accepted);
    }
    assert_eq!(session.send(Push::data(10)), Outcome::Dropped(1));
    assert_eq!(session.send_frame(&Frame::burst([&Push::data(11), &Push::data(12)])), Outcome::Dropped(2));
    let delivery = session.hub().send_to("alice", Push::data(13)).await;
    assert_eq!((delivery.delivered, delivery.slow, delivery.dropped), (0, 0, 1));
    for number in 0..10 {
        assert_eq!(client.next().await["data"], number);
    }
    assert_eq!(session.send(Push::data(14)), Outcome::Accepted);
    assert_eq!(client.next().await["data"], 14);
}

#[tokio::test]
async fn the_oldest_are_dropped_if_so_decided() {
    let config = Config { queue_messages: 10, slow_readers: SlowPolicy::DropOldest, ..Config::default() };
    let (session, mut client) = over_a_pipe(config).await;
    for number in 0..10 {
        assert_eq!(session.send(Push::data(number)), Outcome::Accepted);
    }
    assert_eq!(session.send(Push::data(10)), Outcome::Displaced(1));
    assert_eq!(session.send_frame(&Frame::burst([&Push::data(11), &Push::data(12)])), Outcome::Displaced(2));
    let delivery = session.hub().send_to("alice", Push::data(13)).await;
    assert_eq!((delivery.delivered, delivery.slow, delivery.dropped), (1, 0, 1));
    for number in 4..14 {
        assert_eq!(client.next().await["data"], number);
    }
    client.ping().await;
}

/// What is larger than the queue is taken alone, in the place of all that waits.
#[tokio::test]
async fn the_oldest_make_room_for_what_is_larger_than_all_of_them() {
    let config = Config { queue_bytes: 1_000, slow_readers: SlowPolicy::DropOldest, ..Config::default() };
    let (session, mut client) = over_a_pipe(config).await;
    for number in 0..10 {
        assert_eq!(session.send(Push::data(number)), Outcome::Accepted);
    }
    assert_eq!(session.send(Push::message("x".repeat(5_000))), Outcome::Displaced(10));
    assert_eq!(session.send(Push::message("y".repeat(600))), Outcome::Displaced(1));
    assert_eq!(client.next().await["msg"], "y".repeat(600));
}

/// Neither a ping nor what stands behind it keeps that from its place.
#[tokio::test]
async fn the_oldest_make_room_behind_a_ping_too() {
    let policy = SessionPolicy::Reject;
    let slow_readers = SlowPolicy::DropOldest;
    let config = Config { queue_bytes: 1_000, policy, slow_readers, ..Config::default() };
    let (session, mut client) = over_a_pipe(config).await;
    // A further opening asks for a sign of life, after a turn or two.
    let head = support::request(([127, 0, 0, 1], 1).into(), "/", &[]);
    let handshake = Handshake::new(head).with_path_key(PathKey::decoded("alice"));
    let mut opening = Box::pin(session.hub().upgrade(handshake));
    for _ in 0..10 {
        assert!((&mut opening).now_or_never().is_none());
    }
    assert_eq!(session.send(Push::message("x")), Outcome::Accepted);
    assert_eq!(session.send(Push::message("y".repeat(5_000))), Outcome::Displaced(1));
    assert_eq!(client.next().await["msg"], "y".repeat(5_000));
}

/// Its own requests are handled all the same, and their replies come behind what waits, as far as there is room.
#[tokio::test]
async fn a_slow_reader_that_stays_is_heard() {
    let config = Config { queue_messages: 10, slow_readers: SlowPolicy::DropOldest, ..Config::default() };
    let (tell, mut told) = events();
    let switch = keywire::Switch::new().command(move |_: Session, number: u64| {
        let _ = tell.send(number);
        async move { Ok(keywire::Reply::data(number)) }
    });
    let hub = Hub::builder(RawKey::from_path()).handler(switch).config(config).build();
    let mut client = Client::piped(&hub, "alice").await;
    client.ping().await;
    let session = hub.sessions("alice").await.remove(0);
    // Until the pipe is full and the queue too.
    while session.send(Push::message("x".repeat(8_000))) == Outcome::Accepted {
        tokio::task::yield_now().await;
    }
    for number in 0..20 {
        client.send(json!({ "flag": "command", "body": number })).await;
    }
    for number in 0..20 {
        assert_eq!(told.next("a command").await, number);
    }
    // The last ten are there: the others made room for them.
    let mut replies = Vec::new();
    while replies.last() != Some(&19) {
        replies.extend(client.next().await["data"].as_u64());
    }
    assert!(replies.len() >= 9, "{replies:?}");
}

/// By way of the handler, which runs in the session's own task.
#[tokio::test]
async fn sending_to_oneself_until_it_is_full_ends_it_as_well() {
    let (tell, mut told) = events();
    let switch = keywire::Switch::new().command(move |session: Session, _: keywire::Envelope| {
        let _ = tell.send((0..1_000).map(|number| session.send(Push::data(number))).collect::<Vec<_>>());
        async move { Ok(session.hub().send_to(session.key(), Push::message("more")).await.delivered) }
            .boxed()
            .map_ok(keywire::Reply::data)
    });
    let config = Config { queue_messages: 10, ..Config::default() };
    let hub = Hub::builder(RawKey::from_path()).handler(switch).config(config).build();
    let mut client = Client::piped(&hub, "alice").await;
    client.send(json!({ "flag": "command" })).await;
    assert_eq!(client.end().await.code, 4003);
    let outcomes = told.next("the handler").await;
    assert_eq!(outcomes[..10], [Outcome::Accepted; 10]);
    assert_eq!(outcomes[10], Outcome::Slow);
    assert!(outcomes[11..].iter().all(|outcome| *outcome == Outcome::Gone));
}

#[tokio::test]
async fn nothing_at_all_can_be_sent() {
    let server = Server::start(Hub::builder(RawKey::from_path()).build()).await;
    let mut alice = server.client("alice").await;
    assert_eq!(server.hub.send_to("alice", []).await.delivered, 1);
    alice.ping().await;
}

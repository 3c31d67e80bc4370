//! Who does not read loses the connection, and nobody else notices.
#![cfg(feature = "warp")]

mod support;

use std::time::Duration;

use keywire::{Closed, ClosedBy, Config, Hub, Outcome, Push, RawKey};
use support::{Server, events};

#[tokio::test]
async fn who_does_not_read_is_closed_and_the_others_get_everything() {
    let (tell, mut ends) = events();
    let switch = keywire::Switch::new().closed(move |_, closed: Closed| {
        let _ = tell.send(closed);
        async {}
    });
    let config = Config { close_timeout: Duration::MAX, ..Config::default() };
    let server =
        Server::start(Hub::builder().keys(RawKey::from_path()).handler(switch).config(config).build()).await;
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

#[tokio::test]
async fn the_queue_is_bounded_in_messages() {
    let config = Config { queue_messages: 10, ..Config::default() };
    let server = Server::start(Hub::builder().keys(RawKey::from_path()).config(config).build()).await;
    let mut alice = server.client("alice").await;
    let session = server.hub.sessions("alice").await.remove(0);
    // Nothing is written in between: this test and the connection share a thread.
    for number in 0..10 {
        assert_eq!(session.send(Push::data(number)), Outcome::Accepted, "{number}");
    }
    assert_eq!(session.send(Push::data(10)), Outcome::Slow);
    assert_eq!(session.send(Push::data(11)), Outcome::Gone);
    assert_eq!(alice.end().await.code, 4003);
}

#[tokio::test]
async fn the_queue_is_bounded_in_bytes_but_one_message_is_always_taken() {
    let config = Config { queue_bytes: 1_000, ..Config::default() };
    let server = Server::start(Hub::builder().keys(RawKey::from_path()).config(config).build()).await;
    let mut alice = server.client("alice").await;
    let session = server.hub.sessions("alice").await.remove(0);
    for _ in 0..3 {
        assert_eq!(session.send(Push::message("x".repeat(5_000))), Outcome::Accepted);
        assert_eq!(alice.next().await["msg"].as_str().map(str::len), Some(5_000));
    }
    assert_eq!(session.send(Push::message("x".repeat(600))), Outcome::Accepted);
    assert_eq!(session.send(Push::message("x".repeat(600))), Outcome::Slow);
    assert_eq!(alice.end().await.code, 4003);
}

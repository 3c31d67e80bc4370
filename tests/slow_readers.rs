//! Who does not read loses the connection, and nobody else notices.
#![cfg(feature = "warp")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use keywire::{Closed, ClosedBy, Config, Handshake, Hub, Outcome, Push, RawKey, Session};
use support::{Server, events};
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

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

/// A session over a pipe, to which only its own task writes: this test shares a thread with it, so nothing is
/// written before the test awaits something.
async fn over_a_pipe(config: Config) -> (Session, WebSocketStream<DuplexStream>) {
    let hub = Hub::builder().keys(RawKey::from_path()).config(config).build();
    let request = support::request(([127, 0, 0, 1], 1).into(), "/", &[]);
    let upgrade = hub.upgrade(Handshake::new(request).with_path_key("alice")).await;
    let (near, far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(upgrade.connection.expect("an upgrade").run(near, Bytes::new()));
    let mut client = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
    client.send(Message::text(r#"{"flag":"kw:ping"}"#)).await.expect("an open pipe");
    next(&mut client).await;
    (hub.sessions("alice").await.remove(0), client)
}

async fn next(client: &mut WebSocketStream<DuplexStream>) -> Message {
    let message = support::within("a message", client.next()).await;
    message.expect("an open connection").expect("a connection in order")
}

#[tokio::test]
async fn the_queue_is_bounded_in_messages() {
    let (session, mut client) = over_a_pipe(Config { queue_messages: 10, ..Config::default() }).await;
    for number in 0..10 {
        assert_eq!(session.send(Push::data(number)), Outcome::Accepted, "{number}");
    }
    assert_eq!(session.send(Push::data(10)), Outcome::Slow);
    assert_eq!(session.send(Push::data(11)), Outcome::Gone);
    assert!(matches!(next(&mut client).await, Message::Close(Some(frame)) if u16::from(frame.code) == 4003));
}

#[tokio::test]
async fn the_queue_is_bounded_in_bytes_but_one_message_is_always_taken() {
    let (session, mut client) = over_a_pipe(Config { queue_bytes: 1_000, ..Config::default() }).await;
    for _ in 0..3 {
        assert_eq!(session.send(Push::message("x".repeat(5_000))), Outcome::Accepted);
        assert!(next(&mut client).await.len() > 5_000);
    }
    assert_eq!(session.send(Push::message("x".repeat(600))), Outcome::Accepted);
    assert_eq!(session.send(Push::message("x".repeat(600))), Outcome::Slow);
    assert!(matches!(next(&mut client).await, Message::Close(Some(frame)) if u16::from(frame.code) == 4003));
}

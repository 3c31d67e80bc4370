//! How connections end: with a close frame that the client can read, and then in order.
#![cfg(feature = "warp")]

mod support;

use std::time::{Duration, SystemTime};

use keywire::adapter::Handshake;
use keywire::auth::{RawKey, Rejection, extract_fn};
use keywire::{Config, Hub, Identity, Key, Push};
use support::{Raw, Server, frame, masked};

const LIMIT: usize = 64 * 1024;

/// Without a limit to how long the server waits for others: what ends here ends by itself.
async fn patient() -> Server {
    let config = Config { close_timeout: Duration::MAX, ..Config::default() };
    Server::start(Hub::builder(RawKey::from_path()).config(config).build()).await
}

/// The server says why, and does not wait for an answer from one who breaks the rules.
async fn ends_with(raw: &mut Raw, code: u16, what: &str) {
    let close = raw.frame().await.expect(what);
    assert_eq!(close.close_code(), code, "{what}");
    assert!(close.payload.len() > 2, "{what}: no reason");
    assert!(raw.frame().await.is_none(), "{what}: something follows the close frame");
}

#[tokio::test]
async fn who_breaks_the_protocol_is_told_so() {
    let server = patient().await;
    let with_first_byte = |first: u8| {
        let mut bytes = masked(1, b"{}");
        bytes[0] = first;
        bytes
    };
    let fragment = |first: u8, payload: &[u8]| {
        let mut bytes = masked(1, payload);
        bytes[0] = first;
        bytes
    };
    let mut long_ping = masked(9, &[0; 126]);
    long_ping[0] = 0x89;
    for (code, what, bytes) in [
        (1002, "an unmasked frame", frame(1, b"{}", None)),
        (1002, "a reserved bit", with_first_byte(0xc1)),
        (1002, "a reserved opcode", with_first_byte(0x83)),
        (1002, "a reserved control opcode", with_first_byte(0x8b)),
        (1002, "a fragmented ping", with_first_byte(0x09)),
        (1002, "a long ping", long_ping),
        (1002, "a continuation of nothing", with_first_byte(0x80)),
        (1002, "a message within another", [fragment(0x01, b"{"), masked(1, b"{}")].concat()),
        (1002, "a length that is not minimal", vec![0x81, 0xfe, 0, 2, 0, 0, 0, 0, b'{', b'}']),
        (1002, "a close frame of one byte", masked(8, b"\x03")),
        (1002, "a close code for reports only", masked(8, &1006u16.to_be_bytes())),
        (1002, "a close code out of range", masked(8, &999u16.to_be_bytes())),
        (1007, "text that is no UTF-8", masked(1, b"\"\xff\"")),
        (1007, "a surrogate", masked(1, b"\xed\xa0\x80")),
        (1007, "a reason that is no UTF-8", masked(8, b"\x03\xe8\xff")),
        (1007, "half a character at the end", [fragment(0x01, b"\xe2"), fragment(0x80, b"\x82")].concat()),
        (1009, "a message that is too big", masked(1, &vec![b' '; LIMIT + 1])),
        (1009, "the head of one", masked(1, &vec![b' '; LIMIT + 1])[..14].to_vec()),
        (1009, "the head of the largest one", [&[0x82, 0xff][..], &[0x7f; 1], &[0xff; 7], &[0; 4]].concat()),
        (
            1009,
            "one that is too big in pieces",
            [fragment(0x01, &vec![b' '; LIMIT]), fragment(0x80, b" ")].concat(),
        ),
    ] {
        let mut raw = server.raw_session("alice").await;
        raw.write(&bytes).await;
        ends_with(&mut raw, code, what).await;
    }
    server.client("alice").await;
}

/// Bytes that nobody reads would make a reset of the end, and the close frame would be lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn even_if_much_follows_behind() {
    let server = patient().await;
    let mut raw = server.raw_session("alice").await;
    let mut bytes = masked(2, &vec![0; LIMIT + 1]);
    bytes.resize(4 * 1024 * 1024, 0);
    raw.write(&bytes).await;
    ends_with(&mut raw, 1009, "much behind a message that is too big").await;
}

#[tokio::test]
async fn the_largest_message_is_no_violation_and_neither_are_its_pieces() {
    let server = patient().await;
    let mut raw = server.raw_session("alice").await;
    let mut message = br#"{"flag":"kw:ping"}"#.to_vec();
    message.resize(LIMIT, b' ');
    raw.write(&masked(1, &message)).await;
    assert_eq!(raw.push().await["flag"], "kw:pong");

    let (first, second) = message.split_at(LIMIT / 3);
    let mut start = masked(1, first);
    start[0] = 0x01;
    let mut end = masked(1, second);
    end[0] = 0x80;
    raw.write(&[start, masked(9, b"between"), end].concat()).await;
    let pong = raw.frame().await.unwrap();
    assert_eq!((pong.opcode, &*pong.payload), (10, &b"between"[..]));
    assert_eq!(raw.push().await["flag"], "kw:pong");
}

#[tokio::test]
async fn a_limit_of_ones_own_counts() {
    let config = Config { message_bytes: 20, ..Config::default() };
    let server = Server::start(Hub::builder(RawKey::from_path()).config(config).build()).await;
    let mut raw = server.raw_session("alice").await;
    raw.write(&masked(1, &[b' '; 20])).await;
    assert_eq!(raw.push().await["code"], "40");
    raw.write(&masked(1, &[b' '; 21])).await;
    ends_with(&mut raw, 1009, "one byte too many").await;
}

fn hasty() -> Hub {
    let config = Config { close_timeout: Duration::from_millis(100), ..Config::default() };
    Hub::builder(RawKey::from_path()).config(config).build()
}

#[tokio::test]
async fn a_peer_that_does_not_answer_the_close_frame_is_cut() {
    let server = Server::start(hasty()).await;
    let mut raw = server.raw_session("alice").await;
    server.hub.disconnect("alice").await;
    assert_eq!(raw.frame().await.unwrap().close_code(), 4505);
    // Nothing is answered, and the connection is kept open from here.
    raw.gone().await;
}

#[tokio::test]
async fn a_peer_that_does_not_even_read_it_is_cut() {
    let server = Server::start(hasty()).await;
    let mut raw = server.raw_session("alice").await;
    // More than sockets hold, in one message, which a queue always takes.
    let large = Push::message("x".repeat(32 * 1024 * 1024));
    assert_eq!(server.hub.send_to("alice", large).await.delivered, 1);
    server.hub.disconnect("alice").await;
    let left = support::within("the connection's end", server.hub.shutdown(Duration::MAX)).await;
    assert_eq!(left, 0);
    raw.gone().await;
}

#[tokio::test]
async fn a_session_ends_with_its_credential() {
    // Whether the connection is idle until then or not.
    for ping_interval in [None, Some(Duration::from_millis(10))] {
        let keys = extract_fn(|handshake: Handshake| async move {
            let key = handshake.path_key()?.ok_or(Rejection::Missing)?;
            let expiring = key == "alice";
            let identity = Identity::new(Key::new(key).map_err(|_| Rejection::Malformed)?);
            let moment = SystemTime::now() + Duration::from_millis(200);
            Ok(if expiring { identity.expiring_at(moment) } else { identity })
        });
        let config = Config { ping_interval, pong_timeout: Duration::MAX, ..Config::default() };
        let server = Server::start(Hub::builder(keys).config(config).build()).await;
        let mut bob = server.client("bob").await;
        let mut alice = server.open("/websocket/alice").await;
        let end = alice.end().await;
        assert_eq!((end.code, &*end.reason), (4001, "credential expired"));
        bob.ping().await;
    }
}

#[tokio::test]
async fn a_credential_that_has_ended_already_opens_nothing() {
    let keys = extract_fn(|_| async {
        let identity = Identity::new(Key::new("alice").map_err(|_| Rejection::Malformed)?);
        Ok(identity.expiring_at(SystemTime::UNIX_EPOCH))
    });
    let server = Server::start(Hub::builder(keys).build()).await;
    assert_eq!(server.refusal("/websocket", &[]).await.status, 401);
    let mut client = server.open_with("/websocket", &[("sec-websocket-protocol", "keywire.v1")]).await;
    assert_eq!(client.end().await.code, 4001);
    assert_eq!(server.hub.counts().await.sessions, 0);
}

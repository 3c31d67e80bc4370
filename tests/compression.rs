//! permessage-deflate over real sockets, with flate2 alone on the other side.
#![cfg(all(feature = "deflate", feature = "warp"))]

mod support;

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress};
use keywire::auth::RawKey;
use keywire::limits::Compression;
use keywire::message::Frame;
use keywire::session::Closed;
use keywire::store::{Order, Outcome, Recipients};
use keywire::{Config, Envelope, HandlerResult, Hub, Push, Session, Switch};
use serde_json::{Value, json};
use support::{CLOSE, Events, PING, Raw, Server, TEXT, events, masked, opening};

const OFFER: (&str, &str) = ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits");

const GRANTED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

const PLAIN: u8 = 0x80;
const COMPRESSED: u8 = 0xc0;

async fn echo(_: Session, envelope: Envelope) -> HandlerResult {
    Ok(Push::data(envelope.body).into())
}

fn config() -> Config {
    Config { compression: Compression::deflate().threshold(200), ..Config::default() }
}

async fn server(config: Config) -> (Server, Events<Closed>) {
    let (tell, ends) = events();
    let switch = Switch::new().command(echo).closed(move |_, closed| {
        let _ = tell.send(closed);
        std::future::ready(())
    });
    let hub = Hub::builder(RawKey::from_path()).handler(switch).config(config).build();
    (Server::start(hub).await, ends)
}

/// A session of `key` with these headers, in the store, and what the server said of extensions.
async fn session(server: &Server, key: &str, headers: &[(&'static str, &str)]) -> (Raw, Option<String>) {
    let mut raw = server.raw().await;
    raw.write(opening(&format!("/websocket/{key}"), headers).as_bytes()).await;
    let head = raw.head().await;
    assert_eq!(head.status, 101);
    raw.write(&masked(TEXT, br#"{"flag":"kw:ping"}"#)).await;
    assert_eq!(raw.frame().await.expect("a pong").text(), r#"{"code":"00","msg":"","flag":"kw:pong"}"#);
    (raw, head.header("sec-websocket-extensions").map(str::to_owned))
}

async fn compressing(server: &Server, key: &str) -> Raw {
    let (raw, granted) = session(server, key, &[OFFER]).await;
    assert_eq!(granted.as_deref(), Some(GRANTED));
    raw
}

fn deflated(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * message.len() + 100);
    let mut state = Compress::new(flate2::Compression::new(6), false);
    state.compress_vec(message, &mut out, FlushCompress::Sync).expect("enough room");
    out.truncate(out.len() - 4);
    out
}

fn inflated(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 << 20);
    let payload = [payload, b"\0\0\xff\xff"].concat();
    Decompress::new(false).decompress_vec(&payload, &mut out, FlushDecompress::Sync).expect("deflate");
    out
}

fn compressed(first: u8, message: &[u8]) -> Vec<u8> {
    let mut frame = masked(first & 0x0f, &deflated(message));
    frame[0] = first | 0x40;
    frame
}

fn command(body: &str) -> Vec<u8> {
    json!({ "flag": "command", "body": body }).to_string().into_bytes()
}

/// The next push, which has to be compressed, and its length on the wire.
async fn push(raw: &mut Raw) -> (Value, usize) {
    let (bits, frame) = raw.any_frame().await.expect("a push");
    assert_eq!((bits, frame.opcode), (COMPRESSED, TEXT));
    let json = inflated(&frame.payload);
    (serde_json::from_slice(&json).expect("JSON"), frame.payload.len())
}

fn long() -> String {
    "nothing new under the sun, ".repeat(200)
}

#[tokio::test]
async fn it_is_there_for_who_offers_it_where_it_is_set() {
    let (server, _ends) = server(config()).await;
    let broken = ("sec-websocket-extensions", "permessage-deflate; server_max_window_bits=10");
    for headers in [&[][..], &[broken]] {
        let (mut raw, granted) = session(&server, "alice", headers).await;
        assert_eq!(granted, None);
        server.hub.send_to("alice", Push::message(long())).await;
        assert_eq!(raw.push().await["msg"], long());
    }
    let off = Server::start(Hub::builder(RawKey::from_path()).build()).await;
    let (mut raw, granted) = session(&off, "alice", &[OFFER]).await;
    assert_eq!(granted, None);
    off.hub.send_to("alice", Push::message(long())).await;
    assert_eq!(raw.push().await["msg"], long());
    // Nobody agreed on what this bit means.
    raw.write(&compressed(PLAIN | TEXT, b"{}")).await;
    assert_eq!(raw.frame().await.expect("a close frame").close_code(), 1002);
}

#[tokio::test]
async fn of_two_offers_the_good_one_is_granted() {
    let (server, _ends) = server(config()).await;
    let offers =
        "permessage-deflate; server_max_window_bits=9, permessage-deflate; server_max_window_bits=15";
    let (_raw, granted) = session(&server, "alice", &[("sec-websocket-extensions", offers)]).await;
    assert_eq!(granted, Some(format!("{GRANTED}; server_max_window_bits=15")));
}

#[tokio::test]
async fn long_messages_are_compressed_and_short_ones_are_not() {
    let (server, _ends) = server(config()).await;
    let mut raw = compressing(&server, "alice").await;
    for n in 0..3 {
        // All of them start afresh, so each is as long as the first.
        server.hub.send_to("alice", Push::message(long())).await;
        let (json, len) = push(&mut raw).await;
        assert_eq!(json, json!({ "code": "00", "msg": long() }));
        assert!(len < 100, "{len} bytes for number {n}");
        server.hub.send_to("alice", Push::message("short")).await;
        assert_eq!(raw.push().await["msg"], "short");
    }
    // A reply is as good as a push.
    raw.write(&masked(TEXT, &command(&long()))).await;
    assert_eq!(push(&mut raw).await.0["data"], long());
}

#[tokio::test]
async fn a_broadcast_reaches_each_in_its_own_form_and_in_order() {
    let (server, _ends) = server(config()).await;
    let (mut plain, _) = session(&server, "bob", &[]).await;
    let mut short = compressing(&server, "alice").await;
    for n in 0..20 {
        let pushes = [Push::message(format!("{n}")), Push::message(format!("{n} {}", long()))];
        if n % 2 == 0 {
            for push in pushes {
                assert_eq!(server.hub.broadcast(push).await.delivered, 2);
            }
        } else {
            assert_eq!(server.hub.broadcast(&pushes).await.delivered, 2);
        }
    }
    for n in 0..20 {
        let [first, second] = [json!(format!("{n}")), json!(format!("{n} {}", long()))];
        assert_eq!([&plain.push().await["msg"], &plain.push().await["msg"]], [&first, &second]);
        assert_eq!((&short.push().await["msg"], &push(&mut short).await.0["msg"]), (&first, &second));
    }
}

#[tokio::test]
async fn what_a_client_compresses_is_understood() {
    let (server, _ends) = server(config()).await;
    let mut raw = compressing(&server, "alice").await;
    let body = "x".repeat(60_000);
    for message in [command("short"), command(&body)] {
        raw.write(&compressed(PLAIN | TEXT, &message)).await;
    }
    assert_eq!(raw.push().await["data"], "short");
    assert_eq!(push(&mut raw).await.0["data"], body);

    // In fragments with a ping between them, byte by byte.
    let payload = deflated(&command("in pieces"));
    let (front, back) = payload.split_at(payload.len() / 2);
    let mut bytes = masked(TEXT, front);
    bytes[0] = 0x40 | TEXT;
    bytes.extend(masked(PING, b"?"));
    bytes.extend(masked(0, back));
    for byte in bytes.chunks(1) {
        raw.write(byte).await;
    }
    assert_eq!(raw.frame().await.expect("a pong").payload, b"?");
    assert_eq!(raw.push().await["data"], "in pieces");
}

#[tokio::test]
async fn a_bomb_ends_its_own_session_with_1009() {
    let (server, mut ends) = server(config()).await;
    let mut witness = compressing(&server, "bob").await;
    for fragments in [false, true] {
        let mut raw = compressing(&server, "alice").await;
        // A thousandth of what it inflates to, and well within the limit of what may come.
        let bomb = deflated(&vec![b' '; 8 << 20]);
        assert!(bomb.len() < 10_000);
        let (front, back) = bomb.split_at(if fragments { 100 } else { bomb.len() });
        let mut bytes = masked(TEXT, front);
        bytes[0] = 0x40 | TEXT | if fragments { 0 } else { PLAIN };
        if fragments {
            bytes.extend(masked(0, back));
        }
        raw.write(&bytes).await;
        assert_eq!(raw.frame().await.expect("a close frame").close_code(), 1009);
        let closed = ends.next("the end of alice").await;
        assert_eq!((u16::from(closed.code), &*closed.reason), (1009, "the message exceeds 65536 bytes"));
    }
    witness.write(&compressed(PLAIN | TEXT, &command("still here"))).await;
    assert_eq!(witness.push().await["data"], "still here");
}

#[tokio::test]
async fn what_cannot_be_inflated_ends_the_session_with_1007() {
    let (server, _ends) = server(config()).await;
    let hello = deflated(b"Hello, hello, hello");
    for payload in [&b"no deflate"[..], &hello[..hello.len() - 1], &deflated(b"caf\xe9")] {
        let mut raw = compressing(&server, "alice").await;
        let mut frame = masked(TEXT, payload);
        frame[0] |= 0x40;
        raw.write(&frame).await;
        let end = raw.frame().await.expect("a close frame");
        assert_eq!(end.close_code(), 1007, "{payload:x?}");
    }
    for first in [PLAIN | PING, PLAIN, PLAIN | CLOSE] {
        let mut raw = compressing(&server, "alice").await;
        raw.write(&compressed(first, b"")).await;
        assert_eq!(raw.frame().await.expect("a close frame").close_code(), 1002, "{first:x}");
    }
}

/// Nobody reads while this goes on. 50 MiB are more than a socket and a queue take, 50 KiB are not.
#[tokio::test]
async fn the_limit_of_the_queue_counts_what_will_be_written() {
    let (server, _ends) = server(Config { queue_bytes: 1 << 20, ..config() }).await;
    let _short = compressing(&server, "alice").await;
    let _plain = session(&server, "bob", &[]).await;
    let frame = Frame::text(&"a".repeat(1 << 20));
    let [alice, bob] = [&server.hub.sessions("alice").await[0], &server.hub.sessions("bob").await[0]];
    assert!((0..50).all(|_| alice.send_frame(&frame) == Outcome::Accepted));
    assert!((0..50).any(|_| bob.send_frame(&frame) == Outcome::Slow));
}

#[tokio::test]
async fn frames_of_the_applications_own_are_compressed_too() {
    let (server, _ends) = server(config()).await;
    let mut raw = compressing(&server, "alice").await;
    let frame = Frame::join([Frame::binary(&[7; 1000]), Frame::text("short"), Frame::text(&long())]);
    server.hub.dispatch(&Recipients::everyone(), &Order::Deliver(frame)).await;
    let mut next = async || {
        let (bits, frame) = raw.any_frame().await.expect("a frame");
        let payload = if bits == COMPRESSED { inflated(&frame.payload) } else { frame.payload };
        (bits, frame.opcode, payload)
    };
    assert_eq!(next().await, (COMPRESSED, 2, vec![7; 1000]));
    assert_eq!(next().await, (PLAIN, TEXT, b"short".to_vec()));
    assert_eq!(next().await, (COMPRESSED, TEXT, long().into_bytes()));
}

/// A client that is refused by a close frame is told nothing else.
#[tokio::test]
async fn a_refusal_grants_nothing() {
    let hub = Hub::builder(RawKey::from_query("key")).config(config()).build();
    let server = Server::start(hub).await;
    let mut raw = server.raw().await;
    let headers = [OFFER, ("sec-websocket-protocol", "keywire.v1")];
    raw.write(opening("/websocket", &headers).as_bytes()).await;
    let head = raw.head().await;
    assert_eq!((head.status, head.header("sec-websocket-extensions")), (101, None));
    assert_eq!(raw.frame().await.expect("a close frame").close_code(), 4501);
}

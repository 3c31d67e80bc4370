//! Guests, each of whom does something that happens on the internet, and must get what is due.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keywire::Push;
use rand::random_range;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{CLOSE, Client, PING, Raw, Server, TEXT, frame, masked, opening, within};
use crate::tally::Tally;

/// The kinds of guests that are gone at once, and those that the server has to lose patience with.
pub(crate) const QUICK: Range<usize> = 0..10;
pub(crate) const SLOW: Range<usize> = 10..13;

/// One guest, with a key of its own. When it is gone, the store has forgotten it.
pub(crate) async fn visit(server: &Server, tally: &Tally, kind: usize) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let key = format!("guest-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let name = match kind {
        0 => comes_and_goes(server, tally, &key).await,
        1 => resets(server, &key).await,
        2 => breaks_off(server, &key).await,
        3 => breaks_the_rules(server, &key).await,
        4 => never_asks(server, &key).await,
        5 => floods(server, tally, &key).await,
        6 => is_disconnected(server, &key).await,
        7 => makes_the_handler_panic(server, &key).await,
        8 => floods_with_pings(server, tally, &key).await,
        9 => talks_nonsense(server, &key).await,
        10 => does_not_read(server, &key).await,
        11 => falls_silent(server, &key).await,
        _ => does_not_say_goodbye(server, &key).await,
    };
    tally.fault(name);
    let forgotten = async {
        while !server.hub.sessions(&*key).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within("the guest to be forgotten", forgotten).await;
    assert!(server.hub.send_to(&*key, Push::message("too late")).await.is_absent(), "{name}");
}

/// The next push that is no broadcast.
async fn next(client: &mut Client) -> serde_json::Value {
    loop {
        let push = client.next().await;
        if push["data"]["stream"] != "everyone" {
            return push;
        }
    }
}

/// The next frame that is neither a broadcast nor a ping.
async fn frame_for(raw: &mut Raw) -> Option<(u8, Vec<u8>)> {
    loop {
        let frame = raw.frame().await?;
        if frame.opcode != PING && !(frame.opcode == TEXT && frame.text().contains("everyone")) {
            return Some((frame.opcode, frame.payload));
        }
    }
}

async fn close_code(raw: &mut Raw) -> u16 {
    let (opcode, payload) = frame_for(raw).await.expect("a close frame");
    assert_eq!(opcode, CLOSE, "{}", String::from_utf8_lossy(&payload));
    u16::from_be_bytes([payload[0], payload[1]])
}

async fn open(server: &Server, key: &str) -> Client {
    let mut client = server.open(&format!("/websocket/{key}")).await;
    client.send(json!({ "flag": "kw:ping" })).await;
    assert_eq!(next(&mut client).await["flag"], "kw:pong");
    client
}

async fn open_raw(server: &Server, key: &str) -> Raw {
    let mut raw = server.raw().await;
    raw.write(opening(&format!("/websocket/{key}"), &[]).as_bytes()).await;
    assert_eq!(raw.head().await.status, 101);
    raw.write(&masked(TEXT, br#"{"flag":"kw:ping"}"#)).await;
    assert_eq!(frame_for(&mut raw).await.expect("a pong").0, TEXT);
    raw
}

async fn comes_and_goes(server: &Server, tally: &Tally, key: &str) -> &'static str {
    let mut client = open(server, key).await;
    for number in 0..random_range(1..20) {
        assert_eq!(server.hub.send_to(key, Push::data(number)).await.delivered, 1);
        assert_eq!(next(&mut client).await["data"], number);
        tally.checked(1);
    }
    assert_eq!(client.close(1000, "").await.code, 1000);
    "came and went"
}

async fn resets(server: &Server, key: &str) -> &'static str {
    open(server, key).await.reset();
    "reset by the client"
}

async fn breaks_off(server: &Server, key: &str) -> &'static str {
    let mut raw = open_raw(server, key).await;
    let message = masked(TEXT, &[b' '; 1000]);
    raw.write(&message[..random_range(1..message.len())]).await;
    "gone within a frame"
}

async fn breaks_the_rules(server: &Server, key: &str) -> &'static str {
    let (code, bytes) = match random_range(0..6) {
        0 => (1002, frame(TEXT, b"{}", None)),
        1 => (1002, vec![0xf1, 0x80, 0, 0, 0, 0]),
        2 => (1002, masked(0x0b, b"")),
        3 => (1007, masked(TEXT, b"\"\xff\"")),
        4 => (1009, masked(2, &[0; 65_537])),
        _ => (1002, masked(CLOSE, &1005_u16.to_be_bytes())),
    };
    let mut raw = open_raw(server, key).await;
    raw.write(&bytes).await;
    assert_eq!(close_code(&mut raw).await, code);
    assert!(raw.frame().await.is_none(), "something follows the close frame");
    "a breach of the protocol"
}

async fn does_not_read(server: &Server, key: &str) -> &'static str {
    let mut raw = open_raw(server, key).await;
    let push = Push::message("x".repeat(60_000));
    for sent in 0.. {
        let delivery = server.hub.send_to(key, push.clone()).await;
        // Perhaps a broadcast was the first that found the queue full.
        if delivery.delivered == 0 {
            break;
        }
        assert!(sent < 10_000, "a socket without a bottom");
        // The publisher and everybody else go on.
        tokio::task::yield_now().await;
    }
    // The close frame may not find room before the server's patience ends: then it is cut.
    raw.gone().await;
    "a reader that does not read"
}

async fn falls_silent(server: &Server, key: &str) -> &'static str {
    let mut raw = open_raw(server, key).await;
    // Takes everything and answers nothing, not even pings.
    assert_eq!(close_code(&mut raw).await, 4002);
    "fell silent"
}

async fn never_asks(server: &Server, key: &str) -> &'static str {
    let mut raw = server.raw().await;
    let head = opening(&format!("/websocket/{key}"), &[]);
    raw.write(&head.as_bytes()[..random_range(0..head.len())]).await;
    "an opening cut off"
}

async fn floods(server: &Server, tally: &Tally, key: &str) -> &'static str {
    let mut raw = open_raw(server, key).await;
    let count: u64 = random_range(100..1_000);
    let commands: Vec<u8> = (0..count)
        .flat_map(|number| masked(TEXT, json!({ "flag": "command", "body": number }).to_string().as_bytes()))
        .collect();
    raw.write(&commands).await;
    for number in 0..count {
        let (_, payload) = frame_for(&mut raw).await.expect("an answer to each");
        let push: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
        assert_eq!(push["data"], number);
        tally.checked(1);
    }
    "a flood of messages"
}

async fn is_disconnected(server: &Server, key: &str) -> &'static str {
    let mut client = open(server, key).await;
    assert_eq!(server.hub.disconnect(key).await.delivered, 1);
    let (_, end) = client.rest().await;
    assert_eq!(end.code, 4505);
    "disconnected"
}

async fn makes_the_handler_panic(server: &Server, key: &str) -> &'static str {
    let mut client = open(server, key).await;
    client.send(json!({ "flag": "command", "body": "fail" })).await;
    assert_eq!(next(&mut client).await["code"], "50");
    client.send(json!({ "flag": "command", "body": "panic" })).await;
    let (_, end) = client.rest().await;
    assert_eq!(end.code, 1011);
    "a panic in the handler"
}

async fn does_not_say_goodbye(server: &Server, key: &str) -> &'static str {
    let mut raw = open_raw(server, key).await;
    server.hub.disconnect(key).await;
    assert_eq!(close_code(&mut raw).await, 4505);
    // Says nothing and holds on, and is cut.
    raw.gone().await;
    "no answer to the close frame"
}

async fn floods_with_pings(server: &Server, tally: &Tally, key: &str) -> &'static str {
    let mut client = open(server, key).await;
    for _ in 0..100 {
        client.message(Message::Ping("?".into())).await;
    }
    client.send(json!({ "flag": "command", "body": "behind" })).await;
    assert_eq!(next(&mut client).await["data"], "behind");
    tally.checked(1);
    "a flood of pings"
}

async fn talks_nonsense(server: &Server, key: &str) -> &'static str {
    let mut raw = open_raw(server, key).await;
    let noise: Vec<u8> = (0..random_range(1..5_000)).map(|_| rand::random()).collect();
    raw.write(&noise).await;
    "nonsense"
}

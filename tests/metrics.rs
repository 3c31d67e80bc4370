//! Each number says what happened, and is right in the end.
#![cfg(all(feature = "metrics", feature = "warp"))]

mod support;

use keywire::adapter::Handshake;
use keywire::auth::{RawKey, Rejection, extract_fn};
use keywire::handler::HandlerError;
use keywire::session::CloseCode;
use keywire::store::Recipients;
use keywire::{Config, Envelope, Hub, HubBuilder, Identity, Push, Reply, Session, Switch};
use serde_json::json;
use support::{CLOSE, Numbers, TEXT, masked, moves, opening, watched};

const V1: (&str, &str) = ("sec-websocket-protocol", "keywire.v1");

/// A masked frame's header, and a short one's of the server.
const MASKED: f64 = 6.0;
const SHORT: f64 = 2.0;

const PING: &str = r#"{"flag":"kw:ping"}"#;
const PONG: &str = r#"{"code":"00","msg":"","flag":"kw:pong"}"#;

fn hub() -> HubBuilder {
    Hub::builder(RawKey::from_path())
}

#[tokio::test]
async fn a_session_from_its_beginning_to_its_end() {
    let echo = Switch::new().command(async |_: Session, envelope: Envelope| Ok(Push::data(envelope.body)));
    let (server, mut numbers) = watched(hub().handler(echo)).await;
    assert_eq!(numbers.moved(), moves(&[]));

    // `raw_session` sends a ping and awaits the pong.
    let mut alice = server.raw_session("alice").await;
    assert_eq!(
        numbers.moved(),
        moves(&[
            ("sessions", 1.0),
            ("keys", 1.0),
            ("sessions_opened_total", 1.0),
            (r#"messages_total{direction="in"}"#, 1.0),
            (r#"bytes_total{direction="in"}"#, MASKED + PING.len() as f64),
            (r#"messages_total{direction="out"}"#, 1.0),
            (r#"bytes_total{direction="out"}"#, SHORT + PONG.len() as f64),
            // `opened`, which every handler has.
            ("handler_seconds_count", 1.0),
        ])
    );

    let command = r#"{"flag":"command","body":1}"#;
    alice.write(&masked(TEXT, command.as_bytes())).await;
    let reply = alice.frame().await.expect("a reply");
    assert_eq!(
        numbers.moved(),
        moves(&[
            (r#"messages_total{direction="in"}"#, 1.0),
            (r#"bytes_total{direction="in"}"#, MASKED + command.len() as f64),
            (r#"messages_total{direction="out"}"#, 1.0),
            (r#"bytes_total{direction="out"}"#, SHORT + reply.payload.len() as f64),
            ("handler_seconds_count", 1.0),
        ])
    );

    let pushes = [Push::message("one"), Push::message("two")];
    assert_eq!(server.hub.send_to("alice", &pushes).await.delivered, 1);
    assert!(server.hub.send_to("bob", Push::message("")).await.is_absent());
    let bytes: usize = pushes.iter().map(|push| push.to_json().len()).sum();
    assert_eq!(
        numbers.moved(),
        moves(&[
            (r#"messages_total{direction="out"}"#, 2.0),
            (r#"bytes_total{direction="out"}"#, 2.0 * SHORT + bytes as f64),
            ("dispatch_seconds_count", 2.0),
        ])
    );

    alice.write(&masked(CLOSE, &1000u16.to_be_bytes())).await;
    assert_eq!(alice.frame().await.expect("a push").text(), pushes[0].to_json());
    assert_eq!(alice.frame().await.expect("a push").text(), pushes[1].to_json());
    assert_eq!(alice.frame().await.expect("an answer").close_code(), 1000);
    assert_eq!(
        numbers.moved(),
        moves(&[
            ("sessions", -1.0),
            ("keys", -1.0),
            (r#"sessions_closed_total{by="peer",code="1000"}"#, 1.0),
            (r#"bytes_total{direction="in"}"#, MASKED + 2.0),
        ])
    );
}

#[tokio::test]
async fn frames_that_came_with_the_opening_count() {
    let (server, numbers) = watched(hub()).await;
    let mut raw = server.raw().await;
    let ping = masked(TEXT, PING.as_bytes());
    raw.write(&[opening("/websocket/alice", &[]).as_bytes(), &ping].concat()).await;
    assert_eq!(raw.head().await.status, 101);
    assert_eq!(raw.frame().await.expect("a pong").text(), PONG);
    assert_eq!(numbers.get(r#"bytes_total{direction="in"}"#), ping.len() as f64);
    assert_eq!(numbers.get(r#"messages_total{direction="in"}"#), 1.0);
}

#[tokio::test]
async fn each_end_has_its_code_and_who_it_was() {
    let config = Config { message_bytes: 100, ..Config::default() };
    let (server, mut numbers) = watched(hub().config(config)).await;
    for (end, expected) in [
        (masked(CLOSE, &1001u16.to_be_bytes()), r#"{by="peer",code="1001"}"#),
        (masked(CLOSE, b""), r#"{by="peer",code="1005"}"#),
        // What a client may make up is no label.
        (masked(CLOSE, &4003u16.to_be_bytes()), r#"{by="peer",code="other"}"#),
        (masked(CLOSE, &4999u16.to_be_bytes()), r#"{by="peer",code="other"}"#),
        (masked(3, b""), r#"{by="server",code="1002"}"#),
        (masked(TEXT, b"\xff"), r#"{by="server",code="1007"}"#),
        (masked(TEXT, &[b' '; 101]), r#"{by="server",code="1009"}"#),
    ] {
        let mut alice = server.raw_session("alice").await;
        alice.write(&end).await;
        assert_eq!(alice.frame().await.expect("a close frame").opcode, CLOSE, "{expected}");
        assert_eq!(numbers.ended().await, [expected]);
    }

    server.raw_session("alice").await.reset();
    assert_eq!(numbers.ended().await, [r#"{by="network",code="1006"}"#]);

    for (code, expected) in [
        (CloseCode::DISCONNECTED, r#"{by="server",code="4505"}"#),
        (CloseCode::GOING_AWAY, r#"{by="server",code="1001"}"#),
        (CloseCode::new(4321).unwrap(), r#"{by="server",code="other"}"#),
    ] {
        let _alice = server.raw_session("alice").await;
        server.hub.close_sessions(&Recipients::everyone(), code, "").await;
        assert_eq!(numbers.ended().await, [expected]);
    }
}

#[tokio::test]
async fn who_does_not_read() {
    let (server, mut numbers) = watched(hub()).await;
    let mut good = server.client("good").await;
    let push = Push::message("x".repeat(16 * 1024));
    for _ in 0..100 {
        server.hub.broadcast(push.clone()).await;
        good.next().await;
    }
    assert_eq!(numbers.get("queue_fill_ratio_count"), 0.0, "who reads is not behind");

    let _slow = server.raw_session("slow").await;
    numbers.moved();
    let mut sent = 0;
    while server.hub.broadcast(push.clone()).await.slow == 0 {
        good.next().await;
        sent += 1;
        assert!(sent < 100_000, "a socket without a bottom");
    }
    good.next().await;
    good.ping().await;
    let moved = numbers.moved();
    assert_eq!(moved["slow_closes_total"], 1.0);
    assert_eq!(moved[r#"sessions_closed_total{by="server",code="4003"}"#], 1.0);
    assert_eq!(numbers.get("sessions"), 1.0);
    // The queue of 1 MiB was filled by steps of 1/64.
    assert!((50.0..=70.0).contains(&moved["queue_fill_ratio_count"]), "{moved:?}");
    let fill = numbers.handle().render();
    let fullest =
        fill.lines().find_map(|line| line.strip_prefix(r#"keywire_queue_fill_ratio{quantile="1"} "#));
    let fullest: f64 = fullest.expect("the largest").parse().expect("a number");
    assert!((0.95..=1.0).contains(&fullest), "{fullest}");
    // What was not taken was not sent: the last one went to one of the two, and the pong.
    assert_eq!(moved[r#"messages_total{direction="out"}"#], f64::from(2 * sent + 2));
}

#[tokio::test]
async fn each_kind_of_refusal() {
    let keys = extract_fn(|handshake: Handshake| async move {
        Err::<Identity, _>(match handshake.path_key()?.as_deref() {
            None => Rejection::Missing,
            Some("invalid") => Rejection::Invalid,
            Some("expired") => Rejection::Expired,
            Some("not_yet") => Rejection::NotYet,
            Some("malformed") => Rejection::Malformed,
            Some("ambiguous") => Rejection::Ambiguous,
            Some("forbidden") => Rejection::Forbidden,
            Some("too_many") => Rejection::TooMany,
            Some("throttled") => Rejection::Throttled,
            Some("unavailable") => Rejection::Unavailable,
            Some(_) => panic!("an extractor's bug"),
        })
    });
    let (server, mut numbers) = watched(Hub::builder(keys)).await;
    for (key, kind) in [
        ("", "missing"),
        ("invalid", "invalid"),
        ("expired", "expired"),
        ("not_yet", "not_yet"),
        ("malformed", "malformed"),
        ("ambiguous", "ambiguous"),
        ("forbidden", "forbidden"),
        ("too_many", "too_many"),
        ("throttled", "throttled"),
        ("unavailable", "unavailable"),
        ("panic", "unavailable"),
    ] {
        let (path, series) = (format!("/websocket/{key}"), format!(r#"refusals_total{{kind="{kind}"}}"#));
        server.refusal(&path, &[]).await;
        assert_eq!(numbers.moved(), moves(&[(&series, 1.0)]));
        // By a close code in place of a status, it is no session either.
        server.open_with(&path, &[V1]).await.end().await;
        assert_eq!(numbers.moved(), moves(&[(&series, 1.0)]));
    }
    let mut raw = server.raw().await;
    raw.write(b"GET /websocket/alice HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(raw.head().await.status, 426);
    assert_eq!(numbers.moved(), moves(&[(r#"refusals_total{kind="no_opening"}"#, 1.0)]));
}

#[tokio::test]
async fn how_handlers_fail() {
    let switch = Switch::new()
        .command(async |_: Session, fails: bool| match fails {
            true => Err::<Reply, _>(HandlerError::msg("an error")),
            false => panic!("a bug"),
        })
        .inform(async |session: Session, _: Envelope| {
            session.close(CloseCode::NORMAL, "");
            Ok(Reply::none())
        })
        .failed(async |_, _| {})
        .closed(async |_, closed: keywire::session::Closed| assert_ne!(closed.code, CloseCode::NORMAL));
    let (server, mut numbers) = watched(hub().handler(switch)).await;
    let failures = |numbers: &mut Numbers| {
        let mut moved = numbers.moved();
        moved.retain(|name, _| name.starts_with("handler"));
        moved
    };

    let mut alice = server.client("alice").await;
    numbers.moved();
    assert_eq!(alice.ask(json!({ "flag": "command", "body": true })).await["code"], "50");
    let failed = r#"handler_failures_total{kind="error"}"#;
    assert_eq!(failures(&mut numbers), moves(&[(failed, 1.0), ("handler_seconds_count", 1.0)]));
    // What the handler never got to see is not its work.
    assert_eq!(alice.ask(json!({ "flag": "command", "body": 1 })).await["code"], "40");
    alice.ping().await;
    numbers.moved();
    alice.ping().await;
    assert_eq!(failures(&mut numbers), moves(&[]));

    alice.send(json!({ "flag": "command", "body": false })).await;
    assert_eq!(alice.end().await.code, 1011);
    let failed = r#"handler_failures_total{kind="panic"}"#;
    assert_eq!(failures(&mut numbers), moves(&[(failed, 1.0), ("handler_seconds_count", 1.0)]));

    let mut alice = server.client("alice").await;
    numbers.moved();
    alice.send(json!({ "flag": "inform" })).await;
    assert_eq!(alice.end().await.code, 1000);
    let failed = r#"handler_failures_total{kind="hook"}"#;
    assert_eq!(failures(&mut numbers), moves(&[(failed, 1.0), ("handler_seconds_count", 1.0)]));
}

#[tokio::test]
async fn answers_that_nobody_waits_for() {
    let (server, numbers) = watched(hub()).await;
    let (mut alice, session) = server.page("alice").await;
    let ignored = || numbers.get("answers_ignored_total");
    let question = Push::message("?").with_flag("visible");
    let asked = tokio::spawn(async move { session.request(question, std::time::Duration::MAX).await });
    let id = alice.next().await["id"].take();
    let answer = json!({ "flag": "kw:answer", "id": id });
    alice.send(answer.clone()).await;
    assert!(asked.await.expect("no panic").is_ok());
    assert_eq!(ignored(), 0.0);
    alice.send(answer).await;
    alice.send(json!({ "flag": "kw:answer", "id": 7 })).await;
    alice.ping().await;
    assert_eq!(ignored(), 2.0);
}

#[cfg(feature = "deflate")]
#[tokio::test]
async fn bytes_are_those_on_the_wire() {
    const OFFER: (&str, &str) = ("sec-websocket-extensions", "permessage-deflate");
    let compression = keywire::limits::Compression::deflate().threshold(200);
    let (server, mut numbers) = watched(hub().config(Config { compression, ..Config::default() })).await;
    let mut plain = server.raw_session("plain").await;
    let mut raw = server.raw().await;
    raw.write(opening("/websocket/compressing", &[OFFER]).as_bytes()).await;
    assert_eq!(raw.head().await.status, 101);
    raw.write(&masked(TEXT, PING.as_bytes())).await;
    assert_eq!(raw.frame().await.expect("a pong").text(), PONG);
    numbers.moved();

    // RFC 7692, section 7.2.3.1: five letters, in seven bytes. No envelope, which is answered.
    let mut hello = masked(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00");
    hello[0] |= 0x40;
    raw.write(&hello).await;
    assert_eq!(raw.push().await["code"], "40");
    let moved = numbers.moved();
    assert_eq!(moved[r#"messages_total{direction="in"}"#], 1.0);
    assert_eq!(moved[r#"bytes_total{direction="in"}"#], hello.len() as f64);

    let push = Push::message("x".repeat(1000));
    for (key, raw, compresses) in [("plain", &mut plain, false), ("compressing", &mut raw, true)] {
        assert_eq!(server.hub.send_to(key, push.clone()).await.delivered, 1);
        let (_, frame) = raw.any_frame().await.expect("a push");
        let len = frame.payload.len();
        assert_eq!(len < 126, compresses, "{key}: {len} bytes");
        let header = if compresses { SHORT } else { 2.0 * SHORT };
        let moved = numbers.moved();
        assert_eq!(moved[r#"messages_total{direction="out"}"#], 1.0, "{key}");
        assert_eq!(moved[r#"bytes_total{direction="out"}"#], header + len as f64, "{key}");
    }
}

#[tokio::test]
async fn kept_pushes_and_those_who_follow_them() {
    let log = keywire::log::MemoryLog::new();
    let (server, mut numbers) = watched(hub().log(log)).await;
    let paid = || Push::message("paid").kept().once("1");
    let bytes = Push::message("paid").to_json().len() as f64;
    server.hub.send_to("alice", paid()).await;
    server.hub.send_to("alice", paid()).await;
    let logged = |moved: &std::collections::BTreeMap<String, f64>| {
        let of_log = |name: &String| name.starts_with("log_") || name.starts_with("followers");
        moved
            .iter()
            .filter(|(name, _)| of_log(name))
            .map(|(name, by)| (name.clone(), *by))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        logged(&numbers.moved()),
        [
            ("log_append_seconds_count".to_owned(), 2.0),
            ("log_appended_bytes_total".to_owned(), bytes),
            (r#"log_appends_total{outcome="again"}"#.to_owned(), 1.0),
            (r#"log_appends_total{outcome="at"}"#.to_owned(), 1.0),
        ]
    );
    let offered = [("sec-websocket-protocol", "keywire.v1, from.keywire.unread")];
    let mut client = server.open_with("/websocket/alice", &offered).await;
    assert_eq!(client.next().await["flag"], "kw:from");
    assert_eq!(client.next().await["msg"], "paid");
    let moved = numbers.moved();
    assert_eq!(
        logged(&moved),
        [
            ("followers".to_owned(), 1.0),
            ("log_read_seconds_count".to_owned(), 1.0),
            ("log_replayed_total".to_owned(), 1.0),
        ]
    );
    server.hub.forget("alice").await.unwrap();
    assert_eq!(client.next().await["flag"], "kw:gap");
    assert_eq!(numbers.get(r#"log_gaps_total{kind="reset"}"#), 1.0);
    client.close(1000, "").await;
    numbers.ended().await;
    assert_eq!((numbers.get("followers"), numbers.get("log_reads")), (0.0, 0.0));
}

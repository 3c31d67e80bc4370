//! Kept pushes over real sockets: offline, live, slow, after a gap, with a log that fails.
#![cfg(feature = "warp")]

mod support;

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keywire::adapter::{Handshake, PathKey};
use keywire::auth::RawKey;
use keywire::log::{Kept, Log, LogError, MemoryLog, Position, Retention};
use keywire::{Config, Delivery, Hub, Push};
use serde_json::{Value, json};
use support::{Client, FaultyLog, Moment, Server};

async fn server(log: impl Log) -> Server {
    Server::start(Hub::builder(RawKey::from_path()).log(log).build()).await
}

/// A client of alice's that follows from here, and its first word.
async fn follow(server: &Server, from: &str) -> (Client, Value) {
    let offered = format!("keywire.v1, from.keywire.{from}");
    let mut client =
        server.open_with("/websocket/alice", &[("sec-websocket-protocol", offered.as_str())]).await;
    let first = client.next().await;
    assert_eq!(first["flag"], "kw:from", "{first}");
    (client, first["data"].clone())
}

async fn keep(server: &Server, msg: &str) -> Delivery {
    server.hub.send_to("alice", Push::message(msg.to_owned()).kept()).await
}

fn at(delivery: Delivery) -> String {
    match delivery.kept {
        Kept::At(at) => at.to_string(),
        other => panic!("not kept: {other:?}"),
    }
}

#[tokio::test]
async fn what_was_sent_while_nobody_was_there_comes_first_and_then_what_is_sent() {
    let server = server(MemoryLog::new()).await;
    let first = keep(&server, "first").await;
    assert_eq!(first.delivered, 0);
    assert!(!first.is_absent());
    let second = at(keep(&server, "second").await);
    let (mut client, word) = follow(&server, "unread").await;
    assert_eq!(word, json!({ "at": Position::BEGINNING, "to": second, "gap": null }));
    for (msg, position) in [("first", at(first)), ("second", second)] {
        let push = client.next().await;
        assert_eq!((&push["msg"], &push["at"]), (&json!(msg), &json!(position)), "{push}");
        assert!(push["time"].is_u64(), "{push}");
    }
    let live = keep(&server, "live").await;
    assert_eq!(live.delivered, 1);
    let push = client.next().await;
    assert_eq!((&push["msg"], &push["at"]), (&json!("live"), &json!(at(live))));
}

#[tokio::test]
async fn a_page_goes_on_after_the_position_that_it_has() {
    let server = server(MemoryLog::new()).await;
    let positions =
        [at(keep(&server, "a").await), at(keep(&server, "b").await), at(keep(&server, "c").await)];
    let (mut client, word) = follow(&server, &positions[1]).await;
    assert_eq!(word, json!({ "at": positions[1], "to": positions[2], "gap": null }));
    assert_eq!(client.next().await["msg"], "c");
    let (mut client, word) = follow(&server, "now").await;
    assert_eq!(word, json!({ "at": positions[2], "to": positions[2], "gap": null }));
    client.ping().await;
}

#[tokio::test]
async fn a_client_that_does_not_ask_gets_kept_pushes_like_any_other() {
    let server = server(MemoryLog::new()).await;
    keep(&server, "before").await;
    let mut plain = server.client("alice").await;
    assert_eq!(keep(&server, "live").await.delivered, 1);
    assert_eq!(plain.next().await, json!({ "code": "00", "msg": "live" }));
    // Nor one that asks a server without a log.
    let without = Server::start(Hub::builder(RawKey::from_path()).build()).await;
    let offered = [("sec-websocket-protocol", "keywire.v1, from.keywire.now")];
    let mut client = without.open_with("/websocket/alice", &offered).await;
    client.ping().await;
    let delivery = keep(&without, "live").await;
    assert_eq!((delivery.kept, delivery.delivered), (Kept::No, 1));
    assert_eq!(client.next().await, json!({ "code": "00", "msg": "live" }));
}

#[tokio::test]
async fn what_cannot_be_had_is_told() {
    let retention = Retention { entries: 2, ..Retention::default() };
    let server = server(MemoryLog::new().with_retention(retention)).await;
    let old = at(keep(&server, "a").await);
    let kept = [at(keep(&server, "b").await), at(keep(&server, "c").await), at(keep(&server, "d").await)];
    let (mut client, word) = follow(&server, &old).await;
    assert_eq!(word, json!({ "at": kept[0], "to": kept[2], "gap": "trimmed" }));
    assert_eq!(client.next().await["at"], json!(kept[1]));
    assert_eq!(client.next().await["at"], json!(kept[2]));
    for unknown in ["3.0000000000000007", "99.0000000000000007", "nonsense", "now, from.keywire.unread"] {
        let (mut client, word) = follow(&server, unknown).await;
        assert_eq!(word, json!({ "at": kept[2], "to": kept[2], "gap": "reset" }), "{unknown}");
        client.ping().await;
    }
    // A log that is emptied under a live page.
    server.hub.forget("alice").await.unwrap();
    let gap = client.next().await;
    assert_eq!((&gap["flag"], &gap["data"]["why"]), (&json!("kw:gap"), &json!("reset")), "{gap}");
    let again = at(keep(&server, "again").await);
    assert_eq!(client.next().await["at"], json!(again));
}

#[tokio::test]
async fn one_id_is_sent_once() {
    let server = server(MemoryLog::new()).await;
    let (mut client, _) = follow(&server, "now").await;
    let paid = || Push::message("paid").kept().once("order-17");
    let first = server.hub.send_to("alice", paid()).await;
    let again = server.hub.send_to("alice", paid()).await;
    assert_eq!((again.kept, again.delivered), (Kept::Again(first.kept.at().unwrap()), 0));
    assert_eq!(client.next().await["msg"], "paid");
    client.ping().await;
}

#[tokio::test]
async fn only_a_push_to_one_key_is_kept() {
    let server = server(MemoryLog::new()).await;
    let (mut client, _) = follow(&server, "now").await;
    let delivery = server.hub.broadcast(Push::message("all").kept()).await;
    assert_eq!((delivery.kept, delivery.delivered), (Kept::No, 1));
    assert_eq!(client.next().await, json!({ "code": "00", "msg": "all" }));
    assert_eq!(server.hub.end("alice").await.unwrap(), Position::BEGINNING);
}

#[tokio::test]
async fn several_keys_have_a_log_each() {
    let server = server(MemoryLog::new()).await;
    let (mut client, _) = follow(&server, "now").await;
    let sent = server.hub.send_to_each(["alice", "two\nlines", "bob"], Push::message("bill").kept()).await;
    assert_eq!(sent.iter().map(|delivery| delivery.delivered).collect::<Vec<_>>(), [1, 0, 0]);
    assert!(sent[1].invalid_key.is_some() && sent[1].kept == Kept::No);
    assert_eq!(sent[2].kept, Kept::At(server.hub.end("bob").await.unwrap()));
    assert_eq!(client.next().await["msg"], "bill");
}

#[tokio::test]
async fn the_history_and_what_was_seen() {
    let server = server(MemoryLog::new()).await;
    let kept = [at(keep(&server, "a").await), at(keep(&server, "b").await), at(keep(&server, "c").await)];
    let mut client = server.client("alice").await;
    let answer = client.ask(json!({ "flag": "kw:read", "body": { "limit": 2 }, "id": 1 })).await;
    assert_eq!((&answer["id"], &answer["flag"]), (&json!(1), &json!("kw:read")));
    let data = &answer["data"];
    assert_eq!((&data["from"], &data["end"], &data["gap"]), (&json!(kept[0]), &json!(kept[2]), &Value::Null));
    assert_eq!(data["entries"][0]["at"], json!(kept[1]));
    assert_eq!(data["entries"][1]["msg"], "c");
    let answer = client.ask(json!({ "flag": "kw:read", "body": { "after": kept[0], "limit": 1 } })).await;
    assert_eq!(
        (&answer["data"]["entries"][0]["at"], &answer["data"]["more"]),
        (&json!(kept[1]), &json!(true))
    );
    let seen = client.ask(json!({ "flag": "kw:seen", "body": kept[1], "id": 2 })).await;
    assert_eq!(seen, json!({ "code": "00", "msg": "", "id": 2 }));
    let (mut other, _) = follow(&server, "unread").await;
    assert_eq!(other.next().await["at"], json!(kept[2]));
    for wrong in [
        json!({ "flag": "kw:seen", "body": "x" }),
        json!({ "flag": "kw:read", "body": 7 }),
        json!({ "flag": "kw:read", "body": [] }),
    ] {
        assert_eq!(client.ask(wrong).await["code"], "40");
    }
}

/// A slow follower is not closed for kept pushes: they wait in the log.
#[tokio::test]
async fn a_page_that_does_not_read_gets_all_of_it_later() {
    let config = Config { queue_messages: 8, queue_bytes: 64 * 1024, ..Config::default() };
    let retention = Retention { bytes: usize::MAX, ..Retention::default() };
    let hub = Hub::builder(RawKey::from_path()).log(MemoryLog::new().with_retention(retention));
    let server = Server::start(hub.config(config).build()).await;
    let (mut client, _) = follow(&server, "now").await;
    let large = "a".repeat(40_000);
    for _ in 0..300 {
        let delivery = keep(&server, &large).await;
        assert_eq!((delivery.delivered, delivery.slow), (1, 0));
    }
    for seq in 1..=300 {
        let push = client.next().await;
        assert_eq!(push["at"].as_str().unwrap().split_once('.').unwrap().0, seq.to_string());
    }
    assert_eq!(keep(&server, "live").await.delivered, 1);
    assert_eq!(client.next().await["msg"], "live");
}

/// A log that can be away, and does not say whether it did what it was asked.
fn log_that_is_away(away: &Arc<AtomicBool>) -> FaultyLog {
    let away = away.clone();
    FaultyLog::new(MemoryLog::new(), move |moment| {
        let fails = moment != Moment::BeforeAppend && away.load(Ordering::Relaxed);
        ready(if fails { Err(LogError::Unknown("away".into())) } else { Ok(()) })
    })
}

#[tokio::test]
async fn an_unknown_outcome_is_said_and_a_retry_tells_the_page() {
    let away = Arc::new(AtomicBool::new(false));
    let server = server(log_that_is_away(&away)).await;
    let (mut client, _) = follow(&server, "now").await;
    away.store(true, Ordering::Relaxed);
    let paid = || Push::message("paid").kept().once("order-17");
    let unknown = server.hub.send_to("alice", paid()).await;
    assert_eq!((unknown.kept, unknown.delivered, unknown.is_absent()), (Kept::Unknown, 0, false));
    // Pushes that are not kept go on.
    server.hub.send_to("alice", Push::message("plain")).await;
    assert_eq!(client.next().await["msg"], "plain");
    away.store(false, Ordering::Relaxed);
    let again = server.hub.send_to("alice", paid()).await;
    assert!(matches!(again.kept, Kept::Again(_)), "{again:?}");
    assert_eq!(client.next().await["msg"], "paid");
    client.ping().await;
}

/// Nothing else wakes the session then.
#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_looked_into_without_pings_too() {
    let away = Arc::new(AtomicBool::new(false));
    let config = Config { ping_interval: None, ..Config::default() };
    let hub = Hub::builder(RawKey::from_path()).log(log_that_is_away(&away)).config(config).build();
    let offered = ("sec-websocket-protocol", "keywire.v1, from.keywire.now");
    let head = support::request(([127, 0, 0, 1], 1).into(), "/", &[offered]);
    let upgrade = hub.upgrade(Handshake::new(head).with_path_key(PathKey::decoded("alice"))).await;
    let mut client = Client::over_pipe(upgrade.connection.expect("an upgrade")).await;
    assert_eq!(client.next().await["flag"], "kw:from");
    away.store(true, Ordering::Relaxed);
    let unknown = hub.send_to("alice", Push::message("paid").kept()).await;
    assert_eq!(unknown.kept, Kept::Unknown);
    away.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(client.next().await["msg"], "paid");
}

#[tokio::test]
async fn a_page_that_comes_while_the_log_is_away_gets_its_first_word_when_it_is_back() {
    let away = Arc::new(AtomicBool::new(true));
    let server = server(log_that_is_away(&away)).await;
    let offered = [("sec-websocket-protocol", "keywire.v1, from.keywire.unread")];
    let mut client = server.open_with("/websocket/alice", &offered).await;
    client.ping().await;
    away.store(false, Ordering::Relaxed);
    assert_eq!(client.next().await["flag"], "kw:from");
    keep(&server, "live").await;
    assert_eq!(client.next().await["msg"], "live");
}

#[cfg(feature = "client")]
#[tokio::test]
async fn a_client_that_begins_at_the_end_is_open_when_it_knows_where_that_is() {
    use keywire::client::{Event, Follow};
    use support::keywire_client::{client, next};
    use tokio::sync::Semaphore;

    let reads = Arc::new(Semaphore::new(0));
    let log = FaultyLog::new(MemoryLog::new(), {
        let reads = reads.clone();
        move |moment| {
            let reads = reads.clone();
            async move {
                if moment == Moment::BeforeRead {
                    reads.acquire().await.unwrap().forget();
                }
                Ok(())
            }
        }
    });
    let server = server(log).await;
    let (_client, mut events) = client(&server).key("alice").follow(Follow::Now).connect();
    support::until("a session", async || {
        let delivery = server.hub.send_to("alice", Push::message("live")).await;
        if delivery.delivered == 1 { Ok(()) } else { Err(format!("{delivery:?}")) }
    })
    .await;
    // It has been let in, and goes on without its place when its connection is cut.
    assert!(matches!(next(&mut events).await, Event::Push(push) if push.msg == "live"));
    for session in server.hub.sessions("alice").await {
        session.close(keywire::session::CloseCode::RESTART, "");
    }
    assert!(matches!(next(&mut events).await, Event::Closed(_)));
    // A log that is away does not keep it waiting for long.
    assert!(matches!(next(&mut events).await, Event::Open));
    reads.add_permits(Semaphore::MAX_PERMITS);
    let (_other, mut events) = client(&server).key("alice").follow(Follow::Now).connect();
    assert!(matches!(next(&mut events).await, Event::Open));
    let kept = at(keep(&server, "kept").await);
    assert!(matches!(next(&mut events).await, Event::Kept { at, .. } if at.to_string() == kept));
}

#[cfg(feature = "client")]
#[tokio::test]
async fn the_rust_client_goes_on_where_it_was() {
    use keywire::client::{Client, Event, Follow};

    let server = server(MemoryLog::new()).await;
    let before = at(keep(&server, "before").await);
    let url = format!("ws://{}/websocket", server.addr);
    let builder = Client::builder(&url).unwrap().key("alice").fixed_delay(std::time::Duration::ZERO);
    let (client, mut events) = builder.follow(Follow::Unread).connect();
    let mut next = async || loop {
        match support::within("an event", events.next()).await.unwrap() {
            Event::Kept { push, at, .. } => return (push.msg.into_owned(), at.to_string()),
            Event::Gap { why, .. } => return (format!("{why:?}"), String::new()),
            Event::Push(push) => panic!("not kept: {push:?}"),
            _ => {}
        }
    };
    assert_eq!(next().await, ("before".into(), before));
    for session in server.hub.sessions("alice").await {
        session.close(keywire::session::CloseCode::RESTART, "");
    }
    let away = at(keep(&server, "away").await);
    let (name, position) = next().await;
    assert_eq!((name, &position), ("away".into(), &away));
    client.seen(position.parse().unwrap()).unwrap();
    client.request("not handled").await.unwrap();
    let (mut other, _) = follow(&server, "unread").await;
    other.ping().await;
    server.hub.forget("alice").await.unwrap();
    assert_eq!(next().await.0, "Reset");
}

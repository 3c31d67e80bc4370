//! A connection is listened to whatever its handler does: pings are answered, and its end is noticed.
#![cfg(feature = "warp")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use keywire::auth::RawKey;
use keywire::{Config, Envelope, Hub, Push, Reply, Session, Switch};
use serde_json::json;
use support::{CLOSE, Events, PING, Raw, Server, TEXT, events, masked};
use tokio::sync::Semaphore;

const SHORT: Duration = Duration::from_millis(50);
const PONG: u8 = 10;

/// A handler of commands that tells when it has begun, and ends as often as it is allowed to.
fn waiting() -> (Switch, Arc<Semaphore>, Events<String>) {
    let allowed = Arc::new(Semaphore::new(0));
    let (tell, begun) = events();
    let allow = allowed.clone();
    let switch = Switch::new().command(move |_: Session, envelope: Envelope| {
        let (allow, tell) = (allow.clone(), tell.clone());
        async move {
            let _ = tell.send(envelope.body.as_str().to_owned());
            allow.acquire().await.expect("an open semaphore").forget();
            Ok(Reply::data(envelope.body))
        }
    });
    (switch, allowed, begun)
}

async fn server(switch: Switch, config: Config) -> Server {
    Server::start(Hub::builder(RawKey::from_path()).handler(switch).config(config).build()).await
}

fn command(number: usize) -> Vec<u8> {
    masked(TEXT, json!({ "flag": "command", "body": number }).to_string().as_bytes())
}

fn commands(count: usize) -> Vec<u8> {
    (0..count).flat_map(command).collect()
}

async fn gone(server: &Server) {
    support::until("the session to leave", async || match server.hub.counts().await.sessions {
        0 => Ok(()),
        sessions => Err(format!("{sessions} sessions")),
    })
    .await;
}

#[tokio::test]
async fn pings_are_answered_while_the_handler_is_at_work_however_many_messages_wait() {
    for waiting_messages in [1, 2, 3, 30] {
        let (switch, allowed, mut begun) = waiting();
        let server = server(switch, Config::default()).await;
        let mut alice = server.raw_session("alice").await;
        alice.write(&commands(waiting_messages)).await;
        begun.next("the first command").await;
        alice.write(&masked(PING, b"there?")).await;
        let pong = alice.frame().await.expect("a pong");
        assert_eq!((pong.opcode, &*pong.payload), (PONG, &b"there?"[..]));
        alice.write(&masked(TEXT, br#"{"flag":"kw:ping","id":"7"}"#)).await;
        assert_eq!(alice.push().await, json!({ "code": "00", "msg": "", "flag": "kw:pong", "id": "7" }));

        // The messages themselves are handled in their order, and each once.
        allowed.add_permits(waiting_messages);
        for number in 0..waiting_messages {
            assert_eq!(alice.push().await["data"], number);
        }
    }
}

#[tokio::test]
async fn the_first_word_does_not_wait_for_the_hook() {
    let allowed = Arc::new(Semaphore::new(0));
    let (tell, mut begun) = events();
    let allow = allowed.clone();
    let switch = Switch::new()
        .opened(move |_| {
            let (allow, tell) = (allow.clone(), tell.clone());
            async move {
                let _ = tell.send(());
                allow.acquire().await.expect("an open semaphore").forget();
                Ok(Reply::ok("welcome"))
            }
        })
        .command(async |_: Session, number: u64| Ok(Reply::data(number)));
    let server = server(switch, Config::default()).await;
    let mut alice = server.client("alice").await;
    begun.next("the hook").await;
    alice.ping().await;
    alice.send(json!({ "flag": "command", "body": 1 })).await;
    allowed.add_permits(1);
    assert_eq!(alice.next().await["msg"], "welcome");
    assert_eq!(alice.next().await["data"], 1);
    assert!(begun.rest().is_empty(), "the hook ran once");
}

/// How a client goes away.
type Leave = fn(Raw) -> futures_util::future::BoxFuture<'static, Option<Raw>>;

const WAYS: [(&str, Leave); 3] = [
    ("a reset", |raw| {
        Box::pin(async move {
            raw.reset();
            None
        })
    }),
    ("an end of the stream", |raw| {
        Box::pin(async move {
            drop(raw);
            None
        })
    }),
    ("a close frame", |mut raw| {
        Box::pin(async move {
            raw.write(&masked(CLOSE, &1000_u16.to_be_bytes())).await;
            Some(raw)
        })
    }),
];

#[tokio::test]
async fn an_end_is_noticed_while_messages_wait_for_the_handler() {
    for (way, leave) in WAYS {
        let (switch, _allowed, mut begun) = waiting();
        let server = server(switch, Config::default()).await;
        let mut alice = server.raw_session("alice").await;
        alice.write(&commands(30)).await;
        begun.next("the first command").await;
        let kept = leave(alice).await;
        gone(&server).await;
        let delivery = server.hub.send_to("alice", Push::message("there?")).await;
        assert!(delivery.is_absent(), "{way}: {delivery:?}");
        drop(kept);
    }
}

/// More than is read ahead: the rest stays in the socket, and the end behind it.
#[tokio::test]
async fn an_end_is_noticed_behind_more_than_is_read_ahead() {
    for (way, leave) in &WAYS[..2] {
        let config = Config { ping_interval: Some(SHORT), message_rate: None, ..Config::default() };
        let (switch, _allowed, mut begun) = waiting();
        let server = server(switch, config).await;
        let mut alice = server.raw_session("alice").await;
        alice.write(&commands(3_000)).await;
        begun.next("the first command").await;
        leave(alice).await;
        gone(&server).await;
        assert!(server.hub.send_to("alice", Push::message("there?")).await.is_absent(), "{way}");
    }
}

/// Found by the timer, an end is an end in order all the same: what was read ahead is handled.
#[tokio::test]
async fn what_was_read_ahead_of_a_hang_up_is_handled() {
    let config = Config { ping_interval: Some(SHORT), message_rate: None, ..Config::default() };
    let (switch, allowed, mut begun) = waiting();
    let server = server(switch, config).await;
    let mut alice = server.raw_session("alice").await;
    alice.write(&commands(3_000)).await;
    assert_eq!(begun.next("the first command").await, "0");
    drop(alice);
    gone(&server).await;
    allowed.add_permits(3_000);
    for number in 1..50 {
        assert_eq!(begun.next("a command that was read").await, number.to_string());
    }
}

/// Whose messages we do not read cannot be blamed for silence.
#[tokio::test]
async fn a_client_that_waits_for_a_slow_handler_is_not_given_up() {
    // Time enough for the pongs of a busy machine, once they are read.
    let pong_timeout = SHORT * 10;
    let config = Config { ping_interval: Some(SHORT), pong_timeout, message_rate: None, ..Config::default() };
    let (switch, allowed, mut begun) = waiting();
    let server = server(switch, config).await;
    let mut alice = server.raw_session("alice").await;
    alice.write(&commands(3_000)).await;
    begun.next("the first command").await;
    // It is pinged on.
    for _ in 0..3 {
        let ping = alice.frame().await.expect("a ping");
        assert_eq!(ping.opcode, PING, "{ping:?}");
        alice.write(&masked(PONG, &ping.payload)).await;
    }
    allowed.add_permits(3_000);
    let mut answered = 0;
    while answered < 3_000 {
        let frame = alice.frame().await.expect("an answer");
        if frame.opcode == PING {
            alice.write(&masked(PONG, &frame.payload)).await;
        } else {
            assert!(frame.text().contains(&format!("\"data\":{answered}")), "{frame:?}");
            answered += 1;
        }
    }
}

/// It has more waiting than may wait before its own messages do, and shows in every other way that it lives.
#[tokio::test]
async fn a_client_that_is_behind_with_reading_is_heard() {
    for sign in [masked(PONG, b""), masked(PING, b""), masked(TEXT, br#"{"flag":"kw:ping"}"#)] {
        let config = Config {
            ping_interval: Some(SHORT * 2),
            pong_timeout: SHORT * 2,
            message_rate: None,
            ..Config::default()
        };
        let server = server(Switch::new(), config).await;
        let mut alice = server.raw_session("alice").await;
        // One message alone is always taken, and this one is more than the socket takes.
        server.hub.send_to("alice", Push::message("x".repeat(32 * 1024 * 1024))).await;
        let mut pace = tokio::time::interval(SHORT / 2);
        for _ in 0..20 {
            pace.tick().await;
            alice.write(&sign).await;
        }
        assert_eq!(server.hub.counts().await.sessions, 1);
    }
}

/// Reads a frame of 8 MiB in small pieces, so slowly that it takes many times as long as a silent client has, and sends
/// nothing meanwhile.
#[tokio::test]
async fn a_client_that_reads_slowly_but_steadily_is_not_given_up() {
    let config = Config { ping_interval: Some(SHORT * 2), pong_timeout: SHORT * 2, ..Config::default() };
    let server = server(Switch::new(), config).await;
    let mut alice = server.raw_session("alice").await;
    server.hub.send_to("alice", Push::message("x".repeat(8 * 1024 * 1024))).await;
    let mut pace = tokio::time::interval(SHORT / 5);
    let mut left = 8 * 1024 * 1024_usize;
    while left > 0 {
        pace.tick().await;
        left = left.saturating_sub(alice.skip(32 * 1024).await);
    }
    assert_eq!(server.hub.counts().await.sessions, 1);
}

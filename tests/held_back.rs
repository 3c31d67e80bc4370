//! What came before an end is answered: the close frame waits for the call at work, but not for long.
#![cfg(feature = "warp")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use keywire::auth::RawKey;
use keywire::session::{CloseCode, Closed};
use keywire::{Config, Envelope, Hub, Push, Reply, Session, Switch};
use serde_json::json;
use support::{CLOSE, Events, Raw, Server, TEXT, events, masked};
use tokio::sync::Semaphore;

/// What a test sees of a handler.
#[derive(Debug, PartialEq)]
enum Told {
    Begun(u64),
    Closed(u16),
}

/// Commands that end as often as they are allowed to.
async fn server(config: Config) -> (Server, Arc<Semaphore>, Events<Told>) {
    let allowed = Arc::new(Semaphore::new(0));
    let (tell, told) = events();
    let (allow, tell_end) = (allowed.clone(), tell.clone());
    let switch = Switch::new()
        .command(move |_: Session, envelope: Envelope| {
            let (allow, tell) = (allow.clone(), tell.clone());
            async move {
                let _ = tell.send(Told::Begun(envelope.parse()?));
                allow.acquire().await.expect("an open semaphore").forget();
                Ok(Reply::data(envelope.body))
            }
        })
        .closed(move |_, closed: Closed| {
            let _ = tell_end.send(Told::Closed(closed.code.into()));
            async {}
        });
    let hub = Hub::builder(RawKey::from_path()).handler(switch).config(config).build();
    (Server::start(hub).await, allowed, told)
}

fn command(number: u64) -> Vec<u8> {
    masked(TEXT, json!({ "flag": "command", "body": number }).to_string().as_bytes())
}

async fn gone(server: &Server) {
    support::until("the session to leave", async || match server.hub.counts().await.sessions {
        0 => Ok(()),
        sessions => Err(format!("{sessions} sessions")),
    })
    .await;
}

async fn ends_with(raw: &mut Raw, code: u16) {
    assert_eq!(raw.frame().await.expect("a close frame").close_code(), code);
}

/// Each with the code that the client is told.
const ENDS: [(&str, u16); 4] = [
    ("the peer's close frame", 1000),
    ("a violation", 1002),
    ("the application", 4505),
    ("a shutdown", 1001),
];

async fn end(way: &str, server: &Server, raw: &mut Raw) {
    match way {
        "the peer's close frame" => raw.write(&masked(CLOSE, &1000_u16.to_be_bytes())).await,
        "a violation" => raw.write(&support::frame(TEXT, b"{}", None)).await,
        "the application" => _ = server.hub.disconnect("alice").await,
        _ => {
            let hub = server.hub.clone();
            tokio::spawn(async move { hub.shutdown(Duration::from_secs(30)).await });
        }
    }
}

#[tokio::test]
async fn the_call_at_work_is_answered_before_the_close_frame() {
    for (way, code) in ENDS {
        let (server, allowed, mut told) = server(Config::default()).await;
        let mut alice = server.raw_session("alice").await;
        alice.write(&command(1)).await;
        assert_eq!(told.next("the command").await, Told::Begun(1));
        end(way, &server, &mut alice).await;
        gone(&server).await;
        // The session is out of the store: nothing else overtakes the reply.
        assert!(server.hub.send_to("alice", Push::message("late")).await.is_absent(), "{way}");
        allowed.add_permits(1);
        assert_eq!(alice.push().await["data"], 1, "{way}");
        ends_with(&mut alice, code).await;
        assert_eq!(told.next("the end").await, Told::Closed(code), "{way}");
    }
}

#[tokio::test]
async fn but_not_for_long() {
    for (way, code) in ENDS {
        let config = Config { close_timeout: Duration::from_millis(50), ..Config::default() };
        let (server, _allowed, mut told) = server(config).await;
        let mut alice = server.raw_session("alice").await;
        alice.write(&command(1)).await;
        assert_eq!(told.next("the command").await, Told::Begun(1));
        end(way, &server, &mut alice).await;
        ends_with(&mut alice, code).await;
    }
}

#[tokio::test]
async fn messages_in_front_of_a_close_frame_are_answered_too() {
    for way in ["the peer's close frame", "a violation"] {
        let (server, allowed, mut told) = server(Config::default()).await;
        let mut alice = server.raw_session("alice").await;
        for number in 0..3 {
            alice.write(&command(number)).await;
        }
        assert_eq!(told.next("the first command").await, Told::Begun(0));
        end(way, &server, &mut alice).await;
        gone(&server).await;
        allowed.add_permits(3);
        for number in 0..3 {
            assert_eq!(alice.push().await["data"], number, "{way}");
        }
        assert_eq!(alice.frame().await.expect("a close frame").opcode, CLOSE);
        assert_eq!(told.next("the second command").await, Told::Begun(1));
        assert_eq!(told.next("the third command").await, Told::Begun(2));
        assert!(matches!(told.next("the end").await, Told::Closed(_)));
    }
}

/// What the application ends begins nothing further.
#[tokio::test]
async fn messages_that_wait_when_the_application_ends_a_session_are_not_begun() {
    let (server, allowed, mut told) = server(Config::default()).await;
    let mut alice = server.raw_session("alice").await;
    alice.write(&[command(1), command(2)].concat()).await;
    assert_eq!(told.next("the first command").await, Told::Begun(1));
    server.hub.disconnect("alice").await;
    allowed.add_permits(2);
    assert_eq!(alice.push().await["data"], 1);
    ends_with(&mut alice, 4505).await;
    assert_eq!(told.next("the end").await, Told::Closed(4505));
}

/// A handler that ends its own session and then answers.
#[tokio::test]
async fn a_handler_may_answer_after_it_has_closed_its_own_session() {
    let switch = Switch::new().command(async |session: Session, _: Envelope| {
        session.close(CloseCode::FORBIDDEN, "not here");
        tokio::task::yield_now().await;
        Ok(Reply::ok("bye"))
    });
    let server = Server::start(Hub::builder(RawKey::from_path()).handler(switch).build()).await;
    let mut alice = server.raw_session("alice").await;
    alice.write(&command(1)).await;
    assert_eq!(alice.push().await["msg"], "bye");
    ends_with(&mut alice, 4503).await;
}

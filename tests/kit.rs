//! `keywire::testing::Tab` as the tests of an application use it.
#![cfg(feature = "testing")]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use keywire::auth::{Origins, RawKey, Rejection, extract_fn};
use keywire::limits::SessionPolicy;
use keywire::log::MemoryLog;
use keywire::message::{Code, Frame, MessageId};
use keywire::session::{CloseCode, Closed, ClosedBy, SentFrame};
use keywire::testing::Tab;
use keywire::{
    Config, Envelope, HandlerResult, Hub, HubBuilder, Identity, Key, Push, Reply, Session, Switch,
};
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

fn builder() -> HubBuilder {
    Hub::builder(RawKey::from_path())
}

async fn relay(session: Session, envelope: Envelope) -> HandlerResult {
    let to = envelope.reception.ok_or(Reply::error(Code::MALFORMED, "to whom?"))?;
    let push = Push::data(&envelope.body).with_flag("inform").with_sender(&envelope.sender);
    match session.hub().send_to(&to, push).await.delivered {
        0 => Ok(Reply::error(Code::ABSENT, format!("{to} is not connected"))),
        _ => Ok(Reply::none()),
    }
}

/// A stream that takes one slice at a time has to take something of each.
#[tokio::test]
async fn a_reply_of_nothing_at_the_end_keeps_no_close_frame_back() {
    let switch = Switch::new().command(async |session: Session, _: Envelope| {
        session.close(CloseCode::FORBIDDEN, "not here");
        tokio::task::yield_now().await;
        Ok(Reply::from(Frame::join([])))
    });
    let mut alice = Tab::open(&builder().handler(switch).build(), "alice").await;
    alice.send(alice.envelope("command", ()));
    assert_eq!(alice.closed().await.code, CloseCode::FORBIDDEN);
}

#[tokio::test]
async fn an_open_tab_is_reached_and_its_opened_has_begun() {
    let begun = Arc::new(Notify::new());
    let tell = begun.clone();
    let switch = Switch::new().opened(move |_| {
        tell.notify_one();
        std::future::pending::<HandlerResult>()
    });
    let hub = builder().handler(switch).build();
    let mut alice = Tab::open(&hub, "alice").await;
    begun.notified().await;
    assert_eq!(hub.send_to("alice", Push::message("hi")).await.delivered, 1);
    assert_eq!(alice.next().await, Push::message("hi"));
    assert_eq!(hub.sessions("alice").await, [alice.session().clone()]);
}

/// Any key can stand in a path.
#[tokio::test]
async fn a_key_is_any_key() {
    let hub = builder().build();
    for key in ["zoë", "a/b", "a b?c=d#e%41"] {
        assert_eq!(Tab::open(&hub, key).await.key(), key);
    }
}

#[tokio::test]
async fn a_conversation() {
    let hub = builder().handler(Switch::new().inform(relay)).build();
    let (mut alice, mut bob) = (Tab::open(&hub, "alice").await, Tab::open(&hub, "bob").await);
    let mut second = Tab::open(&hub, "bob").await;
    alice.inform("bob", [1]);
    let expected = Push::data([1]).with_flag("inform").with_sender(alice.key());
    assert_eq!(bob.next().await, expected);
    assert_eq!(second.pushes().await, [expected]);
    assert_eq!(alice.try_next().await, None);
    assert_eq!(alice.request("inform", 1).await, Push::new("40", "to whom?"));
    let to_carol = alice.envelope("inform", ()).with_reception(Key::new("carol").expect("a key"));
    assert_eq!(alice.ask(to_carol).await, Push::new("45", "carol is not connected"));
    for tab in [&mut alice, &mut bob, &mut second] {
        tab.assert_silent().await;
    }
}

#[tokio::test]
async fn a_reply_is_told_from_other_pushes_which_stay() {
    let count = async |session: Session, to: u8| {
        (0..to).for_each(|number| _ = session.send(Push::data(number)));
        Ok(Reply::data(to))
    };
    let hub = builder().handler(Switch::new().command(count)).build();
    let mut alice = Tab::open(&hub, "alice").await;
    assert_eq!(alice.command(3).await, Push::data(3));
    assert_eq!(alice.next().await, Push::data(0));
    assert_eq!(alice.try_next().await, Some(Push::data(1)));
    assert_eq!(alice.pushes().await, [Push::data(2)]);
    alice.send(alice.envelope("command", 0).with_id(MessageId::Number(7)));
    assert_eq!(alice.next().await, Push::data(0).with_id(MessageId::Number(7)));
    // Not an envelope, and one that a page writes itself.
    alice.send_text("{}");
    assert_eq!(alice.next().await.code, Code::MALFORMED);
    alice.send_text(&json!({ "flag": "command", "body": 0 }).to_string());
    assert_eq!(alice.next().await, Push::data(0));
}

#[tokio::test]
async fn frames_that_are_not_pushes() {
    let hub = builder().build();
    let mut alice = Tab::open(&hub, "alice").await;
    let large = vec![7; 100_000];
    alice.session().send_frame(&Frame::binary(&large));
    alice.session().send_frame(&Frame::text("raw"));
    assert_eq!(alice.next_frame().await, SentFrame::Binary(large.into()));
    assert_eq!(alice.next_frame().await, SentFrame::Text("raw".into()));
    alice.send_binary(b"\0");
    assert_eq!(alice.next().await, Push::new("40", "binary frames are not supported"));
    alice.send_text(&"x".repeat(64 * 1024 + 1));
    assert_eq!(alice.closed().await.code, CloseCode::TOO_BIG);
}

/// `kw:ping` would be answered while the handler runs.
#[tokio::test(start_paused = true)]
async fn silence_is_what_is_left_when_all_is_handled() {
    let slow = async |session: Session, (): ()| {
        sleep(Duration::from_secs(7)).await;
        session.send(Push::message("late"));
        Ok(Reply::none())
    };
    let hub = builder().handler(Switch::new().command(slow)).build();
    let mut alice = Tab::open(&hub, "alice").await;
    alice.send(alice.envelope("command", ()));
    // The answer to a wait that was given up is not seen later.
    let _ = tokio::time::timeout(Duration::from_secs(1), alice.assert_silent()).await.expect_err("in time");
    assert_eq!(alice.pushes().await, [Push::message("late")]);
}

#[tokio::test]
async fn who_is_refused_sees_what_a_client_sees() {
    let hub =
        Hub::builder(RawKey::from_bearer()).origins(Origins::listed().and("https://app.example")).build();
    let missing = Tab::connect(&hub, Tab::builder().plain()).await.expect_err("refused");
    assert_eq!((missing.status().as_u16(), missing.code(), missing.kind()), (401, 401, "missing"));
    assert_eq!(missing.response().body(), r#"{"error":"missing"}"#);
    assert_eq!(missing.to_string(), "the opening was refused with status 401 (missing)");
    let missing = Tab::connect(&hub, Tab::builder()).await.expect_err("refused");
    assert_eq!((missing.status().as_u16(), missing.code(), missing.kind()), (101, 4501, "missing"));
    assert_eq!(missing.close_code(), Some(CloseCode::UNAUTHENTICATED));
    let opening = Tab::builder().bearer("alice");
    for (origin, expected) in [("https://app.example", None), ("https://evil.example", Some("forbidden"))] {
        let answer = Tab::connect(&hub, opening.clone().origin(origin)).await;
        assert_eq!(answer.as_ref().err().map(|refused| refused.kind()), expected);
    }
    let bare = keywire::adapter::Handshake::new(http::Request::new(()));
    assert_eq!(Tab::connect(&hub, bare).await.expect_err("no opening").close_code(), None);
}

#[tokio::test]
async fn each_place_of_a_credential() {
    for (keys, opening) in [
        (RawKey::from_path(), Tab::builder().path_key("zoë")),
        (RawKey::from_query("key"), Tab::builder().query("a", "b").query("key", "zoë")),
        (RawKey::from_bearer(), Tab::builder().bearer("zoë")),
        (RawKey::from_cookie("key"), Tab::builder().cookie("a", "b").cookie("key", "zoë")),
        (RawKey::from_header("x-user"), Tab::builder().header("x-user", "zoë")),
        (RawKey::from_subprotocol(), Tab::builder().subprotocol_token("zoë")),
    ] {
        let hub = Hub::builder(keys).build();
        assert_eq!(Tab::connect(&hub, opening).await.expect("let in").key(), "zoë");
    }
}

#[tokio::test]
async fn a_full_key_is_refused_and_a_replaced_tab_is_closed() {
    let cap = NonZeroUsize::MIN;
    for (policy, refused) in
        [(SessionPolicy::Many { cap }, true), (SessionPolicy::Reject, true), (SessionPolicy::Replace, false)]
    {
        let hub = builder().config(Config { policy, ..Config::default() }).build();
        let mut first = Tab::open(&hub, "alice").await;
        match Tab::connect(&hub, Tab::builder().path_key("alice")).await {
            Ok(_) if !refused => assert_eq!(first.closed().await.code, CloseCode::REPLACED),
            // Final, since the first tab answers the question whether it is alive.
            Err(error) if refused => assert_eq!((error.code(), error.kind()), (4506, "too_many")),
            other => panic!("{policy:?}: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_tab_answers_pings_until_it_is_mute() {
    let hub = builder().build();
    let mut alice = Tab::open(&hub, "alice").await;
    sleep(Duration::from_secs(3600)).await;
    alice.assert_silent().await;
    let start = Instant::now();
    alice.mute();
    assert_eq!(alice.closed().await.code, CloseCode::NO_PONG);
    // 25 s of silence, 10 s for a pong, 5 s for an answer to the close frame.
    assert_eq!(start.elapsed().as_secs(), 40);
    assert_eq!(hub.counts().await.sessions, 0);
}

/// Nothing else wakes the session.
#[tokio::test(start_paused = true)]
async fn a_token_that_is_good_for_a_month_expires_without_pings_too() {
    const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);
    let end = SystemTime::now() + MONTH;
    let keys = extract_fn(move |_: keywire::adapter::Handshake| async move {
        Ok::<_, Rejection>(Identity::new(Key::new("alice")?).expiring_at(end))
    });
    let hub = Hub::builder(keys).config(Config { ping_interval: None, ..Config::default() }).build();
    let mut alice = Tab::open(&hub, "alice").await;
    sleep(MONTH - Duration::from_secs(10)).await;
    assert_eq!(alice.closed().await.code, CloseCode::EXPIRED);
}

#[tokio::test(start_paused = true)]
async fn a_token_expires() {
    let keys = extract_fn(|_| async {
        let end = SystemTime::now() + Duration::from_secs(3600);
        Ok::<_, Rejection>(Identity::new(Key::new("alice")?).expiring_at(end))
    });
    let hub = Hub::builder(keys).build();
    let mut alice = Tab::connect(&hub, Tab::builder()).await.expect("let in");
    sleep(Duration::from_secs(3590)).await;
    alice.assert_silent().await;
    assert_eq!(alice.closed().await.code, CloseCode::EXPIRED);
}

#[tokio::test]
async fn each_end_is_told_to_both_sides() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let switch = Switch::new().closed(move |_, closed| {
        let _ = tell.send(closed);
        std::future::ready(())
    });
    let hub = builder().handler(switch).build();
    let mut alice = Tab::open(&hub, "alice").await;
    assert_eq!(alice.close().await, Closed::new(CloseCode::NORMAL, "", ClosedBy::Peer));
    assert_eq!(told.try_recv(), Ok(Closed::new(CloseCode::NORMAL, "", ClosedBy::Peer)));

    Tab::open(&hub, "alice").await.break_off().await;
    assert_eq!(told.try_recv(), Ok(Closed::lost()));

    let mut alice = Tab::open(&hub, "alice").await;
    hub.send_to("alice", Push::message("last")).await;
    hub.disconnect("alice").await;
    let closed = Closed::new(CloseCode::DISCONNECTED, "disconnected", ClosedBy::Server);
    assert_eq!(alice.closed().await, closed);
    assert_eq!(told.try_recv(), Ok(closed.clone()));
    // What came before is still there, and asking again changes nothing.
    assert_eq!(alice.pushes().await, [Push::message("last")]);
    assert_eq!((alice.close().await, alice.try_next().await), (closed, None));
    assert_eq!(hub.counts().await.sessions, 0);
}

/// Otherwise the server would wait 5 s for it.
#[tokio::test(start_paused = true)]
async fn a_tab_answers_a_close_frame() {
    let hub = builder().build();
    let mut alice = Tab::open(&hub, "alice").await;
    let start = Instant::now();
    hub.disconnect("alice").await;
    assert_eq!(alice.closed().await.code, CloseCode::DISCONNECTED);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_dropped_tab_leaves_the_store() {
    let hub = builder().build();
    let (alice, mut bob) = (Tab::open(&hub, "alice").await, Tab::open(&hub, "bob").await);
    let session = alice.session().clone();
    drop(alice);
    // Its connection was woken before bob's.
    bob.assert_silent().await;
    assert!(!session.is_open());
    assert_eq!(hub.counts().await.sessions, 1);
    assert!(hub.send_to("alice", Push::message("")).await.is_absent());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_asks_pages_to_come_back_and_tells_others_that_it_goes() {
    let hub = builder().build();
    let mut page = Tab::open(&hub, "alice").await;
    let mut program = Tab::connect(&hub, Tab::builder().path_key("bob").plain()).await.expect("let in");
    assert_eq!(hub.shutdown(Duration::from_secs(10)).await, 0);
    assert_eq!(page.closed().await.code, CloseCode::DRAIN);
    assert_eq!(program.closed().await.code, CloseCode::GOING_AWAY);
    let late = Tab::connect(&hub, Tab::builder().path_key("carol")).await.expect_err("refused");
    assert_eq!(late.close_code(), Some(CloseCode::TRY_AGAIN));
}

#[tokio::test]
async fn kept_pushes_and_their_positions() {
    let hub = builder().log(MemoryLog::new()).build();
    hub.send_to("alice", Push::message("missed").kept()).await;
    let following = |from: &dyn std::fmt::Display| Tab::builder().path_key("alice").following(from);
    let mut alice = Tab::connect(&hub, following(&"unread")).await.expect("let in");
    assert_eq!(alice.next().await.flag.expect("a flag").as_str(), "kw:from");
    assert_eq!(alice.position(), None);
    assert_eq!(alice.next().await, Push::message("missed"));
    let position = alice.position().expect("a position");
    hub.send_to("alice", Push::message("live").kept()).await;
    assert_eq!(alice.next().await, Push::message("live"));
    alice.close().await;
    let mut again = Tab::connect(&hub, following(&position)).await.expect("let in");
    assert_eq!(again.next().await.flag.expect("a flag").as_str(), "kw:from");
    assert_eq!(again.pushes().await, [Push::message("live")]);
}

async fn closed_tab() -> Tab {
    let hub = builder().build();
    let alice = Tab::open(&hub, "alice").await;
    hub.disconnect("alice").await;
    alice
}

#[tokio::test]
#[should_panic(expected = r#"alice was closed with 4505 "disconnected", and did not get a push"#)]
async fn waiting_for_a_push_at_the_end() {
    closed_tab().await.next().await;
}

#[tokio::test]
#[should_panic(expected = r#"alice was closed with 4505 "disconnected", and did not get a reply"#)]
async fn waiting_for_a_reply_at_the_end() {
    closed_tab().await.command(()).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "waited in vain for a push")]
async fn waiting_in_vain() {
    Tab::open(&builder().build(), "alice").await.next().await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "waited in vain for the reply to \"command\"")]
async fn waiting_for_a_reply_that_is_none() {
    let hub = builder().handler(Switch::new().command(async |_: Session, (): ()| Ok(Reply::none()))).build();
    Tab::open(&hub, "alice").await.command(()).await;
}

#[tokio::test]
#[should_panic(expected = "alice should have got nothing, but got [Push")]
async fn not_silent() {
    let hub = builder().build();
    let mut alice = Tab::open(&hub, "alice").await;
    hub.send_to("alice", Push::message("hi")).await;
    alice.assert_silent().await;
}

#[tokio::test]
#[should_panic(expected = "the opening was refused with close code 4501 (missing). For an extractor that")]
async fn not_let_in() {
    Tab::open(&Hub::builder(RawKey::from_bearer()).build(), "alice").await;
}

//! Requests to a page over real sockets: its answers, and why there is none.
#![cfg(feature = "warp")]

mod support;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use keywire::auth::RawKey;
use keywire::limits::SlowPolicy;
use keywire::session::{Answer, CloseCode, RequestError};
use keywire::store::Outcome;
use keywire::{Config, Hub, Identity, Key, Push, Session};
use serde_json::{Value, json};
use support::{Client, Server, within};
use tokio::task::JoinHandle;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);

async fn server() -> Server {
    Server::start(Hub::builder(RawKey::from_path()).build()).await
}

fn question(flag: &'static str) -> Push {
    Push::message("?").with_flag(flag)
}

type Asked = JoinHandle<Result<Answer, RequestError>>;

/// Asks in a task of its own.
fn ask(session: &Session, flag: &'static str) -> Asked {
    let session = session.clone();
    tokio::spawn(async move { session.request(question(flag), LONG).await })
}

async fn result(asked: Asked) -> Result<Answer, RequestError> {
    within("the end of a request", asked).await.expect("no panic")
}

/// The id of the next message, which is a request.
async fn id(client: &mut Client, flag: &str) -> Value {
    let mut request = client.next().await;
    let id = request["id"].take();
    assert_eq!(request, json!({ "code": "00", "msg": "?", "flag": flag, "id": null, "ask": true }));
    id
}

async fn answer(client: &mut Client, id: &Value, body: Value) {
    client.send(json!({ "flag": "kw:answer", "id": id, "body": body })).await;
}

#[tokio::test]
async fn a_page_answers_in_any_order() {
    let server = server().await;
    let (mut alice, session) = server.page("alice").await;
    assert!(session.can_be_asked());
    let visible = ask(&session, "visible");
    let first = id(&mut alice, "visible").await;
    let paid = ask(&session, "pay");
    let second = id(&mut alice, "pay").await;
    assert_ne!(first, second);
    answer(&mut alice, &second, json!({ "paid": 3 })).await;
    assert_eq!(result(paid).await.unwrap().json().as_str(), r#"{"paid":3}"#);
    // Without a body it is null. Unknown fields are ignored, and so is an error that is null.
    alice.send(json!({ "flag": "kw:answer", "id": first, "error": null, "at": 7 })).await;
    assert_eq!(result(visible).await.unwrap().body::<Option<u8>>().unwrap(), None);
    // An answer has no reply.
    alice.ping().await;
}

#[tokio::test]
async fn the_error_of_a_page_is_cut_and_goes_before_a_body() {
    let server = server().await;
    let (mut alice, session) = server.page("alice").await;
    let long = "ë".repeat(20_000);
    for (error, expected) in [
        (json!("no handler"), "no handler".to_owned()),
        (json!(""), String::new()),
        (json!(long), "ë".repeat(128)),
        (json!([1, "two"]), r#"[1,"two"]"#.to_owned()),
    ] {
        let asked = ask(&session, "visible");
        let id = id(&mut alice, "visible").await;
        alice.send(json!({ "flag": "kw:answer", "id": id, "error": error, "body": 1 })).await;
        assert_eq!(result(asked).await, Err(RequestError::Failed(expected.into())));
    }
}

#[tokio::test]
async fn a_client_that_does_not_ask_for_it_is_never_asked() {
    let server = server().await;
    for headers in [&[][..], &[("sec-websocket-protocol", "keywire.v1")]] {
        let mut plain = server.open_with("/websocket/alice", headers).await;
        plain.ping().await;
        let session = server.hub.sessions("alice").await.pop().unwrap();
        assert!(!session.can_be_asked());
        let refused = within("an error", session.request(question("visible"), LONG)).await;
        assert_eq!(refused, Err(RequestError::Unsupported));
        let mut answers = server.hub.request(session.key().clone(), question("visible"), LONG).await.unwrap();
        assert_eq!((answers.asked(), answers.skipped()), (0, 1));
        assert_eq!(answers.next().await, None);
        let reply = plain.ask(json!({ "flag": "kw:answer", "id": 7, "body": 1 })).await;
        assert_eq!(reply, json!({ "code": "44", "msg": "no such flag of keywire's own", "id": 7 }));
        plain.close(1000, "").await;
    }
}

#[tokio::test]
async fn what_is_no_request_is_not_sent() {
    let server = server().await;
    let (mut alice, session) = server.page("alice").await;
    for push in [Push::message("?"), question("kw:ping")] {
        for push in [push.clone(), push] {
            let invalid = session.request(push.clone(), LONG).await;
            assert!(matches!(invalid, Err(RequestError::Invalid(_))), "{invalid:?}");
            let invalid = server.hub.request(session.key().clone(), push, LONG).await;
            assert!(matches!(invalid, Err(RequestError::Invalid(_))), "{invalid:?}");
        }
    }
    alice.ping().await;
}

#[tokio::test]
async fn a_late_answer_and_a_second_one_are_ignored() {
    let server = server().await;
    let (mut alice, session) = server.page("alice").await;
    let late = session.request(question("late"), Duration::ZERO).await;
    assert_eq!(late, Err(RequestError::TimedOut));
    let late = id(&mut alice, "late").await;
    let asked = ask(&session, "visible");
    let first = id(&mut alice, "visible").await;
    answer(&mut alice, &late, json!("late")).await;
    answer(&mut alice, &first, json!("first")).await;
    answer(&mut alice, &first, json!("second")).await;
    assert_eq!(result(asked).await.unwrap().body::<String>().unwrap(), "first");
    alice.ping().await;
}

#[tokio::test]
async fn a_dropped_request_is_forgotten() {
    let server = server().await;
    let (mut alice, session) = server.page("alice").await;
    // More than may wait at a time.
    for _ in 0..200 {
        let mut request = pin!(session.request(question("dropped"), LONG));
        poll_fn(|cx| {
            assert!(request.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    let mut answers = server.hub.request(session.key().clone(), question("dropped"), LONG).await.unwrap();
    assert_eq!(answers.asked(), 1);
    let mut ids = Vec::new();
    for _ in 0..201 {
        ids.push(id(&mut alice, "dropped").await);
    }
    let last = ids.pop().unwrap();
    answer(&mut alice, &last, json!(1)).await;
    assert!(within("an answer", answers.next()).await.unwrap().answer.is_ok());
    drop(answers);
    for id in ids {
        answer(&mut alice, &id, json!(1)).await;
    }
    alice.ping().await;
    let asked = ask(&session, "visible");
    let id = id(&mut alice, "visible").await;
    answer(&mut alice, &id, json!(1)).await;
    assert!(result(asked).await.is_ok());
}

#[tokio::test]
async fn the_requests_in_flight_are_bounded_for_each_session() {
    let server = server().await;
    let (mut alice, session) = server.page("alice").await;
    let (mut bob, of_bob) = server.page("bob").await;
    let mut asked = Vec::new();
    for _ in 0..64 {
        asked.push((ask(&session, "visible"), id(&mut alice, "visible").await));
    }
    let limit = RequestError::TooMany { limit: 64 };
    assert_eq!(session.request(question("visible"), LONG).await, Err(limit.clone()));
    let mut answers = server.hub.request(session.key().clone(), question("visible"), LONG).await.unwrap();
    assert_eq!(answers.asked(), 1);
    assert_eq!(answers.next().await.unwrap().answer, Err(limit));
    assert_eq!(answers.next().await, None);
    alice.ping().await;
    // Others are not affected, and each answer makes room.
    let other = ask(&of_bob, "visible");
    let id_of_bob = id(&mut bob, "visible").await;
    answer(&mut bob, &id_of_bob, json!(1)).await;
    assert!(result(other).await.is_ok());
    for (asked, id) in asked {
        answer(&mut alice, &id, json!(1)).await;
        assert!(result(asked).await.is_ok());
    }
    let next = ask(&session, "visible");
    let id = id(&mut alice, "visible").await;
    answer(&mut alice, &id, json!(1)).await;
    assert!(result(next).await.is_ok());
}

#[tokio::test]
async fn the_end_of_a_session_ends_its_requests() {
    let server = server().await;
    // The page leaves, its line breaks, or the server closes.
    for way in ["leaves", "breaks", "closed"] {
        let (mut alice, session) = server.page("alice").await;
        let mut all = server.hub.request(session.key().clone(), question("visible"), LONG).await.unwrap();
        id(&mut alice, "visible").await;
        let asked = ask(&session, "visible");
        let old = id(&mut alice, "visible").await;
        match way {
            "leaves" => _ = alice.close(1001, "").await,
            "breaks" => alice.reset(),
            _ => _ = session.close(CloseCode::RESTART, ""),
        }
        assert_eq!(result(asked).await, Err(RequestError::Ended), "{way}");
        let ended = within("the end of the request to all", all.next()).await.unwrap();
        assert_eq!((ended.session, ended.answer), (session.id(), Err(RequestError::Ended)), "{way}");
        assert_eq!(all.next().await, None);
        assert_eq!(session.request(question("visible"), LONG).await, Err(RequestError::Ended), "{way}");

        // It comes back. What it still answers belongs to no request of the new session.
        let (mut alice, session) = server.page("alice").await;
        let asked = ask(&session, "visible");
        let new = id(&mut alice, "visible").await;
        answer(&mut alice, &old, json!("old")).await;
        answer(&mut alice, &new, json!("new")).await;
        assert_eq!(result(asked).await.unwrap().body::<String>().unwrap(), "new", "{way}");
        alice.close(1000, "").await;
    }
}

#[tokio::test]
async fn a_hostile_page_gets_nothing_for_wrong_answers() {
    let config = Config { message_rate: None, ..Config::default() };
    let server = Server::start(Hub::builder(RawKey::from_path()).config(config).build()).await;
    let (mut alice, session) = server.page("alice").await;
    let (mut eve, of_eve) = server.page("eve").await;
    let of_alice = ask(&session, "visible");
    let id_of_alice = id(&mut alice, "visible").await;
    let asked = ask(&of_eve, "visible");
    let right = id(&mut eve, "visible").await;
    // The answer to another session's request, and what is none at all.
    for wrong in
        [&id_of_alice, &json!(7), &json!(""), &json!("kw:"), &json!("kw:+000000000000001"), &json!(null)]
    {
        eve.send(json!({ "flag": "kw:answer", "id": wrong, "body": "wrong" })).await;
    }
    eve.send(json!({ "flag": "kw:answer", "body": "wrong" })).await;
    for n in 0..10_000 {
        let error = if n % 100 == 0 { "e".repeat(10_000) } else { String::new() };
        eve.send(json!({ "flag": "kw:answer", "id": format!("kw:{n:016x}"), "error": error })).await;
    }
    answer(&mut eve, &right, json!("right")).await;
    assert_eq!(result(asked).await.unwrap().body::<String>().unwrap(), "right");
    eve.ping().await;
    answer(&mut alice, &id_of_alice, json!("alice")).await;
    assert_eq!(result(of_alice).await.unwrap().body::<String>().unwrap(), "alice");
    // A malformed message is one of any flag.
    let reply = eve.ask(json!({ "flag": "kw:answer", "id": [right] })).await;
    assert_eq!(reply["code"], "40");
}

#[tokio::test]
async fn a_request_to_a_slow_client_is_not_delivered() {
    for (slow_readers, expected) in
        [(SlowPolicy::Close, Outcome::Slow), (SlowPolicy::DropNewest, Outcome::Dropped(1))]
    {
        let config = Config { queue_messages: 2, slow_readers, ..Config::default() };
        let hub = Hub::builder(RawKey::from_path()).config(config).build();
        let (session, _sent) = Session::detached_on(&hub, Identity::new(Key::new("alice").unwrap()));
        session.send(Push::message("1"));
        session.send(Push::message("2"));
        let undelivered = session.request(question("visible"), LONG).await;
        assert_eq!(undelivered, Err(RequestError::Undelivered(expected)));
    }
}

#[tokio::test]
async fn a_detached_session_is_answered_by_the_test() {
    let (session, mut sent) = Session::detached(Identity::new(Key::new("alice").unwrap()));
    let asked = ask(&session, "visible");
    let request = sent.next().await.unwrap();
    assert_eq!(request.flag, question("visible").flag);
    assert!(sent.answer(&request, 7));
    assert!(!sent.answer(&request, 8), "it is answered already");
    assert_eq!(result(asked).await.unwrap().body::<u8>().unwrap(), 7);

    let asked = ask(&session, "visible");
    let request = sent.next().await.unwrap();
    assert!(sent.fail(&request, &"x".repeat(300)));
    assert_eq!(result(asked).await, Err(RequestError::Failed("x".repeat(256).into())));
    assert!(!sent.fail(&Push::message("no request"), ""));

    let asked = ask(&session, "visible");
    sent.next().await.unwrap();
    drop(sent);
    assert_eq!(result(asked).await, Err(RequestError::Ended));
}

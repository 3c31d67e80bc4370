//! Requests of a handler to its own page, whose answers stand behind messages that wait for the handler.
#![cfg(feature = "warp")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keywire::auth::RawKey;
use keywire::limits::Rate;
use keywire::session::RequestError;
use keywire::{Config, Hub, Push, Reply, Session, Switch};
use serde_json::{Value, json};
use support::{Client, Server, events, until, within};
use tokio::sync::Notify;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);

fn question() -> Push {
    Push::message("?").with_flag("confirm")
}

async fn server(switch: Switch) -> Server {
    // A ping would wake the connection.
    let ping_interval = None;
    let config = Config { handler_timeout: LONG, message_rate: None, ping_interval, ..Config::default() };
    Server::start(Hub::builder(RawKey::from_path()).handler(switch).config(config).build()).await
}

async fn confirm(client: &mut Client, request: &Value) {
    assert_eq!((&request["flag"], &request["ask"]), (&json!("confirm"), &json!(true)));
    client.send(json!({ "flag": "kw:answer", "id": request["id"], "body": true })).await;
}

/// Each message asks the page, and is answered with what came of it.
fn asking() -> Switch {
    Switch::new().on("pay", |session: Session, amount: Value| async move {
        let timeout = amount["ms"].as_u64().map_or(LONG, Duration::from_millis);
        let answer = session.request(question(), timeout).await;
        let paid = answer.as_ref().is_ok_and(|answer| answer.body().unwrap_or(false));
        let is_late = answer == Err(RequestError::TimedOut);
        Ok(Reply::data(json!({ "amount": amount["amount"], "paid": paid, "late": is_late })))
    })
}

#[tokio::test]
async fn a_handler_asks_its_own_page_that_has_sent_a_hundred_messages() {
    let server = server(asking()).await;
    // 12 KB, and 120 KB, which is more than is read ahead at other times.
    for filling in ["", &"x".repeat(1000)] {
        let (mut alice, _) = server.page("alice").await;
        for amount in 0..100 {
            let body = json!({ "amount": amount, "filling": filling });
            alice.send(json!({ "flag": "pay", "body": body, "id": amount })).await;
        }
        for amount in 0..100 {
            let request = alice.next().await;
            confirm(&mut alice, &request).await;
            let data = json!({ "amount": amount, "paid": true, "late": false });
            assert_eq!(alice.next().await, json!({ "code": "01", "msg": "", "data": data, "id": amount }));
        }
    }
}

#[tokio::test]
async fn an_answer_behind_too_many_messages_is_late_and_nothing_else_is_lost() {
    // The answer stands behind 400 KB.
    let server = server(asking()).await;
    let (mut alice, _) = server.page("alice").await;
    let filling = "x".repeat(10_000);
    alice.send(json!({ "flag": "pay", "body": { "amount": 0, "ms": 200 }, "id": 0 })).await;
    let request = alice.next().await;
    for n in 0..40 {
        alice.send(json!({ "flag": "other", "body": filling, "id": n })).await;
    }
    confirm(&mut alice, &request).await;
    let data = json!({ "amount": 0, "paid": false, "late": true });
    assert_eq!(alice.next().await["data"], data);
    for n in 0..40 {
        let reply = alice.next().await;
        assert_eq!((&reply["code"], &reply["id"]), (&json!("44"), &json!(n)));
    }
    alice.send(json!({ "flag": "pay", "body": { "amount": 1 }, "id": 1 })).await;
    let request = alice.next().await;
    confirm(&mut alice, &request).await;
    assert_eq!(alice.next().await["data"], json!({ "amount": 1, "paid": true, "late": false }));
}

#[tokio::test]
async fn another_task_asks_while_the_handler_is_busy_and_the_server_has_stopped_reading() {
    let (free, begun) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handled = Arc::new(AtomicUsize::new(0));
    let switch = Switch::new().on("busy", {
        let (free, begun, handled) = (free.clone(), begun.clone(), handled.clone());
        move |_: Session, _: Value| {
            let (free, begun, handled) = (free.clone(), begun.clone(), handled.clone());
            async move {
                begun.notify_one();
                free.notified().await;
                free.notify_one();
                handled.fetch_add(1, Ordering::Relaxed);
                Ok(Reply::none())
            }
        }
    });
    let server = server(switch).await;
    let (mut alice, session) = server.page("alice").await;
    let filling = "x".repeat(1000);
    for _ in 0..100 {
        alice.send(json!({ "flag": "busy", "body": filling })).await;
    }
    within("the first message", begun.notified()).await;
    let asked = tokio::spawn({
        let session = session.clone();
        async move { session.request(question(), LONG).await }
    });
    let request = alice.next().await;
    confirm(&mut alice, &request).await;
    assert!(within("the answer", asked).await.unwrap().is_ok());
    assert_eq!(handled.load(Ordering::Relaxed), 0);
    free.notify_one();
    until("all messages", async || match handled.load(Ordering::Relaxed) {
        100 => Ok(()),
        count => Err(format!("{count} messages")),
    })
    .await;
}

#[tokio::test]
async fn a_session_that_ends_while_its_handler_asks_is_not_waited_for() {
    let (tell, mut told) = events();
    let switch = Switch::new().on("pay", move |session: Session, _: ()| {
        let tell = tell.clone();
        async move {
            let _ = tell.send(session.request(question(), LONG).await);
            Ok(Reply::ok("told"))
        }
    });
    let server = server(switch).await;
    let (mut alice, _) = server.page("alice").await;
    alice.send(json!({ "flag": "pay" })).await;
    assert_eq!(alice.next().await["ask"], true);
    // The close frame is answered after the reply.
    assert_eq!(alice.close(1001, "").await.code, 1001);
    assert_eq!(told.next("the end of the request").await, Err(RequestError::Ended));
}

#[tokio::test]
async fn the_first_call_may_ask_too() {
    let switch = Switch::new().opened(|session: Session| async move {
        let answer = session.request(question(), LONG).await?;
        Ok(Reply::data(answer.json()))
    });
    let server = server(switch).await;
    let offer = [("sec-websocket-protocol", "keywire.v1, answers.keywire")];
    let mut alice = server.open_with("/websocket/alice", &offer).await;
    let request = alice.next().await;
    confirm(&mut alice, &request).await;
    assert_eq!(alice.next().await, json!({ "code": "01", "msg": "", "data": true }));
}

#[tokio::test]
async fn an_answer_beyond_the_message_rate_is_taken() {
    let message_rate = Some(Rate::new(10, Duration::from_secs(1_800)));
    let config = Config { message_rate, ..Config::default() };
    let server = Server::start(Hub::builder(RawKey::from_path()).config(config).build()).await;
    let (mut alice, session) = server.page("alice").await;
    let asked = tokio::spawn(async move { session.request(question(), LONG).await });
    let request = alice.next().await;
    for _ in 1..10 {
        alice.ping().await;
    }
    assert_eq!(alice.ask(json!({ "flag": "kw:ping", "id": 1 })).await["code"], "29");
    confirm(&mut alice, &request).await;
    assert!(within("the answer", asked).await.unwrap().is_ok());
    // It counts nevertheless.
    assert_eq!(alice.ask(json!({ "flag": "kw:ping", "id": 1 })).await["code"], "29");
}

//! Handlers at work: one message after the other, and nobody else waits for them or falls with them.
#![cfg(feature = "warp")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use keywire::auth::RawKey;
use keywire::handler::HandlerError;
use keywire::session::{CloseCode, Closed};
use keywire::{Envelope, HandlerResult, Hub, Push, Reply, Session, Switch};
use serde_json::json;
use support::{Server, TEXT, events, masked};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

async fn server(switch: Switch) -> Server {
    Server::start(Hub::builder(RawKey::from_path()).handler(switch).build()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_one_session_are_handled_one_after_the_other() {
    let at_work = Arc::new(AtomicBool::new(false));
    let (tell, mut order) = events();
    let server = server(Switch::new().command(move |_: Session, number: usize| {
        let (at_work, tell) = (at_work.clone(), tell.clone());
        async move {
            assert!(!at_work.swap(true, Ordering::SeqCst), "two at once");
            // The earlier takes longer.
            for _ in 0..(20 - number % 20) {
                tokio::task::yield_now().await;
            }
            let _ = tell.send(number);
            at_work.store(false, Ordering::SeqCst);
            Ok(Reply::data(number))
        }
    }))
    .await;
    let mut alice = server.client("alice").await;
    for number in 0..100 {
        alice.send(json!({ "flag": "command", "body": number, "id": number })).await;
    }
    for number in 0..100 {
        assert_eq!(alice.next().await, json!({ "code": "01", "msg": "", "data": number, "id": number }));
    }
    assert_eq!(order.rest(), (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_slow_handler_holds_up_neither_pushes_nor_other_sessions() {
    let release = Arc::new(Notify::new());
    let (tell, mut begun) = events();
    let wait = release.clone();
    let server = server(Switch::new().command(move |session: Session, _: Envelope| {
        let (wait, tell) = (wait.clone(), tell.clone());
        async move {
            let _ = tell.send(());
            if session.key().as_str() == "alice" {
                wait.notified().await;
            }
            Ok(Reply::ok("done"))
        }
    }))
    .await;
    let mut alice = server.client("alice").await;
    let mut bob = server.client("bob").await;
    alice.send(json!({ "flag": "command" })).await;
    begun.next("the slow handler").await;
    // Her next messages wait, even if many do.
    for _ in 0..50 {
        alice.send(json!({ "flag": "other" })).await;
    }

    for number in 0..100 {
        assert_eq!(server.hub.broadcast(Push::data(number)).await.delivered, 2);
        assert_eq!(alice.next().await["data"], number);
        assert_eq!(bob.next().await["data"], number);
    }
    assert_eq!(bob.ask(json!({ "flag": "command" })).await["msg"], "done");

    release.notify_one();
    assert_eq!(alice.next().await["msg"], "done");
    for _ in 0..50 {
        assert_eq!(alice.next().await["code"], "44");
    }
}

/// The queue holds 256, so they would be too many if they were not written in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_commands_in_one_write_all_get_their_replies() {
    let switch = || {
        Switch::new().command(|_: Session, number: usize| async move { Ok(Reply::data(number)) }).inform(
            |_: Session, number: usize| async move {
                tokio::task::yield_now().await;
                Ok(Reply::data(number))
            },
        )
    };
    for flag in ["command", "inform"] {
        let server = server(switch()).await;
        let mut alice = server.raw_session("alice").await;
        let message = |number| masked(1, json!({ "flag": flag, "body": number }).to_string().as_bytes());
        let all: Vec<u8> = (0..1_000).flat_map(message).collect();
        alice.write(&all).await;
        for number in 0..1_000 {
            assert_eq!(alice.push().await["data"], number, "{flag}");
        }
    }
}

/// Each reply takes more than half of the queue's bytes.
#[tokio::test]
async fn large_replies_in_a_row_are_not_too_much_for_who_reads_them() {
    let text = "x".repeat(600 * 1024);
    let release = Arc::new(Notify::new());
    let wait = release.clone();
    let server = server(Switch::new().command(move |_: Session, waits: bool| {
        let (text, wait) = (text.clone(), wait.clone());
        async move {
            if waits {
                wait.notified().await;
            }
            Ok(Reply::ok(text))
        }
    }))
    .await;
    let mut alice = server.raw_session("alice").await;
    let message = |waits| masked(1, json!({ "flag": "command", "body": waits }).to_string().as_bytes());
    alice.write(&[true, false, false, false].map(message).concat()).await;
    // All are read by the server, or wait to be, when the first one is done.
    server.client("bob").await;
    release.notify_one();
    for _ in 0..4 {
        assert_eq!(alice.push().await["msg"].as_str().map(str::len), Some(600 * 1024));
    }
}

#[tokio::test]
async fn an_error_shows_nothing_of_the_inside_and_the_connection_stays() {
    let (tell, mut failed) = events();
    let switch = Switch::new()
        .command(|_: Session, _: Envelope| async {
            Err::<(), _>(HandlerError::msg("password hunter2 of db.internal"))
        })
        .inform(|_: Session, envelope: Envelope| async move {
            Ok(Reply::data(envelope.parse::<String>()?.parse::<u16>()?))
        })
        .failed(move |session: Session, failure: String| {
            let _ = tell.send((session.key().to_string(), failure));
            async {}
        });
    let server = server(switch).await;
    let mut alice = server.client("alice").await;
    for id in [json!(1), json!("one")] {
        let answer = alice.ask(json!({ "flag": "command", "id": id })).await;
        assert_eq!(answer, json!({ "code": "50", "msg": "internal error", "id": id }));
        let told = failed.next("the failure").await;
        assert_eq!(told, ("alice".to_owned(), "error: password hunter2 of db.internal".to_owned()));
    }
    // An error that `?` found is no other.
    let answer = alice.ask(json!({ "flag": "inform", "body": "hunter2" })).await;
    assert_eq!(answer, json!({ "code": "50", "msg": "internal error" }));
    assert_eq!(alice.ask(json!({ "flag": "inform", "body": "80" })).await["data"], 80);
}

#[tokio::test]
async fn a_panic_ends_that_one_session() {
    let (tell, mut failed) = events();
    let switch = Switch::new()
        .command(|_: Session, text: String| async move {
            tokio::task::yield_now().await;
            if text == "static" {
                panic!("a static text");
            }
            panic!("hunter2 {text}") as Result<(), HandlerError>
        })
        .inform(|_: Session, _: Envelope| -> std::future::Ready<Result<(), HandlerError>> {
            panic!("before the future")
        })
        .failed(move |session: Session, failure: String| {
            let _ = tell.send((session.key().to_string(), failure));
            async {}
        });
    let server = server(switch).await;
    let mut same_key = server.client("alice").await;
    let mut bob = server.client("bob").await;
    for (flag, body, text) in [
        ("command", "one", "panic: hunter2 one"),
        ("command", "static", "panic: a static text"),
        ("inform", "", "panic: before the future"),
    ] {
        let mut alice = server.client("alice").await;
        alice.send(json!({ "flag": flag, "body": body, "id": 1 })).await;
        let end = alice.end().await;
        assert_eq!((end.code, &*end.reason), (1011, "internal error"));
        assert_eq!(failed.next("the failure").await, ("alice".to_owned(), text.to_owned()));
        same_key.ping().await;
        bob.ping().await;
    }
    assert_eq!(server.hub.counts().await.sessions, 2);
}

#[tokio::test]
async fn opened_comes_first_and_its_answer_too() {
    let (tell, mut calls) = events();
    let (on_open, on_message, on_close) = (tell.clone(), tell.clone(), tell);
    let switch = Switch::new()
        .opened(move |session: Session| {
            let tell = on_open.clone();
            async move {
                tokio::task::yield_now().await;
                let here = session.hub().sessions(session.key()).await == [session];
                let _ = tell.send(format!("opened {here}"));
                Ok(Reply::ok("welcome"))
            }
        })
        .command(move |_: Session, number: usize| {
            let _ = on_message.send(format!("message {number}"));
            async { Ok(Reply::ok("")) }
        })
        .closed(move |_, closed: Closed| {
            let _ = on_close.send(format!("closed {}", closed.code));
            async {}
        });
    let server = server(switch).await;
    let mut alice = server.open("/websocket/alice").await;
    alice.send(json!({ "flag": "command", "body": 1 })).await;
    alice.send(json!({ "flag": "command", "body": 2 })).await;
    assert_eq!(alice.next().await["msg"], "welcome");
    alice.next().await;
    alice.next().await;
    alice.close(1000, "").await;
    for call in ["opened true", "message 1", "message 2", "closed 1000"] {
        assert_eq!(calls.next("a call").await, call);
    }
}

/// What is being handled is handled to its end, what was not begun is not begun, and `closed` is last.
#[tokio::test]
async fn the_end_of_a_session_lets_its_handler_finish() {
    let release = Arc::new(Notify::new());
    let (tell, mut calls) = events();
    let (wait, on_close) = (release.clone(), tell.clone());
    let switch = Switch::new()
        .command(move |_: Session, number: usize| {
            let (wait, tell) = (wait.clone(), tell.clone());
            async move {
                let _ = tell.send(format!("begun {number}"));
                wait.notified().await;
                let _ = tell.send(format!("done {number}"));
                Ok(())
            }
        })
        .closed(move |_, closed: Closed| {
            let _ = on_close.send(format!("closed {}", closed.code));
            async {}
        });
    let server = server(switch).await;
    let mut alice = server.client("alice").await;
    alice.send(json!({ "flag": "command", "body": 1 })).await;
    assert_eq!(calls.next("the first call").await, "begun 1");
    alice.send(json!({ "flag": "command", "body": 2 })).await;
    server.hub.disconnect("alice").await;
    assert_eq!(alice.end().await.code, 4505);
    assert_eq!(server.hub.counts().await.sessions, 0);
    assert!(calls.rest().is_empty());
    release.notify_one();
    assert_eq!(calls.next("the end of the first call").await, "done 1");
    assert_eq!(calls.next("the session's end").await, "closed 4505");
    assert!(calls.rest().is_empty());
}

#[tokio::test]
async fn what_comes_behind_a_message_that_closed_the_session_is_not_handled() {
    let (tell, mut told) = events();
    let switch = Switch::new().on("last", move |session: Session, _: Envelope| {
        let _ = tell.send(());
        session.close(CloseCode::POLICY, "enough");
        async { Ok(()) }
    });
    let server = Server::start(Hub::builder(RawKey::from_path()).handler(switch).build()).await;
    let mut raw = server.raw_session("alice").await;
    // In one packet.
    raw.write(&[masked(TEXT, br#"{"flag":"last"}"#), masked(TEXT, br#"{"flag":"last"}"#)].concat()).await;
    assert_eq!(raw.frame().await.expect("a close frame").close_code(), 1008);
    told.next("the message").await;
    assert_eq!(told.rest(), []);
}

/// What the functions of a switch share.
struct Shop {
    orders: AtomicUsize,
    tell: UnboundedSender<String>,
}

impl Shop {
    async fn order(self: Arc<Self>, _: Session, article: String) -> HandlerResult {
        let number = self.orders.fetch_add(1, Ordering::SeqCst);
        Ok(Reply::ok(format!("{article} {number}")))
    }

    async fn opened(self: Arc<Self>, session: Session) -> HandlerResult {
        Ok(Reply::ok(format!("{} orders before {}", self.orders.load(Ordering::SeqCst), session.key())))
    }

    async fn closed(self: Arc<Self>, session: Session, closed: Closed) {
        let _ = self.tell.send(format!("{} left with {}", session.key(), closed.code));
    }

    async fn failed(self: Arc<Self>, _: Session, failure: String) {
        let _ = self.tell.send(failure);
    }
}

async fn stateless(_: Session, text: String) -> Result<Push, HandlerError> {
    Ok(Push::message(text))
}

#[tokio::test]
async fn the_functions_of_a_switch_share_its_state() {
    let (tell, mut told) = events();
    let switch = Switch::with(Shop { orders: AtomicUsize::new(7), tell })
        .command(Shop::order)
        .inform(stateless)
        .on("closure", |shop: Arc<Shop>, _: Session, (): ()| async move {
            Ok(Reply::data(shop.orders.load(Ordering::SeqCst)))
        })
        .unknown(|_: Arc<Shop>, _: Session, envelope: Envelope| async move {
            Err::<(), _>(HandlerError::msg(format!("no {}", envelope.flag)))
        })
        .opened(Shop::opened)
        .closed(Shop::closed)
        .failed(Shop::failed);
    let server = Server::start(Hub::builder(RawKey::from_path()).handler(switch).build()).await;
    let mut alice = server.open("/websocket/alice").await;
    assert_eq!(alice.next().await["msg"], "7 orders before alice");
    assert_eq!(alice.ask(json!({ "flag": "command", "body": "tea" })).await["msg"], "tea 7");
    let mut bob = server.open("/websocket/bob").await;
    assert_eq!(bob.next().await["msg"], "8 orders before bob");
    assert_eq!(bob.ask(json!({ "flag": "closure" })).await["data"], 8);
    assert_eq!(bob.ask(json!({ "flag": "inform", "body": "hi" })).await["msg"], "hi");
    assert_eq!(bob.ask(json!({ "flag": "command", "body": 1 })).await["code"], "40");
    assert_eq!(bob.ask(json!({ "flag": "other" })).await["code"], "50");
    assert_eq!(told.next("the failure").await, "error: no other");
    server.hub.disconnect("bob").await;
    assert_eq!(told.next("the end").await, "bob left with 4505");
}

//! Requests to several sessions.
#![cfg(feature = "warp")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream as _, StreamExt as _};
use keywire::auth::RawKey;
use keywire::limits::SessionPolicy;
use keywire::session::{Answers, RequestError};
use keywire::store::{MemoryStore, Recipients};
use keywire::{Hub, Identity, Key, Push, Session, SessionStore as _};
use serde_json::{Value, json};
use support::{Client, Server, within};
use tokio::time::Instant;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);

fn question() -> Push {
    Push::message("?").with_flag("visible")
}

async fn server() -> Server {
    Server::start(Hub::builder(RawKey::from_path()).build()).await
}

fn key(key: &str) -> Key {
    Key::new(key).expect("a key")
}

async fn answer(client: &mut Client, body: Value) -> Value {
    let request = client.next().await;
    assert_eq!(request["ask"], true);
    client.send(json!({ "flag": "kw:answer", "id": request["id"], "body": body })).await;
    request
}

/// The results that come within the patience of a test, by their key.
async fn all(answers: Answers) -> BTreeMap<String, String> {
    let answers = within("the end of the answers", answers.collect::<Vec<_>>()).await;
    let named = answers.into_iter().map(|answered| {
        let result = match answered.answer {
            Ok(answer) => answer.json().as_str().to_owned(),
            Err(error) => format!("{error:?}"),
        };
        (answered.key.as_str().to_owned(), result)
    });
    named.collect()
}

fn results(expected: &[(&str, &str)]) -> BTreeMap<String, String> {
    expected.iter().map(|&(key, result)| (key.to_owned(), result.to_owned())).collect()
}

#[tokio::test]
async fn every_session_that_can_be_asked_has_one_item() {
    let server = server().await;
    let (mut alice, first) = server.page("alice").await;
    let (mut tab, second) = server.page("alice").await;
    let (mut bob, _) = server.page("bob").await;
    let mut plain = server.client("alice").await;

    let mut answers = server.hub.request(key("alice"), question(), LONG).await.unwrap();
    assert_eq!((answers.asked(), answers.skipped(), answers.size_hint()), (2, 1, (2, Some(2))));
    // As they come.
    answer(&mut tab, json!(2)).await;
    let answered = within("an answer", answers.next()).await.unwrap();
    assert_eq!((answered.session, answered.key.as_str()), (second.id(), "alice"));
    assert_eq!(answered.answer.unwrap().body::<u8>().unwrap(), 2);
    answer(&mut alice, json!(1)).await;
    let answered = within("an answer", answers.next()).await.unwrap();
    assert_eq!((answered.session, answered.answer.unwrap().body::<u8>().unwrap()), (first.id(), 1));
    assert_eq!(answers.next().await, None);
    assert_eq!(answers.next().await, None);
    for client in [&mut bob, &mut plain] {
        client.ping().await;
    }

    let others = Recipients::everyone().except(&second);
    let answers = server.hub.request(&others, question(), LONG).await.unwrap();
    assert_eq!(answers.asked(), 2);
    answer(&mut alice, json!(1)).await;
    let request = bob.next().await;
    bob.send(json!({ "flag": "kw:answer", "id": request["id"], "error": "no" })).await;
    assert_eq!(all(answers).await, results(&[("alice", "1"), ("bob", "Failed(\"no\")")]));
    tab.ping().await;

    let nobody = server.hub.request(key("nobody"), question(), LONG).await.unwrap();
    assert_eq!(nobody.asked(), 0);
    assert!(all(nobody).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn at_the_timeout_the_others_are_late() {
    let store = Arc::new(MemoryStore::new());
    let hub = Hub::builder(RawKey::from_path()).store(store.clone()).build();
    let mut pages = Vec::new();
    for name in ["alice", "bob", "carol", "dave"] {
        let (session, sent) = Session::detached_on(&hub, Identity::new(key(name)));
        store.insert(session, SessionPolicy::default()).await.unwrap();
        pages.push(sent);
    }
    let timeout = Duration::from_secs(2);
    let mut answers = hub.request(Recipients::everyone(), question(), timeout).await.unwrap();
    let request = pages[0].next().await.unwrap();
    assert!(pages[0].answer(&request, 1));
    // It leaves.
    drop(pages.pop());
    let start = Instant::now();
    let mut first = BTreeMap::new();
    for _ in 0..2 {
        let answered = answers.next().await.unwrap();
        first.insert(answered.key, answered.answer.map(|answer| answer.body::<u8>().unwrap()));
    }
    let expected = [(key("alice"), Ok(1)), (key("dave"), Err(RequestError::Ended))];
    assert_eq!((first, start.elapsed()), (expected.into(), Duration::ZERO));
    assert_eq!(all(answers).await, results(&[("bob", "TimedOut"), ("carol", "TimedOut")]));
    assert_eq!(start.elapsed().as_secs(), 2);
    assert!(!pages[1].answer(&request, 1), "it is late");
}

#[tokio::test]
async fn a_request_to_a_group_names_it() {
    let server = server().await;
    let (mut alice, session) = server.page("alice").await;
    session.join("room-7").await.unwrap();
    let group = || Recipients::group("room-7".parse().unwrap());
    let answers = server.hub.request(group(), question(), LONG).await.unwrap();
    let request = answer(&mut alice, json!(1)).await;
    assert_eq!(request["group"], "room-7");
    assert_eq!(all(answers).await.len(), 1);
}

#[tokio::test]
async fn dropping_the_stream_forgets_the_request() {
    let server = server().await;
    let (mut alice, _) = server.page("alice").await;
    // More than may wait at a time.
    for _ in 0..100 {
        let answers = server.hub.request(key("alice"), question(), LONG).await.unwrap();
        assert_eq!((answers.asked(), answers.size_hint().0), (1, 1));
        drop(answers);
    }
    for _ in 0..100 {
        answer(&mut alice, json!("late")).await;
    }
    let answers = server.hub.request(key("alice"), question(), LONG).await.unwrap();
    answer(&mut alice, json!("in time")).await;
    assert_eq!(all(answers).await, results(&[("alice", "\"in time\"")]));
}

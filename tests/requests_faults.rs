//! Requests to sessions of other nodes that are silent, say things twice, are old or have too many.
#![cfg(feature = "warp")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream as _;
use keywire::cluster::{Backplane, BackplaneError, Cluster, Event, MemoryBackplane, Topic};
use keywire::session::{CloseCode, RequestError};
use keywire::store::{Recipients, Remote};
use keywire::{Config, Push, async_trait};
use serde_json::json;
use support::asking::{LONG, all, answer, asked, key, nodes, question, received, start, start_patient};
use support::old_node::OldNode;
use support::{until, within};
use tokio::sync::Semaphore;

/// The way of a node to the others. What it publishes waits for permission, or comes twice.
struct Way {
    inner: MemoryBackplane,
    may_publish: Semaphore,
    published: AtomicUsize,
    twice: bool,
}

impl Way {
    fn new(inner: MemoryBackplane, permits: usize, twice: bool) -> Self {
        Self { inner, may_publish: Semaphore::new(permits), published: AtomicUsize::new(0), twice }
    }
}

#[async_trait]
impl Backplane for Way {
    async fn publish(&self, topic: &Topic, message: Bytes) -> Result<(), BackplaneError> {
        self.may_publish.acquire().await.expect("a permit").forget();
        self.published.fetch_add(1, Ordering::SeqCst);
        if self.twice {
            self.inner.publish(topic, message.clone()).await?;
        }
        self.inner.publish(topic, message).await
    }

    async fn subscribe(&self, topic: &Topic) -> Result<(), BackplaneError> {
        self.inner.subscribe(topic).await
    }

    async fn unsubscribe(&self, topic: &Topic) {
        self.inner.unsubscribe(topic).await;
    }

    async fn next(&self) -> Event {
        self.inner.next().await
    }
}

#[tokio::test]
async fn what_a_node_says_twice_counts_once() {
    let backplane = MemoryBackplane::new();
    let one = start(backplane.join().into(), Config::default()).await;
    let twice = Arc::new(Way::new(backplane.join(), 1000, true));
    let other = start(Cluster::new(twice), Config::default()).await;
    let (mut alice, _) = other.page("alice").await;
    let mut plain = other.client("alice").await;
    let mut answers = one.hub.request(key("alice"), question(), LONG).await.expect("a stream");
    answer(&mut alice, json!(1)).await;
    assert_eq!(all(&mut answers).await, ["alice: 1"]);
    assert_eq!(answers.asked(), 1);
    plain.ping().await;
}

#[tokio::test]
async fn a_node_that_says_nothing_holds_up_nobody() {
    let backplane = MemoryBackplane::new();
    let one = start(backplane.join().into(), Config::default()).await;
    let silent = Arc::new(Way::new(backplane.join(), 0, false));
    let other = start(Cluster::new(silent.clone()), Config::default()).await;
    let third = start(backplane.join().into(), Config::default()).await;
    let (mut alice, _) = other.page("alice").await;
    let (mut tab, _) = third.page("alice").await;
    let mut answers = one.hub.request(key("alice"), question(), LONG).await.expect("a stream");
    asked(&mut alice).await;
    answer(&mut tab, json!(1)).await;
    assert_eq!(all(&mut answers).await, ["alice: 1"], "at the end of the time in which nodes report");
    assert_eq!(silent.published.load(Ordering::SeqCst), 0);

    // An engine that takes the request only later: sessions of this node answer meanwhile.
    let (mut here, _) = other.page("bob").await;
    let mut answers = other.hub.request(key("bob"), question(), LONG).await.expect("a stream");
    answer(&mut here, json!(2)).await;
    let first = within("an answer", answers.next()).await.expect("an answer");
    assert_eq!((first.answer.is_ok(), answers.remote()), (true, None));
    silent.may_publish.add_permits(1000);
    assert_eq!(all(&mut answers).await, Vec::<String>::new());
    assert_eq!(answers.remote(), Some(Remote::Published));
}

/// The stream ends neither before other nodes had their time, nor before the last session of theirs.
#[tokio::test]
async fn a_node_may_take_its_time() {
    let backplane = MemoryBackplane::new();
    let patient = Cluster::from(backplane.join()).answer_timeout(LONG);
    let one = start_patient(patient, Config::default()).await;
    let slow = Arc::new(Way::new(backplane.join(), 0, false));
    let other = start(Cluster::new(slow.clone()), Config::default()).await;
    let (mut alice, _) = other.page("alice").await;
    let mut answers = one.hub.request(key("alice"), question(), LONG).await.expect("a stream");
    asked(&mut alice).await;
    while answers.remote().is_none() {
        let next = tokio::time::timeout(Duration::from_millis(1), answers.next()).await;
        assert!(next.is_err(), "{next:?}");
    }
    let next = tokio::time::timeout(Duration::from_millis(1), answers.next()).await;
    assert!(next.is_err(), "{next:?}");
    assert_eq!((answers.size_hint(), answers.asked()), ((0, None), 0));
    slow.may_publish.add_permits(1);
    while answers.asked() == 0 {
        let next = tokio::time::timeout(Duration::from_millis(1), answers.next()).await;
        assert!(next.is_err(), "{next:?}");
    }
    assert_eq!(answers.size_hint(), (1, None));
    slow.may_publish.add_permits(1);
    alice.ping().await;
    let session = other.hub.sessions("alice").await.remove(0);
    session.close(CloseCode::NORMAL, "");
    let ended = within("the end of the session", answers.next()).await.expect("an answer");
    assert_eq!(ended.answer, Err(RequestError::Ended));
}

#[tokio::test]
async fn the_answer_of_a_single_session_is_the_end() {
    let backplane = MemoryBackplane::new();
    let patient = Cluster::from(backplane.join()).answer_timeout(LONG);
    let one = start_patient(patient, Config::default()).await;
    let other = start(backplane.join().into(), Config::default()).await;
    let (mut alice, session) = other.page("alice").await;
    let of = Recipients::session(&session);
    let mut answers = one.hub.request(of, question(), LONG).await.expect("a stream");
    answer(&mut alice, json!(1)).await;
    assert_eq!(all(&mut answers).await, ["alice: 1"]);
}

#[tokio::test]
async fn a_node_of_an_earlier_version_asks_nobody() {
    /// A subject that does not exist. Version, kind, node, the end of the fields, and the id stand in front of it.
    fn unknown(message: &[u8]) -> Vec<u8> {
        [&message[..19], &[99], &message[20..]].concat()
    }

    let backplane = MemoryBackplane::new();
    let one = start(backplane.join().into(), Config::default()).await;
    let old = start(Cluster::new(OldNode { inner: backplane.join(), unknown }), Config::default()).await;
    let (mut here, _) = one.page("alice").await;
    let (mut there, _) = old.page("alice").await;
    let mut answers = one.hub.request(key("alice"), question(), LONG).await.expect("a stream");
    answer(&mut here, json!(1)).await;
    assert_eq!(all(&mut answers).await, ["alice: 1"]);
    one.hub.send_to("alice", Push::message("hi")).await;
    assert_eq!(there.next().await["msg"], "hi", "everything else goes on");
}

#[tokio::test]
async fn a_node_takes_a_bounded_number_of_requests_of_others() {
    let (_, [one, other]) = nodes().await;
    let mut pages = Vec::new();
    // Each session has room for 64 requests, so more of them are needed.
    for number in 0..17 {
        pages.push(other.page(&format!("user{number}")).await);
    }
    let mut streams = Vec::new();
    for number in 0..1024 {
        let of = key(&format!("user{}", number % 16));
        streams.push(one.hub.request(of, question(), LONG).await.expect("a stream"));
    }
    for number in 0..1024 {
        asked(&mut pages[number % 16].0).await;
    }
    let mut refused = one.hub.request(key("user16"), question(), LONG).await.expect("a stream");
    assert_eq!(all(&mut refused).await, Vec::<String>::new());
    pages[16].0.ping().await;
    // One ends, and makes room.
    let before = received(&other);
    drop(streams.pop());
    until("the end of a request", async || match received(&other) > before {
        true => Ok(()),
        false => Err(String::new()),
    })
    .await;
    let mut answers = one.hub.request(key("user16"), question(), LONG).await.expect("a stream");
    answer(&mut pages[16].0, json!(1)).await;
    assert_eq!(all(&mut answers).await, ["user16: 1"]);
}

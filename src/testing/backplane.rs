//! Checks for the contract of a [`Backplane`].
//!
//! ```
//! use keywire::cluster::MemoryBackplane;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let node = MemoryBackplane::new();
//! keywire::testing::backplane::all(&node, &node.join()).await;
//! # }
//! ```

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::new_key;
use crate::cluster::{Backplane, Event, Topic};

/// Runs all checks that every backplane must pass, with two nodes of one cluster. They use new topics. Nobody else may call `next`
/// of the two nodes meanwhile.
///
/// # Panics
///
/// If a node violates the contract.
pub async fn all(one: &dyn Backplane, other: &dyn Backplane) {
    a_message_reaches_who_is_subscribed(one, other).await;
    a_message_reaches_several_nodes(one, other).await;
    a_topic_keeps_its_order(one, other).await;
    two_subscriptions_are_one(one, other).await;
    the_last_call_counts(one, other).await;
    topics_are_apart(one, other).await;
    any_bytes_arrive_as_they_were(one, other).await;
    a_node_that_does_not_listen_holds_up_nobody(one, other).await;
}

/// A message reaches a node that is subscribed to its topic, and no other one.
pub async fn a_message_reaches_who_is_subscribed(one: &dyn Backplane, other: &dyn Backplane) {
    let (topic, unknown) = (topic("reach"), topic("reach-not"));
    subscribe(other, &topic).await;
    publish(one, &unknown, "not for you").await;
    publish(one, &topic, "for you").await;
    assert_eq!(messages(other, &topic, 1).await, [(topic, Bytes::from("for you"))]);
}

/// Both nodes get what is published from either. The publisher may get it, too.
pub async fn a_message_reaches_several_nodes(one: &dyn Backplane, other: &dyn Backplane) {
    let topic = topic("several");
    for node in [one, other] {
        subscribe(node, &topic).await;
    }
    publish(one, &topic, "from one").await;
    publish(other, &topic, "from other").await;
    for (node, message) in [(other, "from one"), (one, "from other")] {
        while messages(node, &topic, 1).await[0].1 != message {}
    }
    // A node's own message may still be on its way to it.
    for (node, publisher, last) in [(one, other, "last of other"), (other, one, "last of one")] {
        publish(publisher, &topic, last).await;
        while messages(node, &topic, 1).await[0].1 != last {}
        node.unsubscribe(&topic).await;
    }
}

/// What one node publishes to one topic arrives in its order, once.
pub async fn a_topic_keeps_its_order(one: &dyn Backplane, other: &dyn Backplane) {
    let topic = topic("order");
    subscribe(other, &topic).await;
    for number in 0..200 {
        publish(one, &topic, &number.to_string()).await;
    }
    let expected: Vec<_> = (0..200).map(|number| (topic.clone(), Bytes::from(number.to_string()))).collect();
    assert_eq!(messages(other, &topic, 200).await, expected);
}

/// A node that subscribes twice gets a message once, and one call ends the subscription.
pub async fn two_subscriptions_are_one(one: &dyn Backplane, other: &dyn Backplane) {
    let topic = topic("twice");
    subscribe(other, &topic).await;
    subscribe(other, &topic).await;
    publish(one, &topic, "once").await;
    publish(one, &topic, "last").await;
    let expected = ["once", "last"].map(|message| (topic.clone(), Bytes::from(message)));
    assert_eq!(messages(other, &topic, 2).await, expected);
    other.unsubscribe(&topic).await;
    // Confirmed behind the end of the other subscription.
    let after = self::topic("twice-after");
    subscribe(other, &after).await;
    publish(one, &topic, "for nobody").await;
    publish(one, &after, "last").await;
    assert_eq!(until(other, &after).await, []);
}

/// Of several calls for a topic the last one counts.
pub async fn the_last_call_counts(one: &dyn Backplane, other: &dyn Backplane) {
    let topic = topic("again");
    for _ in 0..20 {
        subscribe(other, &topic).await;
        other.unsubscribe(&topic).await;
    }
    subscribe(other, &topic).await;
    publish(one, &topic, "here").await;
    assert_eq!(messages(other, &topic, 1).await, [(topic, Bytes::from("here"))]);
}

/// Topics differ by any character.
pub async fn topics_are_apart(one: &dyn Backplane, other: &dyn Backplane) {
    let names =
        ["a", "A", "a b", "a*", "a?", "a.b", "a.>", "*", ">", "[a]", "{a}", "a\\", "ä", "\u{1f600}", "a/b"];
    let topics: Vec<_> = names.iter().map(|name| topic(name)).collect();
    for topic in &topics {
        subscribe(other, topic).await;
        publish(one, topic, topic.as_str()).await;
        let expected = (topic.clone(), Bytes::from(topic.as_str().to_owned()));
        assert_eq!(messages(other, topic, 1).await, [expected]);
    }
    // Messages of two topics have no order.
    let expected = [(topics[0].clone(), "the first"), (topics[1].clone(), "the second")];
    for (topic, message) in &expected {
        publish(one, topic, message).await;
    }
    let mut arrived = Vec::new();
    while arrived.len() < expected.len() {
        if let Event::Message { topic, message } = next(other).await {
            arrived.push((topic, message));
        }
    }
    assert!(
        expected.iter().all(|(topic, message)| arrived.contains(&(topic.clone(), Bytes::from(*message))))
    );
}

/// A message is any bytes, also none, and up to 512 KiB.
pub async fn any_bytes_arrive_as_they_were(one: &dyn Backplane, other: &dyn Backplane) {
    let topic = topic("bytes");
    subscribe(other, &topic).await;
    let all: Vec<u8> = (0..=255).collect();
    for message in [Vec::new(), b"\r\n\0".to_vec(), all.clone(), all.repeat(2048)] {
        one.publish(&topic, message.clone().into()).await.expect("published");
        assert_eq!(messages(other, &topic, 1).await[0].1, message);
    }
}

/// Publishing goes on while a node does not ask for its events. It is told of what was dropped, and then gets messages again.
pub async fn a_node_that_does_not_listen_holds_up_nobody(one: &dyn Backplane, other: &dyn Backplane) {
    const MANY: usize = 20_000;
    let topic = topic("flood");
    subscribe(other, &topic).await;
    for number in 0..MANY {
        let published = one.publish(&topic, Bytes::from(number.to_string()));
        timeout(PATIENCE, published).await.expect("not held up").expect("published");
    }
    let (mut expected, mut interrupted, mut is_last_sent) = (0, false, false);
    loop {
        let event = next(other).await;
        // From here on messages arrive again. One is enough: it may itself push out an older one.
        if (event == Event::Restored || expected + 1 == MANY) && !is_last_sent {
            is_last_sent = true;
            publish(one, &topic, "last").await;
        }
        match event {
            Event::Interrupted => interrupted = true,
            Event::Restored => {}
            Event::Message { message, .. } if message == "last" => break,
            Event::Message { message, .. } => {
                let number: usize = std::str::from_utf8(&message).expect("text").parse().expect("a number");
                assert!(
                    number == expected || interrupted && number > expected,
                    "{number} after a loss untold"
                );
                expected = number + 1;
            }
        }
    }
    assert!(interrupted || expected == MANY, "either everything arrives or the node is told");
    other.unsubscribe(&topic).await;
}

const PATIENCE: Duration = Duration::from_secs(30);

fn topic(name: &str) -> Topic {
    Topic::key(&new_key(name))
}

async fn subscribe(node: &dyn Backplane, topic: &Topic) {
    timeout(PATIENCE, node.subscribe(topic)).await.expect("confirmed in time").expect("subscribed");
}

async fn publish(node: &dyn Backplane, topic: &Topic, message: &str) {
    let published = node.publish(topic, Bytes::from(message.to_owned()));
    timeout(PATIENCE, published).await.expect("published in time").expect("published");
}

async fn next(node: &dyn Backplane) -> Event {
    timeout(PATIENCE, node.next()).await.expect("an event in time")
}

/// The next messages, of which all must be of this topic.
async fn messages(node: &dyn Backplane, expected: &Topic, count: usize) -> Vec<(Topic, Bytes)> {
    let mut messages = Vec::new();
    while messages.len() < count {
        if let Event::Message { topic, message } = next(node).await {
            assert_eq!(topic, *expected, "a message of another topic");
            messages.push((topic, message));
        }
    }
    messages
}

/// The messages before that of the topic `last`.
async fn until(node: &dyn Backplane, last: &Topic) -> Vec<(Topic, Bytes)> {
    let mut messages = Vec::new();
    loop {
        match next(node).await {
            Event::Message { topic, .. } if topic == *last => return messages,
            Event::Message { topic, message } => messages.push((topic, message)),
            Event::Interrupted | Event::Restored => {}
        }
    }
}

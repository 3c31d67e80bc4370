//! The backplane on Redis, with faults. No subscription may be lost without a word.
#![cfg(feature = "redis")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use keywire::Key;
use keywire::cluster::{Backplane, Event, Redis, Topic};
use support::redis::{RedisServer, Swallower};
use support::{until, within};

fn topic(number: usize) -> Topic {
    Topic::key(&Key::new(format!("user {number}")).expect("a key"))
}

async fn node(url: &str) -> Redis {
    Redis::connect(url).await.expect("a connection")
}

/// A node that soon notices a server that says nothing.
async fn hasty(url: &str) -> Redis {
    let times = Duration::from_millis(300);
    let options = Redis::options().probe_interval(times).response_timeout(times);
    options.connect(url).await.expect("a connection")
}

async fn publish(redis: &Redis, topic: &Topic, message: &str) {
    until("a publication", async || {
        redis
            .publish(topic, Bytes::copy_from_slice(message.as_bytes()))
            .await
            .map_err(|error| format!("{error:?}"))
    })
    .await;
}

async fn expect(redis: &Redis, what: &str) -> Event {
    within(what, redis.next()).await
}

/// Takes events up to this one.
async fn up_to(redis: &Redis, event: Event) {
    let what = format!("{event:?}");
    while expect(redis, &what).await != event {}
}

/// Each of these topics has its subscription: a message to each arrives, at the latest after the last restoration.
async fn assert_subscribed(redis: &Redis, other: &Redis, topics: impl Iterator<Item = usize>) {
    let mut missing: BTreeSet<_> = topics.collect();
    let tell = async |missing: &BTreeSet<usize>| {
        for number in missing {
            publish(other, &topic(*number), &format!("to {number}")).await;
        }
    };
    tell(&missing).await;
    while !missing.is_empty() {
        match expect(redis, "a message").await {
            Event::Message { topic: to, message } => {
                missing.retain(|number| topic(*number) != to || message != format!("to {number}").as_bytes())
            }
            // The connections notice an outage one after the other.
            Event::Restored => tell(&missing).await,
            _ => {}
        }
    }
}

#[tokio::test]
async fn messages_reach_the_subscribed_nodes_in_their_order() {
    let server = RedisServer::start().await;
    let [a, b] = [node(&server.url()).await, node(&server.url()).await];
    a.subscribe(&topic(1)).await.expect("a subscription");
    b.subscribe(&topic(2)).await.expect("a subscription");
    b.subscribe(&Topic::ALL).await.expect("a subscription");
    for number in 0..1000 {
        publish(&a, &topic(2), &number.to_string()).await;
    }
    publish(&a, &topic(1), "own").await;
    publish(&a, &Topic::ALL, "all").await;
    for number in 0..1000 {
        let message = Bytes::from(number.to_string());
        assert_eq!(expect(&b, "a message").await, Event::Message { topic: topic(2), message });
    }
    let all = Event::Message { topic: Topic::ALL, message: Bytes::from_static(b"all") };
    assert_eq!(expect(&b, "a message").await, all);
    let own = Event::Message { topic: topic(1), message: Bytes::from_static(b"own") };
    assert_eq!(expect(&a, "its own").await, own);

    b.unsubscribe(&topic(2)).await;
    b.subscribe(&topic(3)).await.expect("a subscription");
    publish(&a, &topic(2), "late").await;
    publish(&a, &topic(3), "end").await;
    let end = Event::Message { topic: topic(3), message: Bytes::from_static(b"end") };
    assert_eq!(expect(&b, "a message").await, end, "nothing of the topic that it left");
    let count = server.command(&["PUBSUB", "NUMSUB", "keywire{0}k:x"]).await;
    assert!(count.contains('0'), "{count}");
}

#[tokio::test]
async fn many_topics_are_subscribed_in_batches_and_come_back() {
    let mut server = RedisServer::start().await;
    let [a, b] = [node(&server.url()).await, node(&server.url()).await];
    let topics: Vec<_> = (0..3000).map(topic).collect();
    let subscribed = futures_util::future::join_all(topics.iter().map(|topic| a.subscribe(topic))).await;
    assert!(subscribed.iter().all(Result::is_ok));
    let stats = server.command(&["INFO", "commandstats"]).await;
    let line = stats.lines().find(|line| line.starts_with("cmdstat_subscribe")).expect("subscriptions");
    let calls: usize = line.split(['=', ',']).nth(1).and_then(|calls| calls.parse().ok()).expect("a number");
    assert!(calls < 600, "{calls} commands for 3000 topics");

    server.kill();
    assert_eq!(expect(&a, "the interruption").await, Event::Interrupted);
    // What happens meanwhile is recorded.
    assert!(a.subscribe(&topic(3000)).await.is_err());
    a.unsubscribe(&topic(0)).await;
    until("a failure", async || match a.publish(&topic(1), Bytes::new()).await {
        Err(_) => Ok(()),
        Ok(()) => Err("published".into()),
    })
    .await;
    server.start_again().await;
    assert_eq!(expect(&a, "the restoration").await, Event::Restored);
    let count = server.command(&["PUBSUB", "CHANNELS"]).await.lines().count();
    assert_eq!(count, 3000, "all are confirmed before that");
    assert_subscribed(&a, &b, 1..=3000).await;
}

#[tokio::test]
async fn subscriptions_that_are_killed_twice_come_back() {
    let server = RedisServer::start().await;
    let [a, b] = [node(&server.url()).await, node(&server.url()).await];
    for number in 0..10 {
        a.subscribe(&topic(number)).await.expect("a subscription");
    }
    let pubsub = ["CLIENT", "KILL", "TYPE", "pubsub"];
    assert_eq!(server.command(&pubsub).await, "1");
    until("the second kill", async || match server.command(&pubsub).await.as_str() {
        "1" => Ok(()),
        killed => Err(killed.to_owned()),
    })
    .await;
    assert_eq!(expect(&a, "the interruption").await, Event::Interrupted);
    up_to(&a, Event::Restored).await;
    assert_subscribed(&a, &b, 0..10).await;
}

#[tokio::test]
async fn a_node_that_cannot_publish_is_interrupted() {
    let server = RedisServer::start().await;
    let a = node(&server.url()).await;
    a.subscribe(&topic(1)).await.expect("a subscription");
    for _ in 0..3 {
        // The connection for commands alone.
        assert_eq!(server.command(&["CLIENT", "KILL", "TYPE", "normal"]).await, "1");
        assert_eq!(expect(&a, "the interruption").await, Event::Interrupted);
        assert_eq!(expect(&a, "the restoration").await, Event::Restored);
        a.publish(&topic(1), Bytes::from_static(b"a")).await.expect("it can publish again");
        let message = Event::Message { topic: topic(1), message: Bytes::from_static(b"a") };
        assert_eq!(expect(&a, "the message").await, message);
    }
}

/// The server is away longer than any number of attempts, and a node may come while it is.
#[tokio::test]
async fn a_server_that_is_stopped_is_noticed_and_found_again() {
    let server = RedisServer::start().await;
    let a = hasty(&server.url()).await;
    a.subscribe(&topic(1)).await.expect("a subscription");
    server.signal("STOP").await;
    assert_eq!(expect(&a, "the interruption").await, Event::Interrupted);
    assert!(within("an answer", a.publish(&topic(1), Bytes::new())).await.is_err());
    assert!(within("an answer", a.subscribe(&topic(2))).await.is_err());
    server.signal("CONT").await;
    up_to(&a, Event::Restored).await;
    assert_subscribed(&a, &a, 1..=2).await;
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_noticed() {
    let server = RedisServer::start().await;
    let network = Swallower::before(server.port()).await;
    let [a, b] = [hasty(&network.url()).await, node(&server.url()).await];
    a.subscribe(&topic(1)).await.expect("a subscription");
    for _ in 0..2 {
        network.swallow();
        up_to(&a, Event::Interrupted).await;
        up_to(&a, Event::Restored).await;
        assert_subscribed(&a, &b, 1..=1).await;
    }
    until("the commands too", async || match a.publish(&topic(1), Bytes::new()).await {
        Ok(()) => Ok(()),
        Err(error) => Err(format!("{error:?}")),
    })
    .await;
}

#[tokio::test]
async fn a_node_that_does_not_listen_is_told_what_it_missed() {
    let server = RedisServer::start().await;
    let slow = Redis::options().queue(100, 1 << 20).connect(server.url()).await.expect("a connection");
    let fast = node(&server.url()).await;
    slow.subscribe(&topic(1)).await.expect("a subscription");
    for number in 0..1000 {
        publish(&fast, &topic(1), &number.to_string()).await;
    }
    // A subscription is confirmed behind the messages that came before it.
    slow.subscribe(&topic(2)).await.expect("a subscription");
    for number in 0..100 {
        let message = Bytes::from(number.to_string());
        assert_eq!(expect(&slow, "a message").await, Event::Message { topic: topic(1), message });
    }
    assert_eq!(expect(&slow, "the interruption").await, Event::Interrupted);
    assert_eq!(expect(&slow, "the restoration").await, Event::Restored);
    assert_subscribed(&slow, &fast, 1..=2).await;
}

/// Redis closes a connection whose messages it has to keep for too long.
#[tokio::test]
async fn a_connection_that_hits_the_limit_of_the_server_is_told() {
    let server = RedisServer::start().await;
    let [a, b] = [node(&server.url()).await, node(&server.url()).await];
    a.subscribe(&topic(1)).await.expect("a subscription");
    let limit = ["CONFIG", "SET", "client-output-buffer-limit", "pubsub 64kb 0 0"];
    assert_eq!(server.command(&limit).await, "OK");
    let large = Bytes::from(vec![b'a'; 4 << 20]);
    b.publish(&topic(1), large.clone()).await.expect("a publication");
    assert_eq!(expect(&a, "the interruption").await, Event::Interrupted);
    up_to(&a, Event::Restored).await;
    assert_subscribed(&a, &b, 1..=1).await;
}

#[tokio::test]
async fn a_subscription_that_the_server_refuses_is_an_error() {
    let server = RedisServer::start().await;
    let rule = ["ACL", "SETUSER", "node", "on", ">pw", "~*", "+@all", "resetchannels", "&keywire{*}k:*"];
    assert_eq!(server.command(&rule).await, "OK");
    let url = format!("redis://node:pw@127.0.0.1:{}", server.port());
    let a = node(&url).await;
    a.subscribe(&topic(1)).await.expect("a subscription");
    let error = a.subscribe(&Topic::ALL).await.expect_err("a refusal");
    assert!(format!("{error:?}").contains("NOPERM"), "{error:?}");
    assert_eq!(server.command(&["ACL", "SETUSER", "node", "allchannels"]).await, "OK");
    up_to(&a, Event::Restored).await;
    a.subscribe(&Topic::ALL).await.expect("a subscription");
    assert_subscribed(&a, &a, 1..=1).await;
}

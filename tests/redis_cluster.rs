//! Redis Cluster and Sentinel.
#![cfg(all(feature = "redis", feature = "testing"))]

mod support;

use std::time::Duration;

use bytes::Bytes;
use keywire::auth::Tickets;
use keywire::cluster::{Backplane, Event, Redis, RedisError, Topic};
use keywire::log::{Draft, Log, LogError};
use keywire::{Identity, Key, Push, testing};
use support::redis::{RedisCluster, RedisSentinel, RedisServer};
use support::{until, within};

fn key(number: usize) -> Key {
    Key::new(format!("user {number}")).expect("a key")
}

fn topic(number: usize) -> Topic {
    Topic::key(&key(number))
}

async fn node(url: &str) -> Redis {
    let options = Redis::options().probe_interval(Duration::from_millis(500));
    options.connect(url).await.expect("a connection")
}

fn draft() -> Draft {
    Push::message("a").kept().into()
}

/// Publishes to these topics until each message has arrived.
async fn assert_subscribed(redis: &Redis, other: &Redis, topics: std::ops::Range<usize>) {
    for number in topics {
        let message = Bytes::from(format!("to {number}"));
        until("a publication", async || {
            other.publish(&topic(number), message.clone()).await.map_err(|error| format!("{error:?}"))
        })
        .await;
        let expected = Event::Message { topic: topic(number), message };
        while within("a message", redis.next()).await != expected {}
    }
}

async fn up_to(redis: &Redis, event: Event) {
    while within("an event", redis.next()).await != event {}
}

#[tokio::test]
async fn all_contracts_hold_in_a_cluster() {
    let cluster = RedisCluster::start().await;
    let [a, b] = [node(&cluster.url()).await, node(&cluster.url()).await];
    testing::log::all(&a).await;
    testing::presence::all(&a).await;
    let topics: Vec<_> = (0..2000).map(topic).collect();
    let subscribed = futures_util::future::join_all(topics.iter().map(|topic| a.subscribe(topic))).await;
    assert!(subscribed.iter().all(Result::is_ok), "{:?}", subscribed.iter().find(|it| it.is_err()));
    a.subscribe(&Topic::ALL).await.expect("a subscription");
    assert_subscribed(&a, &b, 0..300).await;
    for server in &cluster.0 {
        assert_eq!(server.command(&["PUBSUB", "CHANNELS"]).await, "", "no message goes to every node");
    }
    let appended = b.append(&key(1), &draft()).await.expect("an entry");
    assert!(appended.announced);
    let Event::Message { topic: to, message } = within("an event", a.next()).await else { panic!() };
    assert!(to == topic(1) && String::from_utf8_lossy(&message).contains(&appended.at.to_string()));

    let tickets = Tickets::in_store(a);
    let ticket = tickets.issue(Identity::new(key(1))).await.expect("a ticket");
    assert_eq!(tickets.take(ticket.as_str()).await.expect("it is unused").key(), &key(1));
}

#[tokio::test]
async fn a_slot_that_moves_is_followed() {
    let cluster = RedisCluster::start().await;
    let [a, b] = [node(&cluster.url()).await, node(&cluster.url()).await];
    for number in 0..50 {
        a.subscribe(&topic(number)).await.expect("a subscription");
        a.append(&key(number), &draft()).await.expect("an entry");
    }
    let slot = cluster.slot("{2b}").await;
    let alice = Key::new("alice").expect("a key");
    a.subscribe(&Topic::key(&alice)).await.expect("a subscription");
    a.append(&alice, &draft()).await.expect("an entry");

    let mut other = None;
    for number in 50..2000 {
        a.append(&key(number), &draft()).await.expect("an entry");
        let name = format!("keywire{{2b}}l:user {number}");
        let (owner, ..) = cluster.around(slot).await;
        if owner.command(&["EXISTS", &name]).await == "1" {
            a.forget(&key(number)).await.expect("it is there");
            other = Some(key(number));
            break;
        }
    }
    let other = other.expect("a key with the same slot");

    // While it moves: a key that is there already, and one that is not.
    cluster.begin_move(slot).await;
    assert_eq!(b.append(&other, &draft()).await.expect("an entry").at.seq(), 1);
    assert_eq!(b.append(&other, &draft()).await.expect("an entry").at.seq(), 2);
    assert_eq!(b.append(&alice, &draft()).await.expect("an entry").at.seq(), 2);
    cluster.move_slot(slot).await;
    assert_eq!(a.append(&alice, &draft()).await.expect("an entry").at.seq(), 3);
    up_to(&a, Event::Interrupted).await;
    up_to(&a, Event::Restored).await;
    let message = Bytes::from_static(b"to alice");
    b.publish(&Topic::key(&alice), message.clone()).await.expect("a publication");
    up_to(&a, Event::Message { topic: Topic::key(&alice), message }).await;
    assert_subscribed(&a, &b, 0..50).await;
}

#[tokio::test]
async fn a_node_that_is_away_is_found_again() {
    let mut cluster = RedisCluster::start().await;
    let a = node(&cluster.url()).await;
    for number in 0..50 {
        a.subscribe(&topic(number)).await.expect("a subscription");
    }
    cluster.0[1].kill();
    up_to(&a, Event::Interrupted).await;
    let failed = until("a failure", async || {
        for number in 0..50 {
            if let Err(error) = a.append(&key(number), &draft()).await {
                return Ok(error);
            }
        }
        Err("all are kept".into())
    })
    .await;
    assert!(matches!(failed, LogError::Failed(_) | LogError::Unknown(_)), "{failed:?}");
    cluster.0[1].start_again().await;
    up_to(&a, Event::Restored).await;
    assert_subscribed(&a, &a, 0..50).await;
}

#[tokio::test]
async fn a_replica_that_is_promoted_is_found() {
    let mut cluster = RedisCluster::start().await;
    let replica = cluster.add_replica().await;
    let a = node(&cluster.url()).await;
    for number in 0..50 {
        a.subscribe(&topic(number)).await.expect("a subscription");
        a.append(&key(number), &draft()).await.expect("an entry");
    }
    cluster.0[1].kill();
    up_to(&a, Event::Interrupted).await;
    up_to(&a, Event::Restored).await;
    assert!(replica.command(&["ROLE"]).await.starts_with("master"));
    for number in 0..50 {
        let appended = until("the new master", async || {
            a.append(&key(number), &draft()).await.map_err(|error| format!("{error:?}"))
        })
        .await;
        assert!(appended.at.seq() >= 2);
    }
    assert_subscribed(&a, &a, 0..50).await;
}

#[tokio::test]
async fn the_url_must_name_what_there_is() {
    let (cluster, server) = (RedisCluster::start().await, RedisServer::start().await);
    let single = cluster.url().replace("redis+cluster", "redis");
    for (url, part) in [
        (single, "redis+cluster://"),
        (server.url().replace("redis:", "redis+cluster:"), "redis://"),
        (format!("{}/main", server.url().replace("redis:", "redis+sentinel:")), "is not a Sentinel"),
    ] {
        let error = Redis::connect(&url).await.expect_err("a refusal");
        assert!(
            matches!(error, RedisError::Deployment { .. }) && error.to_string().contains(part),
            "{error}"
        );
    }
    let lone = RedisServer::start_with(&[
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &support::redis::free_port().to_string(),
    ])
    .await;
    let error = Redis::connect(lone.url().replace("redis:", "redis+cluster:")).await.expect_err("a refusal");
    assert!(error.to_string().contains("not complete"), "{error}");
}

#[tokio::test]
async fn a_failover_by_sentinel_is_followed() {
    let master = RedisServer::start().await;
    let port = master.port().to_string();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]).await;
    let sentinel = RedisSentinel::of(master.port()).await;
    let a = node(&sentinel.url()).await;
    a.subscribe(&topic(1)).await.expect("a subscription");
    a.append(&key(1), &draft()).await.expect("an entry");
    until("the replica", async || match sentinel.command(&["SENTINEL", "CKQUORUM", "main"]).await {
        _ if replica.command(&["ROLE"]).await.contains("connected") => Ok(()),
        state => Err(state),
    })
    .await;
    until("the failover", async || {
        match sentinel.command(&["SENTINEL", "FAILOVER", "main"]).await.as_str() {
            "OK" => Ok(()),
            answer => Err(answer.to_owned()),
        }
    })
    .await;
    up_to(&a, Event::Interrupted).await;
    up_to(&a, Event::Restored).await;
    let at = until("the new master", async || {
        a.append(&key(1), &draft()).await.map_err(|error| format!("{error:?}"))
    })
    .await;
    assert_eq!(at.at.seq(), 2);
    assert!(replica.command(&["ROLE"]).await.starts_with("master"));
    assert_subscribed(&a, &a, 1..2).await;

    let unknown = sentinel.url().replace("main", "other");
    let error = Redis::connect(&unknown).await.expect_err("a refusal");
    assert!(error.to_string().contains("does not know a master"), "{error}");
}

//! Presence on Redis: the contract, its cost, and faults.
#![cfg(all(feature = "redis", feature = "testing"))]

mod support;

use std::time::Duration;

use keywire::cluster::Redis;
use keywire::cluster::presence::{ClusterCounts, Presence};
use keywire::{Key, testing};
use support::redis::RedisServer;
use support::until;

const LONG: Duration = Duration::from_secs(600);

async fn connect(server: &RedisServer) -> Redis {
    Redis::connect(server.url()).await.expect("a connection")
}

fn keys(count: usize) -> Vec<(Key, usize)> {
    (0..count).map(|number| (Key::new(format!("user {number}")).expect("a key"), 1)).collect()
}

/// The number of commands that the server has got.
async fn commands(server: &RedisServer) -> usize {
    let stats = server.command(&["INFO", "commandstats"]).await;
    let calls = stats.lines().filter(|line| line.starts_with("cmdstat_"));
    let calls = calls.filter_map(|line| line.split(['=', ',']).nth(1)?.parse::<usize>().ok());
    calls.sum()
}

#[tokio::test]
async fn the_contract_of_presence() {
    let server = RedisServer::start().await;
    testing::presence::all(&connect(&server).await).await;
}

#[tokio::test]
async fn a_renewal_costs_the_same_for_any_number_of_keys() {
    let server = RedisServer::start().await;
    let redis = connect(&server).await;
    let node = redis.node();
    assert!(redis.renew(node, LONG).await.expect("a lease").is_new);
    redis.update(node, &keys(20_000)).await.expect("an answer");
    let before = commands(&server).await;
    assert!(!redis.renew(node, LONG).await.expect("a lease").is_new);
    let after = commands(&server).await;
    assert!(after - before <= 10, "{} commands", after - before);
}

#[tokio::test]
async fn nodes_in_other_processes_share_it_and_sweep_each_key_once() {
    let server = RedisServer::start().await;
    let [gone, a, b] = [connect(&server).await, connect(&server).await, connect(&server).await];
    for redis in [&gone, &a, &b] {
        redis.renew(redis.node(), LONG).await.expect("a lease");
    }
    gone.update(gone.node(), &keys(10_000)).await.expect("an answer");
    let counts = a.counts().await.expect("an answer");
    assert_eq!((counts.nodes, counts.keys, counts.sessions), (3, 10_000, 10_000));
    gone.renew(gone.node(), Duration::from_millis(1)).await.expect("a lease");
    let mut left = Vec::new();
    until("the sweep", async || {
        let mut more = false;
        for redis in [&a, &b] {
            let swept = redis.sweep(redis.node()).await.expect("a part");
            left.extend(swept.left);
            more |= swept.more;
        }
        if left.len() >= 10_000 && !more { Ok(()) } else { Err(left.len().to_string()) }
    })
    .await;
    left.sort();
    left.dedup();
    assert_eq!(left.len(), 10_000);
    let left = server.command(&["KEYS", "keywire*"]).await;
    assert!(
        left.lines().all(|name| name.ends_with("c:") || name.ends_with("e:")),
        "only counters and leases are left: {left}"
    );
}

/// Nothing may be recorded that no sweep would find.
#[tokio::test]
async fn a_node_without_a_lease_gets_one_and_learns_of_it() {
    let server = RedisServer::start().await;
    let [a, b] = [connect(&server).await, connect(&server).await];
    a.update(a.node(), &keys(1)).await.expect("an answer");
    assert_eq!(b.counts().await.expect("an answer").nodes, 1);
    assert!(a.renew(a.node(), LONG).await.expect("a lease").is_new);
    assert!(!a.renew(a.node(), LONG).await.expect("a lease").is_new);
}

/// A node is away longer than its lease, comes back and records first. Then another node sweeps the old lease.
#[tokio::test]
async fn a_sweep_of_an_old_lease_spares_what_is_recorded_under_a_new_one() {
    let server = RedisServer::start().await;
    let [a, b] = [connect(&server).await, connect(&server).await];
    a.update(a.node(), &keys(10)).await.expect("an answer");
    a.renew(a.node(), Duration::from_millis(1)).await.expect("a lease");
    until("the end of the lease", async || match a.counts().await.expect("an answer").nodes {
        0 => Ok(()),
        nodes => Err(nodes.to_string()),
    })
    .await;
    a.update(a.node(), &keys(5)).await.expect("an answer");
    let mut left = Vec::new();
    until("the sweep", async || {
        let swept = b.sweep(b.node()).await.expect("a part");
        left.extend(swept.left);
        if left.len() >= 5 && !swept.more { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    left.sort();
    let ended: Vec<_> = keys(10).into_iter().skip(5).map(|(key, _)| key).collect();
    assert_eq!(left, ended);
    assert_eq!(a.counts().await.expect("an answer").keys, 5);
    assert!(a.renew(a.node(), LONG).await.expect("a lease").is_new, "it learns that it was away");
}

#[tokio::test]
async fn a_server_that_forgets_is_told_everything_again() {
    let mut server = RedisServer::start().await;
    let redis = connect(&server).await;
    let node = redis.node();
    redis.renew(node, LONG).await.expect("a lease");
    redis.update(node, &keys(10)).await.expect("an answer");
    server.kill();
    until("a failure", async || match redis.renew(node, LONG).await {
        Err(_) => Ok(()),
        Ok(renewed) => Err(format!("{renewed:?}")),
    })
    .await;
    assert!(redis.update(node, &keys(10)).await.is_err());
    server.start_again().await;
    let renewed =
        until("the server", async || redis.renew(node, LONG).await.map_err(|error| format!("{error:?}")))
            .await;
    assert!(renewed.is_new);
    let updated = redis.update(node, &keys(10)).await.expect("an answer");
    assert!(updated.iter().all(|updated| (updated.before, updated.after) == (0, 1)));
    assert_eq!(redis.counts().await.expect("an answer"), ClusterCounts { nodes: 1, keys: 10, sessions: 10 });
}

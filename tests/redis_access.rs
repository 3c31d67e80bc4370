//! keywire as a user of Redis that may do what docs/cluster.md says, and nothing else.
#![cfg(all(feature = "redis", feature = "testing"))]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use keywire::auth::Tickets;
use keywire::cluster::{Redis, RedisError};
use keywire::log::{Log, Retention};
use keywire::{Identity, Key, Push, testing};
use support::redis::{RedisCluster, RedisSentinel, RedisServer};

/// The lines of the page that make the user, for one server or for a Redis Cluster.
fn lines() -> [Vec<Vec<&'static str>>; 2] {
    let page = include_str!("../docs/cluster.md");
    let lines = page.lines().filter(|line| line.starts_with("ACL SETUSER keywire "));
    let lines: Vec<Vec<_>> = lines.map(|line| line.split(' ').collect()).collect();
    assert_eq!(lines.len(), 5);
    [lines[..4].to_vec(), lines]
}

async fn allow(server: &RedisServer, lines: &[Vec<&str>]) {
    for line in lines {
        assert_eq!(server.command(line).await, "OK", "{line:?}");
    }
}

/// The commands of the lines.
fn allowed(lines: &[Vec<&'static str>]) -> BTreeSet<&'static str> {
    let words = lines.iter().flatten();
    words.filter_map(|word| word.strip_prefix('+')?.split('|').next()).collect()
}

/// The commands that a server has got, without those of the test itself.
async fn used(server: &RedisServer) -> BTreeSet<String> {
    let stats = server.command(&["INFO", "commandstats"]).await;
    // Later versions count the commands of a family apart: `cmdstat_client|setname`.
    let names = stats.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split([':', '|']).next());
    names
        .filter(|name| !["acl", "config", "info", "command", "hello", "ping"].contains(name))
        .map(str::to_owned)
        .collect()
}

async fn all_contracts(url: &str) {
    let [a, b] = [Redis::connect(url).await.expect("a node"), Redis::connect(url).await.expect("a node")];
    testing::backplane::all(&a, &b).await;
    testing::log::all(&a).await;
    testing::presence::all(&a).await;
    let limits = Retention { entries: 5, ..Retention::default() };
    let few = Redis::options().retention(limits).connect(url).await.expect("a log");
    testing::log::trims_beyond(&few, 5).await;
    for number in 0..20 {
        let push = Push::data(number).kept().once(number.to_string());
        few.append(&Key::new("alice").expect("a key"), &push.into()).await.expect("an entry");
    }
    let tickets = Tickets::in_store(a);
    let ticket = tickets.issue(Identity::new(Key::new("alice").expect("a key"))).await.expect("a ticket");
    tickets.take(ticket.as_str()).await.expect("the ticket");
}

#[tokio::test]
async fn a_user_with_few_rights_is_enough() {
    let server = RedisServer::start().await;
    let [lines, _] = lines();
    allow(&server, &lines).await;
    all_contracts(&format!("redis://keywire:PASSWORD@127.0.0.1:{}", server.port())).await;
    // Nobody else is there, so a command that was not called is not needed.
    let (used, allowed) = (used(&server).await, allowed(&lines));
    let unused: Vec<_> = allowed.iter().filter(|name| **name != "ping" && !used.contains(**name)).collect();
    let missing: Vec<_> = used.iter().filter(|name| !allowed.contains(name.as_str())).collect();
    assert_eq!((unused, missing), (vec![], vec![]));
    assert_eq!(server.command(&["ACL", "LOG"]).await, "", "nothing was refused");
}

#[tokio::test]
async fn a_user_with_few_rights_is_enough_in_a_cluster() {
    let cluster = RedisCluster::start().await;
    let [_, lines] = lines();
    for server in &cluster.0 {
        allow(server, &lines).await;
    }
    all_contracts(&cluster.url().replace("://", "://keywire:PASSWORD@")).await;
    for server in &cluster.0 {
        assert_eq!(server.command(&["ACL", "LOG"]).await, "", "nothing was refused");
    }
}

#[tokio::test]
async fn a_user_of_sentinels_may_ask_for_the_master_alone() {
    let server = RedisServer::start().await;
    let sentinel = RedisSentinel::of(server.port()).await;
    let rights = ["+sentinel|get-master-addr-by-name", "+client|setname"];
    let user = [&["ACL", "SETUSER", "guide", "reset", "on", ">secret"][..], &rights].concat();
    assert_eq!(sentinel.command(&user).await, "OK");
    sentinel.command(&["ACL", "SETUSER", "default", "off"]).await;
    let connect = async |password: &str| {
        let options =
            Redis::options().sentinel_login("guide", password).connect_timeout(Duration::from_secs(2));
        options.connect(sentinel.url()).await
    };
    connect("secret").await.expect("a connection");
    assert!(matches!(connect("wrong").await, Err(RedisError::Unauthorized { .. })));
}

//! Tickets on Redis.
#![cfg(feature = "redis")]

mod support;

use std::time::{Duration, SystemTime};

use keywire::auth::{TicketError, Tickets};
use keywire::cluster::Redis;
use keywire::{Identity, Key};
use support::redis::RedisServer;
use support::until;

fn identity(key: &str) -> Identity {
    Identity::new(Key::new(key).expect("a key"))
}

#[tokio::test]
async fn a_ticket_of_one_node_is_taken_once_on_another() {
    let server = RedisServer::start().await;
    let node = async || Tickets::in_store(Redis::connect(server.url()).await.expect("a connection"));
    let [a, b] = [node().await, node().await];
    let end = SystemTime::UNIX_EPOCH + Duration::from_millis(9_999_999_999_123);
    let ticket = a.issue(identity("alice b").expiring_at(end)).await.expect("a ticket");
    let taken = futures_util::future::join_all((0..20).map(|_| b.take(ticket.as_str()))).await;
    let mut taken: Vec<_> = taken.into_iter().filter_map(Result::ok).collect();
    assert_eq!(taken.len(), 1, "once");
    let identity = taken.remove(0);
    assert_eq!((identity.key().as_str(), identity.expires_at()), ("alice b", Some(end)));
    assert_eq!(server.command(&["DBSIZE"]).await, "0", "nothing is left");
}

#[tokio::test]
async fn a_key_has_few_unused_tickets_and_they_end() {
    let server = RedisServer::start().await;
    let redis = Redis::connect(server.url()).await.expect("a connection");
    let tickets = Tickets::in_store(redis.clone()).lifetime(Duration::from_secs(600));
    let first = tickets.issue(identity("alice")).await.expect("a ticket");
    for _ in 1..64 {
        tickets.issue(identity("alice")).await.expect("a ticket");
    }
    let full = tickets.issue(identity("alice")).await;
    assert!(matches!(full, Err(TicketError::Full)), "{full:?}");
    tickets.take(first.as_str()).await.expect("it is unused");
    tickets.issue(identity("alice")).await.expect("there is room again");

    let before = server.command(&["DBSIZE"]).await;
    let brief = Tickets::in_store(redis).lifetime(Duration::from_millis(50));
    brief.issue(identity("bob")).await.expect("another key has its own");
    until("the end of its lifetime", async || match server.command(&["DBSIZE"]).await {
        left if left == before => Ok(()),
        left => Err(left),
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_away_is_no_ticket() {
    let mut server = RedisServer::start().await;
    let tickets = Tickets::in_store(Redis::connect(server.url()).await.expect("a connection"));
    server.kill();
    let failed = tickets.issue(identity("alice")).await;
    assert!(matches!(failed, Err(TicketError::Unavailable(_))), "{failed:?}");
}

//! Three NATS servers that store the log and presence three times: one may end.
#![cfg(all(feature = "nats", feature = "testing"))]

mod support;

use std::time::Duration;

use futures_util::future::join_all;
use keywire::cluster::presence::Presence;
use keywire::cluster::{Nats, NatsOptions};
use keywire::log::{GapKind, Limit, Log, Position, ReadFrom};
use keywire::{Key, Push};
use support::{NatsServer, until};

fn options() -> NatsOptions {
    Nats::options().replicas(3)
}

/// Connects as soon as the servers have found each other.
async fn connect(servers: &[NatsServer; 3], first: usize) -> Nats {
    let mut urls: Vec<_> = servers.iter().map(NatsServer::url).collect();
    urls.rotate_left(first);
    let urls = urls.join(",");
    until("the cluster of servers", async || {
        options().connect(&urls).await.map_err(|error| format!("{error:?}"))
    })
    .await
}

#[tokio::test]
async fn the_contract_is_kept_by_three_servers() {
    let servers = NatsServer::cluster("three");
    let nats = connect(&servers, 1).await;
    keywire::testing::log::all(&nats.log().expect("a log")).await;
}

#[tokio::test]
async fn a_server_ends_and_nothing_is_lost() {
    let mut servers = NatsServer::cluster("one-ends");
    let nodes = [connect(&servers, 0).await, connect(&servers, 1).await, connect(&servers, 2).await];
    let logs = nodes.each_ref().map(|node| node.log().expect("a log"));
    let alice = Key::new("alice").expect("a key");
    for node in &nodes {
        let presence = node.presence().expect("presence");
        assert!(presence.renew(node.node(), Duration::from_secs(3600)).await.expect("a lease").is_new);
        presence.update(node.node(), &[(alice.clone(), 1)]).await.expect("an update");
    }
    let append = async |number: usize| {
        let draft = Push::message(number.to_string()).kept().once(number.to_string()).into();
        let log = &logs[number % 3];
        until("an append", async || log.append(&alice, &draft).await.map_err(|error| format!("{error:?}")))
            .await
    };
    let mut appended = join_all((0..30).map(&append)).await;
    servers[2].kill();
    appended.extend(join_all((30..60).map(&append)).await);
    servers[2].start_again();
    appended.extend(join_all((60..90).map(&append)).await);

    for log in &logs {
        let page = until("a page", async || {
            let all = Limit { entries: usize::MAX, bytes: usize::MAX };
            let mut page = log
                .read(&alice, ReadFrom::After(Position::BEGINNING), all)
                .await
                .map_err(|error| format!("{error:?}"))?;
            while page.more {
                let at = page.entries.last().map_or(page.from, |entry| entry.at);
                let next =
                    log.read(&alice, ReadFrom::After(at), all).await.map_err(|error| format!("{error:?}"))?;
                assert_ne!(next.gap, Some(GapKind::Reset));
                page.entries.extend(next.entries);
                page.more = next.more;
            }
            Ok::<_, String>(page)
        })
        .await;
        assert_eq!((page.entries.len(), page.gap), (90, None), "each is there once");
        for appended in &appended {
            assert_eq!(page.entries[appended.at.seq() as usize - 1].at, appended.at);
        }
    }
    for node in &nodes {
        let presence = node.presence().expect("presence");
        let nodes = until("presence", async || {
            let keys = [alice.clone()];
            presence.nodes(&keys).await.map_err(|error| format!("{error:?}"))
        })
        .await;
        assert_eq!(nodes[0].len(), 3);
    }
}

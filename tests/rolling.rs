//! A rolling restart of three nodes on Redis, one after the other, while their pages follow and pushes are sent.
#![cfg(all(feature = "warp", feature = "client", feature = "redis"))]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use keywire::auth::RawKey;
use keywire::client::{Credential, Event, Follow};
use keywire::cluster::Redis;
use keywire::log::{Kept, Position};
use keywire::store::Remote;
use keywire::{Hub, Push};
use support::keywire_client::client;
use support::redis::RedisServer;
use support::{Server, until};
use tokio::sync::RwLock;
use tokio::task::JoinHandle;

const NODES: usize = 3;
const KEYS: usize = 4;
/// Pages of each key on each node.
const PAGES: usize = 2;

type Nodes = Arc<[RwLock<Option<Server>>; NODES]>;

async fn hub(engine: &RedisServer) -> Hub {
    let redis = Redis::connect(engine.url()).await.expect("a connection");
    Hub::builder(RawKey::from_path()).cluster(redis).build()
}

/// What a page has seen.
#[derive(Default)]
struct Seen {
    kept: Vec<(Position, u64)>,
    plain: Vec<u64>,
    gaps: usize,
    ends: usize,
}

/// A page of a key, which comes back to the address of its node. It ends at the push `end`.
fn page(server: &Server, key: String) -> JoinHandle<Seen> {
    let (client, mut events) =
        client(server).key(Credential::new(key)).follow(Follow::After(Position::BEGINNING)).connect();
    tokio::spawn(async move {
        let _client = client;
        let mut seen = Seen::default();
        while let Some(event) = events.next().await {
            let number = |push: &Push| push.data.as_ref().and_then(|data| data.as_str().parse().ok());
            match event {
                Event::Kept { push, .. } if push.msg == "end" => break,
                Event::Kept { push, at, .. } => seen.kept.push((at, number(&push).expect("a number"))),
                Event::Push(push) => seen.plain.extend(number(&push)),
                Event::Gap { .. } => seen.gaps += 1,
                Event::Closed(_) => seen.ends += 1,
                _ => {}
            }
        }
        seen
    })
}

/// A push that is kept, by whichever node is there. Repeated until the log has it, and in it once.
async fn keep(nodes: &Nodes, first: usize, key: &str, push: Push, id: &str) -> Position {
    let repeated = async {
        loop {
            for node in (0..NODES).map(|step| (first + step) % NODES) {
                let Some(server) = &*nodes[node].read().await else { continue };
                let kept = server.hub.send_to(key, push.clone().kept().once(id)).await.kept;
                if let Kept::At(at) | Kept::Again(at) = kept {
                    return at;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    support::within("a kept push", repeated).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_loses_no_kept_push() {
    let engine = RedisServer::start().await;
    let mut servers = Vec::new();
    for _ in 0..NODES {
        servers.push(RwLock::new(Some(Server::start(hub(&engine).await).await)));
    }
    let nodes: Nodes = Arc::new(servers.try_into().ok().expect("as many nodes"));
    let key = |number: usize| format!("user{}", number % KEYS);
    let mut pages = Vec::new();
    for node in nodes.iter() {
        for number in 0..KEYS * PAGES {
            pages.push((key(number), page(node.read().await.as_ref().expect("a node"), key(number))));
        }
    }

    // Kept pushes and others, from all nodes, until the last node is back.
    let (done, plain) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let sending: Vec<_> = (0..KEYS)
        .map(|sender| {
            let (nodes, done, plain, key) = (nodes.clone(), done.clone(), plain.clone(), key(sender));
            tokio::spawn(async move {
                let mut expected = BTreeMap::new();
                let mut number = 0_u64;
                while !done.load(Ordering::SeqCst) {
                    let node = sender + usize::try_from(number).expect("a small number");
                    let at = keep(&nodes, node, &key, Push::data(number), &format!("{key} {number}")).await;
                    expected.insert(at.seq(), number);
                    if let Some(server) = &*nodes[node % NODES].read().await {
                        let delivery = server.hub.send_to(key.as_str(), Push::data(number)).await;
                        plain.fetch_add(usize::from(delivery.remote == Remote::Published), Ordering::SeqCst);
                    }
                    number += 1;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                keep(&nodes, sender, &key, Push::message("end"), &format!("{key} end")).await;
                (key, expected)
            })
        })
        .collect();

    for node in nodes.iter() {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let server = node.write().await.take().expect("a node");
        server.stop();
        let (address, old) = (server.addr, server.hub.clone());
        drop(server);
        assert_eq!(old.shutdown(Duration::from_secs(5)).await, 0, "connections that were cut");
        drop(old);
        let hub = hub(&engine).await;
        let again = until("the port", async || match tokio::net::TcpListener::bind(address).await {
            Ok(listener) => Ok(listener),
            Err(error) => Err(error.to_string()),
        })
        .await;
        drop(again);
        *node.write().await = Some(Server::start_on(address, "websocket", hub).await);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    done.store(true, Ordering::SeqCst);

    let mut expected = BTreeMap::new();
    for sending in sending {
        let (key, kept) = sending.await.expect("a sender");
        assert!(kept.len() > 100, "{} pushes for {key}", kept.len());
        expected.insert(key, kept);
    }
    let (mut came_back, mut lost, mut arrived) = (0, 0, 0);
    for (key, page) in pages {
        let seen = support::within("the end of a page", page).await.expect("a page");
        let kept: Vec<_> = expected[&key].iter().map(|(seq, number)| (*seq, *number)).collect();
        let found: Vec<_> = seen.kept.iter().map(|(at, number)| (at.seq(), *number)).collect();
        assert_eq!(found, kept, "each kept push once, in the order of the log");
        assert_eq!(seen.gaps, 0, "gaps without cause");
        let mut plain = seen.plain.clone();
        plain.sort_unstable();
        plain.dedup();
        assert_eq!(plain.len(), seen.plain.len(), "no push comes twice");
        came_back += usize::from(seen.ends > 0);
        arrived += plain.len();
        lost += kept.len() - plain.len();
    }
    assert_eq!(came_back, NODES * KEYS * PAGES, "each page lost its node once");
    println!(
        "{} plain pushes published; to pages {arrived} arrived, {lost} came while the page was away",
        plain.load(Ordering::SeqCst)
    );
}

//! Who is online, on two nodes over real sockets.
#![cfg(feature = "warp")]

mod support;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keywire::auth::RawKey;
use keywire::cluster::presence::{Change, Changes, MemoryPresence, PresenceTiming};
use keywire::cluster::{Cluster, MemoryBackplane};
use keywire::limits::SessionPolicy;
use keywire::{Config, Hub, Key, Switch};
use support::Server;
use tokio::time::timeout;

const NO_DELAY: PresenceTiming = PresenceTiming { delay: Duration::ZERO, lease: Duration::from_secs(90) };

/// What the nodes of a cluster share.
#[derive(Default)]
struct Shared {
    backplane: MemoryBackplane,
    presence: MemoryPresence,
}

impl Shared {
    fn hub(&self, config: Config, timing: PresenceTiming, switch: Switch) -> Hub {
        let cluster = Cluster::from(self.backplane.join()).presence(self.presence.clone());
        let hub = Hub::builder(RawKey::from_path()).config(config).handler(switch);
        hub.cluster(cluster).presence_timing(timing).build()
    }

    async fn node(&self, timing: PresenceTiming) -> Server {
        Server::start(self.hub(Config::default(), timing, Switch::new())).await
    }
}

async fn next(changes: &mut Changes) -> Change {
    let change = timeout(Duration::from_secs(10), changes.next()).await.expect("a change in time");
    change.expect("a hub").expect("all changes")
}

fn change(key: &str, is_online: bool) -> Change {
    Change { key: Key::new(key).expect("a key"), is_online }
}

#[tokio::test]
async fn the_first_session_of_the_cluster_joins_and_the_last_leaves() {
    let shared = Shared::default();
    let (one, other) = (shared.node(NO_DELAY).await, shared.node(NO_DELAY).await);
    let (mut at_one, mut at_other) = (one.hub.presence_changes(), other.hub.presence_changes());
    let first = one.client("alice").await;
    assert_eq!(next(&mut at_one).await, change("alice", true));
    let (second, third) = (other.client("alice").await, other.client("alice").await);
    while other.hub.cluster_counts().await.unwrap().sessions < 3 {
        tokio::task::yield_now().await;
    }
    let mut nodes = one.hub.presence("alice").await.unwrap();
    nodes.sort_by_key(|node| node.sessions);
    let expected = [(one.hub.node(), 1), (other.hub.node(), 2)];
    assert_eq!(nodes.iter().map(|node| (node.node, node.sessions)).collect::<Vec<_>>(), expected);
    drop((first, second));
    while other.hub.cluster_counts().await.unwrap().sessions > 1 {
        tokio::task::yield_now().await;
    }
    assert!(one.hub.online("alice").await.unwrap());
    drop(third);
    assert_eq!(next(&mut at_other).await, change("alice", false), "nothing was reported in between");
    assert!(!one.hub.online("alice").await.unwrap());
    let _bob = one.client("bob").await;
    assert_eq!(next(&mut at_one).await, change("bob", true), "nothing was reported twice");
}

#[tokio::test]
async fn a_page_that_is_loaded_again_has_not_left() {
    let shared = Shared::default();
    let timing = PresenceTiming { delay: Duration::from_secs(60), ..NO_DELAY };
    let (one, other) = (shared.node(timing).await, shared.node(timing).await);
    let (mut at_one, mut at_other) = (one.hub.presence_changes(), other.hub.presence_changes());
    let tab = one.client("alice").await;
    assert_eq!(next(&mut at_one).await, change("alice", true));
    for server in [&one, &other] {
        let gone = one.hub.sessions("alice").await;
        for session in &gone {
            session.close(keywire::session::CloseCode::NORMAL, "");
        }
        while !one.hub.sessions("alice").await.is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(other.hub.online("alice").await.unwrap(), "for the delay");
        let _again = server.client("alice").await;
    }
    drop(tab);
    let _bob = (one.client("bob").await, other.client("carol").await);
    assert_eq!(next(&mut at_one).await, change("bob", true));
    assert_eq!(next(&mut at_other).await, change("carol", true));
}

#[test]
fn the_keys_of_a_killed_node_leave_when_its_lease_ends() {
    let shared = Arc::new(Shared::default());
    let timing = PresenceTiming { lease: Duration::from_millis(600), ..NO_DELAY };
    let doomed = tokio::runtime::Runtime::new().unwrap();
    let (one, tab) = doomed.block_on(async {
        let one = shared.node(timing).await;
        let tab = one.client("alice").await;
        while !one.hub.online("alice").await.unwrap() {
            tokio::task::yield_now().await;
        }
        (one, tab)
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let other = shared.node(timing).await;
        let mut changes = other.hub.presence_changes();
        // Neither its connections nor its tasks can say anything any more.
        doomed.shutdown_background();
        assert_eq!(next(&mut changes).await, change("alice", false));
        assert!(!other.hub.online("alice").await.unwrap());
        drop((one, tab));
    });
}

#[tokio::test]
async fn a_node_that_shuts_down_gives_its_keys_back() {
    let shared = Shared::default();
    let timing = PresenceTiming { lease: Duration::from_secs(2), ..NO_DELAY };
    let (one, other) = (shared.node(timing).await, shared.node(timing).await);
    let mut changes = [one.hub.presence_changes(), other.hub.presence_changes()];
    let _tab = one.client("alice").await;
    assert_eq!(next(&mut changes[0]).await, change("alice", true));
    one.hub.shutdown(Duration::from_secs(1)).await;
    while other.hub.online("alice").await.unwrap() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_hooks_of_the_handler_are_called() {
    let shared = Shared::default();
    let (joined, left) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let count = |counter: &Arc<AtomicUsize>| {
        let counter = counter.clone();
        move |_: Key| {
            counter.fetch_add(1, Ordering::SeqCst);
            std::future::ready(())
        }
    };
    let switch = Switch::new().joined(count(&joined)).left(count(&left));
    // A switch around it passes both on.
    let server = Server::start(shared.hub(Config::default(), NO_DELAY, Switch::new().fallback(switch))).await;
    let mut changes = server.hub.presence_changes();
    drop(server.client("alice").await);
    next(&mut changes).await;
    next(&mut changes).await;
    while (joined.load(Ordering::SeqCst), left.load(Ordering::SeqCst)) != (1, 1) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_hook_that_hangs_does_not_cost_the_lease() {
    let shared = Shared::default();
    let timing = PresenceTiming { lease: Duration::from_millis(600), ..NO_DELAY };
    let hanging = Switch::new().joined(|_: Key| std::future::pending::<()>());
    let one = Server::start(shared.hub(Config::default(), timing, hanging)).await;
    let other = shared.node(timing).await;
    let (mut at_one, mut at_other) = (one.hub.presence_changes(), other.hub.presence_changes());
    let _tabs = (one.client("alice").await, one.client("bob").await);
    let mut joined = [next(&mut at_one).await.key, next(&mut at_one).await.key];
    joined.sort();
    assert_eq!(joined.map(|key| key.to_string()), ["alice", "bob"], "both are recorded");
    // Several renewals of the other node, which would sweep the first.
    let swept = timeout(timing.lease * 3, at_other.next()).await;
    assert!(swept.is_err(), "{swept:?}");
    assert!(other.hub.online("alice").await.unwrap());
}

#[tokio::test]
async fn a_key_has_no_more_sessions_in_the_cluster_than_on_one_node() {
    let shared = Shared::default();
    let policy = SessionPolicy::Many { cap: NonZeroUsize::new(2).unwrap() };
    let config = Config { policy, ..Config::default() };
    let node = async || Server::start(shared.hub(config.clone(), NO_DELAY, Switch::new())).await;
    let (one, other) = (node().await, node().await);
    let _tabs = (one.client("alice").await, other.client("alice").await);
    while one.hub.cluster_counts().await.unwrap().sessions < 2 {
        tokio::task::yield_now().await;
    }
    let mut third = other.open("/websocket/alice").await;
    assert_eq!(third.end().await.code, 4506);
    while one.hub.cluster_counts().await.unwrap().sessions != 2 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn without_a_record_a_node_answers_for_itself() {
    let server = Server::start(Hub::builder(RawKey::from_path()).build()).await;
    assert!(!server.hub.online("alice").await.unwrap());
    let _tabs = (server.client("alice").await, server.client("alice").await);
    let nodes = server.hub.presence("alice").await.unwrap();
    assert_eq!((nodes.len(), nodes[0].sessions, nodes[0].node), (1, 2, server.hub.node()));
    assert!(server.hub.presence_changes().next().await.is_none());
    assert!(server.hub.online("two\nlines").await.is_err());
}

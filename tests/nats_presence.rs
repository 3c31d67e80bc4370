//! Presence on a real NATS server: the contract, and what is left after a fault.
#![cfg(feature = "nats")]

mod support;

use std::time::Duration;

use futures_util::future::join_all;
use keywire::Key;
use keywire::cluster::presence::{ClusterCounts, NodeSessions, Presence, Updated};
use keywire::cluster::{Nats, NatsPresence, NodeId};
use support::{NatsServer, until};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(100);

/// A node: what it records with, and its id.
struct Node(NatsPresence, NodeId);

impl Node {
    async fn join(server: &NatsServer) -> Self {
        let nats = Nats::options().without_log().timeout(Duration::from_secs(1)).connect(&server.url()).await;
        let nats = nats.expect("a node");
        Self(nats.presence().expect("presence"), nats.node())
    }

    /// Renews the lease, and sweeps. Returns whether the lease is new, and the keys that have left.
    async fn renew(&self, lease: Duration) -> (bool, Vec<Key>) {
        let is_new = self.0.renew(self.1, lease).await.expect("a lease").is_new;
        let mut left = Vec::new();
        loop {
            let swept = self.0.sweep(self.1).await.expect("a part");
            left.extend(swept.left);
            if !swept.more {
                left.sort();
                return (is_new, left);
            }
        }
    }

    async fn update(&self, name: &str, sessions: usize) -> (usize, usize) {
        let updated = self.0.update(self.1, &[(key(name), sessions)]).await.expect("an update");
        (updated[0].before, updated[0].after)
    }

    async fn counts(&self) -> (usize, usize, usize) {
        let ClusterCounts { nodes, keys, sessions } = self.0.counts().await.expect("numbers");
        (nodes, keys, sessions)
    }

    async fn nodes(&self, name: &str) -> Vec<(NodeId, usize)> {
        let nodes = self.0.nodes(&[key("nobody"), key(name)]).await.expect("nodes");
        assert_eq!(nodes[0], []);
        nodes[1].iter().map(|NodeSessions { node, sessions }| (*node, *sessions)).collect()
    }
}

fn key(name: &str) -> Key {
    Key::new(name).expect("a key")
}

#[tokio::test]
async fn one_call_sees_a_key_arrive_and_leave() {
    let server = NatsServer::start("presence");
    let (one, other) = (Node::join(&server).await, Node::join(&server).await);
    assert_eq!((one.renew(LONG).await, other.renew(LONG).await), ((true, vec![]), (true, vec![])));
    assert_eq!(one.renew(LONG).await, (false, vec![]));
    assert_eq!(one.update("alice", 2).await, (0, 2));
    assert_eq!(one.update("alice", 2).await, (2, 2));
    assert_eq!(other.update("alice", 1).await, (2, 3));
    assert_eq!(other.update("a.b *>", 1).await, (0, 1));
    let mut nodes = vec![(one.1, 2), (other.1, 1)];
    assert_eq!(one.nodes("alice").await, nodes);
    assert_eq!(other.nodes("a.b *>").await, [(other.1, 1)]);
    assert_eq!(one.counts().await, (2, 2, 4));
    assert_eq!(one.update("alice", 0).await, (3, 1));
    nodes.remove(0);
    assert_eq!(one.nodes("alice").await, nodes);
    assert_eq!(other.update("alice", 0).await, (1, 0));
    assert_eq!(other.update("alice", 0).await, (0, 0));
    assert_eq!((other.nodes("alice").await, one.counts().await), (vec![], (2, 1, 1)));

    // Both at once, many times: the totals follow each other.
    for round in 0..20 {
        let name = format!("race {}", round % 3);
        let both = join_all([one.update(&name, 1), other.update(&name, 1)]).await;
        assert!(both.contains(&(0, 1)) && both.contains(&(1, 2)), "{both:?}");
        let both = join_all([one.update(&name, 0), other.update(&name, 0)]).await;
        assert!(both.contains(&(2, 1)) && both.contains(&(1, 0)), "{both:?}");
    }
    assert_eq!(one.counts().await, (2, 1, 1));
}

#[tokio::test]
async fn a_node_whose_lease_ends_is_swept_and_each_key_is_reported_once() {
    let server = NatsServer::start("swept");
    let nodes = [Node::join(&server).await, Node::join(&server).await, Node::join(&server).await];
    let [gone, one, other] = &nodes;
    for node in &nodes {
        node.renew(LONG).await;
    }
    let keys: Vec<_> = (0..1500).map(|number| (key(&format!("key {number}")), 1)).collect();
    let updated = gone.0.update(gone.1, &keys).await.expect("updates");
    assert!(updated.iter().all(|updated| *updated == Updated { before: 0, after: 1 }));
    assert_eq!(other.update("key 7", 5).await, (1, 6));
    assert_eq!(one.counts().await, (3, 1500, 1505));
    assert_eq!(one.renew(LONG).await, (false, vec![]));

    // It is gone, and two nodes notice.
    gone.renew(SHORT).await;
    let left = until("the keys of the node", async || {
        let (one, other) = (one.renew(LONG).await.1, other.renew(LONG).await.1);
        let left = [one, other].concat();
        if left.is_empty() { Err("nothing".to_owned()) } else { Ok(left) }
    })
    .await;
    let mut expected: Vec<_> =
        keys.iter().map(|(key, _)| key.clone()).filter(|key| key.as_str() != "key 7").collect();
    let mut left = left;
    expected.sort();
    left.sort();
    assert_eq!(left, expected);
    assert_eq!(one.nodes("key 7").await, [(other.1, 5)]);
    assert_eq!(one.counts().await, (2, 1, 5));

    // It was only slow: it is told to record everything again, and nothing of its former lease counts.
    assert!(gone.renew(LONG).await.0);
    assert_eq!(gone.update("key 7", 1).await, (5, 6));
    assert_eq!(one.renew(LONG).await, (false, vec![]));
    assert_eq!(one.counts().await, (3, 1, 6));
}

#[tokio::test]
async fn a_node_that_comes_back_before_the_sweep_leaves_nothing_of_its_former_lease() {
    let server = NatsServer::start("back");
    let node = Node::join(&server).await;
    node.renew(SHORT).await;
    node.update("alice", 1).await;
    node.update("bob", 1).await;
    until("the end of the lease", async || {
        if node.counts().await.0 == 0 { Ok(()) } else { Err("still there".to_owned()) }
    })
    .await;
    assert!(node.0.renew(node.1, LONG).await.expect("a lease").is_new);
    assert_eq!(node.update("alice", 1).await, (1, 1), "it has been there all the time");
    // The former lease is swept later, without what is recorded under the new one.
    assert_eq!(node.renew(LONG).await, (false, vec![key("bob")]));
    assert_eq!((node.renew(LONG).await, node.counts().await), ((false, vec![]), (1, 1, 1)));
}

#[tokio::test]
async fn a_server_that_was_killed_keeps_presence_or_asks_for_it() {
    let mut server = NatsServer::start("presence-killed");
    let (one, other) = (Node::join(&server).await, Node::join(&server).await);
    one.renew(LONG).await;
    other.renew(LONG).await;
    one.update("alice", 1).await;
    other.update("alice", 1).await;
    server.kill();
    until("the end of the connection", async || {
        one.0.update(one.1, &[(key("alice"), 3)]).await.err().ok_or_else(|| "no error".to_owned())
    })
    .await;
    server.start_again();
    let back = async |node: &Node| {
        until("the server", async || node.0.renew(node.1, LONG).await.map_err(|error| error.to_string()))
            .await
    };
    assert!(!back(&one).await.is_new && !back(&other).await.is_new);
    assert_eq!(one.update("alice", 3).await, (2, 4));
    assert_eq!(one.counts().await, (2, 1, 4));

    server.kill();
    server.lose_data();
    server.start_again();
    assert!(back(&one).await.is_new && back(&other).await.is_new);
    assert_eq!(one.update("alice", 3).await, (0, 3));
    assert_eq!(one.counts().await, (2, 1, 3));
}

#[tokio::test]
async fn a_call_that_was_dropped_is_counted_once() {
    let server = NatsServer::start("dropped");
    let node = Node::join(&server).await;
    node.renew(LONG).await;
    for round in 0..300 {
        // It is dropped before, between and after its requests.
        let sessions = round % 5;
        let all = [(key("alice"), sessions), (key("bob"), 1)];
        let time = Duration::from_micros(round as u64 * 2);
        let dropped = tokio::time::timeout(time, node.0.update(node.1, &all)).await;
        if dropped.is_ok() || round % 7 == 0 {
            node.0.update(node.1, &all).await.expect("an update");
            let keys = if sessions > 0 { 2 } else { 1 };
            assert_eq!(node.counts().await, (1, keys, sessions + 1), "round {round}");
        }
    }
}

#[tokio::test]
async fn a_renewal_does_not_look_at_the_keys() {
    let server = NatsServer::start_with("renewal", &["-js", "-m", "-1"]);
    let (one, other) = (Node::join(&server).await, Node::join(&server).await);
    one.renew(LONG).await;
    other.renew(LONG).await;
    let keys: Vec<_> = (0..3000).map(|number| (key(&format!("key {number}")), 1)).collect();
    one.0.update(one.1, &keys).await.expect("updates");
    let before = server.messages_in();
    assert_eq!(one.renew(LONG).await, (false, vec![]));
    assert!(server.messages_in() - before <= 10, "{}", server.messages_in() - before);
}

//! Checks for the contract of a [`Presence`].
//!
//! ```
//! use keywire::presence::MemoryPresence;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! keywire::testing::presence::all(&MemoryPresence::new()).await;
//! # }
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;

use crate::cluster::NodeId;
use crate::key::Key;
use crate::log::Position;
use crate::presence::{Presence, Updated};

/// A lease that does not end during a check.
const LONG: Duration = Duration::from_secs(600);
/// A lease that ends at once.
const SHORT: Duration = Duration::from_millis(1);
/// Longest wait for the end of a lease and for a sweep.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs all checks that every record of presence must pass. They use new keys and nodes. Nothing else may use the record meanwhile.
///
/// # Panics
///
/// If the record violates the contract.
pub async fn all(presence: &dyn Presence) {
    an_update_sets_and_does_not_add(presence).await;
    a_key_arrives_once_and_leaves_once(presence).await;
    many_keys_are_updated_in_their_order(presence).await;
    a_lease_is_new_once(presence).await;
    a_node_is_released(presence).await;
    a_node_whose_lease_has_ended_is_swept_once(presence).await;
    a_node_that_comes_back_keeps_what_it_records_again(presence).await;
    everything_is_counted(presence).await;
}

/// The same update twice changes nothing.
pub async fn an_update_sets_and_does_not_add(presence: &dyn Presence) {
    let (key, node) = (key("set"), node(presence).await);
    assert_eq!(update(presence, node, &key, 2).await, Updated { before: 0, after: 2 }, "the key arrives");
    assert_eq!(update(presence, node, &key, 2).await, Updated { before: 2, after: 2 }, "the same again");
    assert_eq!(update(presence, node, &key, 1).await, Updated { before: 2, after: 1 });
    assert_eq!(update(presence, node, &key, 0).await, Updated { before: 1, after: 0 }, "the key leaves");
    assert_eq!(update(presence, node, &key, 0).await, Updated { before: 0, after: 0 }, "and has left");
    assert_eq!(nodes(presence, &key).await, [], "nothing is left of it");
    release(presence, node).await;
}

/// Of concurrent updates on several nodes exactly one sees the key arrive, and exactly one sees it leave.
pub async fn a_key_arrives_once_and_leaves_once(presence: &dyn Presence) {
    let key = key("once");
    let nodes = join_all((0..8).map(|_| node(presence))).await;
    let arrived = join_all(nodes.iter().map(|node| update(presence, *node, &key, 3))).await;
    assert_eq!(arrived.iter().filter(|updated| updated.before == 0).count(), 1, "{arrived:?}");
    let mut after: Vec<_> = arrived.iter().map(|updated| updated.after).collect();
    after.sort_unstable();
    assert_eq!(after, (1..=8).map(|number| 3 * number).collect::<Vec<_>>(), "one after the other");
    let mut found: Vec<_> = self::nodes(presence, &key).await;
    found.sort_unstable();
    let mut expected: Vec<_> = nodes.iter().map(|node| (*node, 3)).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
    let left = join_all(nodes.iter().map(|node| update(presence, *node, &key, 0))).await;
    assert_eq!(left.iter().filter(|updated| updated.after == 0).count(), 1, "{left:?}");
    join_all(nodes.iter().map(|node| release(presence, *node))).await;
}

/// One call for many keys returns a result for each, in their order.
pub async fn many_keys_are_updated_in_their_order(presence: &dyn Presence) {
    let node = node(presence).await;
    let names = ["a b", "a:b", "{a}", "ä", "\u{1f600}", "%_*?", "a'b\"c"];
    let mut keys: Vec<_> = names.iter().map(|name| key(name)).collect();
    keys.extend((0..2000).map(|number| key(&number.to_string())));
    let sessions: Vec<_> = keys.iter().enumerate().map(|(number, key)| (key.clone(), number % 5)).collect();
    let updated = presence.update(node, &sessions).await.expect("an answer");
    let expected: Vec<_> =
        sessions.iter().map(|(_, sessions)| Updated { before: 0, after: *sessions }).collect();
    assert_eq!(updated, expected);
    let found = presence.nodes(&keys).await.expect("an answer");
    let found: Vec<usize> =
        found.iter().map(|nodes| nodes.iter().map(|found| found.sessions).sum()).collect();
    assert_eq!(found, sessions.iter().map(|(_, sessions)| *sessions).collect::<Vec<_>>());
    assert!(presence.update(node, &[]).await.expect("an answer").is_empty());
    assert!(presence.nodes(&[]).await.expect("an answer").is_empty());
    let left: BTreeSet<_> = release(presence, node).await.into_iter().collect();
    let online: BTreeSet<_> =
        sessions.into_iter().filter(|(_, sessions)| *sessions > 0).map(|(key, _)| key).collect();
    assert_eq!(left, online, "each key leaves with the node");
    let found = presence.nodes(&keys).await.expect("an answer");
    assert!(found.iter().all(Vec::is_empty), "nothing is left");
}

/// A lease is new the first time, after it has ended, and after a release.
pub async fn a_lease_is_new_once(presence: &dyn Presence) {
    let node = NodeId::random();
    let renew = async |lease| presence.renew(node, lease).await.expect("an answer").is_new;
    assert!(renew(LONG).await, "the first time");
    assert!(!renew(LONG).await, "it is extended");
    assert!(!end_lease(presence, node).await, "and cut");
    assert!(renew(LONG).await, "after its end");
    assert!(!renew(LONG).await);
    release(presence, node).await;
    assert!(renew(LONG).await, "after a release");
    release(presence, node).await;
}

/// A released node has nothing and is not counted. Keys that others have stay online.
pub async fn a_node_is_released(presence: &dyn Presence) {
    let [a, b] = [node(presence).await, node(presence).await];
    let (both, only) = (key("both"), key("only"));
    for (node, key) in [(a, &both), (b, &both), (a, &only)] {
        update(presence, node, key, 1).await;
    }
    assert_eq!(release(presence, a).await, [only.clone()], "the other node has the other key");
    assert_eq!(nodes(presence, &both).await, [(b, 1)]);
    assert_eq!(nodes(presence, &only).await, []);
    assert!(release(presence, a).await.is_empty(), "once");
    assert_eq!(release(presence, b).await, [both]);
}

/// When a lease ends, another node's renewals sweep it: each key that leaves is reported once.
pub async fn a_node_whose_lease_has_ended_is_swept_once(presence: &dyn Presence) {
    let [gone, a, b] = [node(presence).await, node(presence).await, node(presence).await];
    let keys: Vec<_> = (0..3000).map(|number| key(&number.to_string())).collect();
    let shared = key("shared");
    let mut sessions: Vec<_> = keys.iter().map(|key| (key.clone(), 1)).collect();
    sessions.push((shared.clone(), 1));
    presence.update(gone, &sessions).await.expect("an answer");
    update(presence, a, &shared, 1).await;
    presence.renew(gone, SHORT).await.expect("an answer");

    let mut left = Vec::new();
    until("the sweep", async || {
        let renewed = join_all([a, b].map(|node| presence.renew(node, LONG))).await;
        for renewed in renewed {
            let renewed = renewed.expect("an answer");
            assert!(!renewed.is_new, "the lease of the others goes on");
            left.extend(renewed.swept.left);
        }
        nodes(presence, &keys[0]).await.is_empty() && left.len() >= keys.len()
    })
    .await;
    left.sort();
    let mut expected = keys.clone();
    expected.sort();
    assert_eq!(left, expected, "each once, and not the key that another node has");
    assert_eq!(nodes(presence, &shared).await, [(a, 1)]);
    for node in [a, b] {
        release(presence, node).await;
    }
}

/// A node that was taken for gone records everything again, and no sweep removes that.
pub async fn a_node_that_comes_back_keeps_what_it_records_again(presence: &dyn Presence) {
    let [node, other] = [node(presence).await, node(presence).await];
    let (stays, ends) = (key("stays"), key("ends"));
    for key in [&stays, &ends] {
        update(presence, node, key, 1).await;
    }
    end_lease(presence, node).await;
    assert!(presence.renew(node, LONG).await.expect("an answer").is_new, "it has to record everything again");
    update(presence, node, &stays, 2).await;
    update(presence, node, &ends, 0).await;
    for _ in 0..10 {
        for node in [node, other] {
            let renewed = presence.renew(node, LONG).await.expect("an answer");
            assert!(!renewed.is_new && !renewed.swept.left.contains(&stays), "{renewed:?}");
        }
    }
    assert_eq!(nodes(presence, &stays).await, [(node, 2)]);
    assert_eq!(nodes(presence, &ends).await, []);
    assert_eq!(release(presence, node).await, [stays], "and it is released");
    release(presence, other).await;
}

/// Nodes, keys and sessions are counted.
pub async fn everything_is_counted(presence: &dyn Presence) {
    let before = presence.counts().await.expect("an answer");
    let [a, b] = [node(presence).await, node(presence).await];
    let (one, two) = (key("one"), key("two"));
    for (node, key, sessions) in [(a, &one, 2), (b, &one, 3), (a, &two, 1)] {
        update(presence, node, key, sessions).await;
    }
    let counts = presence.counts().await.expect("an answer");
    assert_eq!(counts.nodes - before.nodes, 2);
    assert_eq!(counts.sessions - before.sessions, 6);
    assert!((2..=3).contains(&(counts.keys - before.keys)), "a key counts once, or once on each node");
    for node in [a, b] {
        release(presence, node).await;
    }
    assert_eq!(presence.counts().await.expect("an answer"), before, "nothing is left");
}

async fn update(presence: &dyn Presence, node: NodeId, key: &Key, sessions: usize) -> Updated {
    let updated = presence.update(node, &[(key.clone(), sessions)]).await.expect("an answer");
    assert_eq!(updated.len(), 1, "a result for each key");
    updated[0]
}

/// The nodes that have sessions of a key, and how many.
async fn nodes(presence: &dyn Presence, key: &Key) -> Vec<(NodeId, usize)> {
    let nodes = presence.nodes(std::slice::from_ref(key)).await.expect("an answer");
    assert_eq!(nodes.len(), 1, "a result for each key");
    nodes[0].iter().map(|found| (found.node, found.sessions)).collect()
}

/// Releases a node to the end. Returns the keys that have left.
async fn release(presence: &dyn Presence, node: NodeId) -> Vec<Key> {
    let mut left = Vec::new();
    loop {
        let swept = presence.release(node).await.expect("an answer");
        left.extend(swept.left);
        if !swept.more {
            return left;
        }
    }
}

/// A node with a lease.
async fn node(presence: &dyn Presence) -> NodeId {
    let node = NodeId::random();
    presence.renew(node, LONG).await.expect("a lease");
    node
}

/// Lets the lease of a node end. Returns whether it was new.
async fn end_lease(presence: &dyn Presence, node: NodeId) -> bool {
    let before = presence.counts().await.expect("an answer").nodes;
    let is_new = presence.renew(node, SHORT).await.expect("an answer").is_new;
    let ended = async || presence.counts().await.expect("an answer").nodes < before;
    until("the end of the lease", ended).await;
    is_new
}

/// Repeats a call until it is true.
async fn until(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let start = std::time::Instant::now();
    while !look().await {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A key that no other run uses.
fn key(name: &str) -> Key {
    let random = Position::BEGINNING.next(name).tag();
    Key::new(format!("{random:016x} {name}")).expect("a key")
}

//! Checks for the contract of a [`Presence`].
//!
//! ```
//! use keywire::cluster::presence::MemoryPresence;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! keywire::testing::presence::all(&MemoryPresence::new()).await;
//! # }
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::time::{Instant, sleep};

use super::new_key;
use crate::delivery::NodeId;
use crate::key::Key;
use crate::presence::{NodeSessions, Presence, Updated};

/// Runs all checks that every record of presence must pass. They use new nodes and keys, so the record need not be empty, but nobody
/// else may sweep it meanwhile.
///
/// # Panics
///
/// If the record violates the contract.
pub async fn all(presence: &dyn Presence) {
    the_first_and_the_last_session_are_seen_once(presence).await;
    an_update_sets_and_does_not_add(presence).await;
    of_concurrent_updates_one_sees_the_arrival(presence).await;
    keys_are_apart(presence).await;
    everything_is_counted(presence).await;
    a_renewed_lease_holds(presence).await;
    a_node_whose_lease_ends_is_swept_once(presence).await;
    a_node_that_comes_back_records_again(presence).await;
    nodes_that_come_back_find_their_keys(presence).await;
}

/// Two nodes come and go: the first session of the key and the last one are seen, whichever node has them.
pub async fn the_first_and_the_last_session_are_seen_once(presence: &dyn Presence) {
    let (one, other, key) = (node(presence).await, node(presence).await, new_key("first"));
    for (node, sessions, before, after) in
        [(one, 1, 0, 1), (other, 2, 1, 3), (one, 0, 3, 2), (one, 0, 2, 2), (other, 1, 2, 1), (other, 0, 1, 0)]
    {
        assert_eq!(set(presence, node, &key, sessions).await, Updated { before, after });
    }
    assert_eq!(nodes(presence, &key).await, []);
}

/// The same update again changes nothing.
pub async fn an_update_sets_and_does_not_add(presence: &dyn Presence) {
    let (one, key) = (node(presence).await, new_key("set"));
    for (sessions, before) in [(3, 0), (3, 3), (1, 3), (7, 1)] {
        assert_eq!(set(presence, one, &key, sessions).await, Updated { before, after: sessions });
        assert_eq!(nodes(presence, &key).await, [NodeSessions { node: one, sessions }]);
    }
    let twice = [(key.clone(), 0), (new_key("absent"), 0)];
    let updated = presence.update(one, &twice).await.expect("recorded");
    assert_eq!(updated, [Updated { before: 7, after: 0 }, Updated { before: 0, after: 0 }]);
}

/// Of updates at the same moment exactly one sees the key arrive, and exactly one sees it leave.
pub async fn of_concurrent_updates_one_sees_the_arrival(presence: &dyn Presence) {
    let mut nodes = Vec::new();
    for _ in 0..8 {
        nodes.push(node(presence).await);
    }
    let key = new_key("concurrent");
    for sessions in [1, 0] {
        let updated = join_all(nodes.iter().map(|node| set(presence, *node, &key, sessions))).await;
        let at_zero = updated
            .iter()
            .filter(|updated| if sessions > 0 { updated.before == 0 } else { updated.after == 0 });
        assert_eq!(at_zero.count(), 1, "{updated:?}");
    }
}

/// Keys differ by any character.
pub async fn keys_are_apart(presence: &dyn Presence) {
    let one = node(presence).await;
    let names =
        ["a", "A", "a b", "a*", "a?", "a.b", "a.>", "{a}", "a:b", "a\\", "ä", "\u{1f600}", "a/b", "a'b"];
    let keys: Vec<_> = names.iter().map(|name| new_key(name)).collect();
    let updates: Vec<_> = keys.iter().cloned().zip(1..).collect();
    presence.update(one, &updates).await.expect("recorded");
    let found = presence.nodes(&keys).await.expect("read");
    for ((key, sessions), found) in updates.iter().zip(found) {
        assert_eq!(found, [NodeSessions { node: one, sessions: *sessions }], "{key}");
    }
    let gone: Vec<_> = keys.into_iter().map(|key| (key, 0)).collect();
    assert!(presence.update(one, &gone).await.expect("recorded").iter().all(|updated| updated.after == 0));
}

/// Nodes, keys and sessions are counted.
pub async fn everything_is_counted(presence: &dyn Presence) {
    let before = presence.counts().await.expect("counts");
    let (one, key, lonely) = (node(presence).await, new_key("counted"), new_key("lonely"));
    assert!(presence.live_nodes().await.expect("nodes").contains(&one));
    presence.update(one, &[(key.clone(), 2), (lonely.clone(), 1)]).await.expect("recorded");
    let after = presence.counts().await.expect("counts");
    assert_eq!(
        (after.nodes - before.nodes, after.keys - before.keys, after.sessions - before.sessions),
        (1, 2, 3)
    );
    presence.update(one, &[(key, 0), (lonely, 0)]).await.expect("recorded");
    let end = presence.counts().await.expect("counts");
    assert_eq!((end.keys, end.sessions), (before.keys, before.sessions));
}

/// A node that renews its lease keeps its keys, and nobody sweeps them.
pub async fn a_renewed_lease_holds(presence: &dyn Presence) {
    let (one, other, key) = (NodeId::random(), node(presence).await, new_key("renewed"));
    assert!(presence.renew(one, SHORT * 4).await.expect("a lease").is_new);
    set(presence, one, &key, 1).await;
    for _ in 0..8 {
        sleep(SHORT).await;
        assert!(!presence.renew(one, SHORT * 4).await.expect("a lease").is_new);
        assert!(!sweep(presence, other).await.contains(&key));
    }
    assert_eq!(nodes(presence, &key).await.len(), 1);
    set(presence, one, &key, 0).await;
}

/// The keys of a node whose lease ends are reported once, except those that another node still has.
pub async fn a_node_whose_lease_ends_is_swept_once(presence: &dyn Presence) {
    let (lost, one, other) = (NodeId::random(), node(presence).await, node(presence).await);
    presence.renew(lost, SHORT).await.expect("a lease");
    let keys: BTreeSet<_> = (0..2500).map(|number| new_key(&format!("swept {number}"))).collect();
    let updates: Vec<_> = keys.iter().map(|key| (key.clone(), 1)).collect();
    for updates in updates.chunks(500) {
        presence.update(lost, updates).await.expect("recorded");
    }
    let elsewhere = new_key("elsewhere");
    set(presence, lost, &elsewhere, 1).await;
    set(presence, one, &elsewhere, 1).await;
    let (mut left, since) = (Vec::new(), Instant::now());
    while left.len() < keys.len() {
        assert!(since.elapsed() < Duration::from_secs(60), "{} of {} keys have left", left.len(), keys.len());
        let (a, b) = join(sweep(presence, one), sweep(presence, other)).await;
        left.extend(a.into_iter().chain(b).filter(|key| keys.contains(key) || *key == elsewhere));
        sleep(SHORT / 10).await;
    }
    assert_eq!(left.iter().collect::<BTreeSet<_>>().len(), left.len(), "each key leaves once");
    assert_eq!(left.into_iter().collect::<BTreeSet<_>>(), keys);
    assert_eq!(nodes(presence, &elsewhere).await, [NodeSessions { node: one, sessions: 1 }]);
    set(presence, one, &elsewhere, 0).await;
}

/// A node that was away for longer than its lease is told, and what it records then counts.
pub async fn a_node_that_comes_back_records_again(presence: &dyn Presence) {
    let (lost, one, key) = (NodeId::random(), node(presence).await, new_key("back"));
    presence.renew(lost, SHORT).await.expect("a lease");
    set(presence, lost, &key, 1).await;
    let mut left = Vec::new();
    while !left.contains(&key) {
        sleep(SHORT / 2).await;
        left = sweep(presence, one).await;
    }
    assert!(presence.renew(lost, LONG).await.expect("a lease").is_new);
    assert_eq!(set(presence, lost, &key, 1).await, Updated { before: 0, after: 1 });
    assert!(!sweep(presence, one).await.contains(&key));
    assert_eq!(set(presence, lost, &key, 0).await.after, 0);
}

/// After an outage of the engine all leases have ended. Each node renews its own, which removes nothing, and then records again: no key
/// has left or arrived. A node that does not come back is swept.
pub async fn nodes_that_come_back_find_their_keys(presence: &dyn Presence) {
    let (one, other, lost) = (NodeId::random(), NodeId::random(), NodeId::random());
    let before = presence.counts().await.expect("counts").nodes;
    let key_of = |node: NodeId| new_key(&format!("outage {node}"));
    let nodes = [(one, key_of(one)), (other, key_of(other)), (lost, key_of(lost))];
    for (node, key) in &nodes {
        presence.renew(*node, SHORT).await.expect("a lease");
        set(presence, *node, key, 1).await;
    }
    while presence.counts().await.expect("counts").nodes > before {
        sleep(SHORT / 10).await;
    }
    let alive = presence.live_nodes().await.expect("nodes");
    assert!(nodes.iter().all(|(node, _)| !alive.contains(node)), "their leases have ended");
    for (node, _) in &nodes[..2] {
        assert!(presence.renew(*node, LONG).await.expect("a lease").is_new);
    }
    for (node, key) in &nodes[..2] {
        assert_eq!(set(presence, *node, key, 1).await, Updated { before: 1, after: 1 }, "it was there");
    }
    let (mut left, since) = (Vec::new(), Instant::now());
    while !left.contains(&nodes[2].1) {
        assert!(since.elapsed() < Duration::from_secs(60), "the node that is lost is swept");
        left.extend(sweep(presence, one).await);
    }
    for (node, key) in &nodes[..2] {
        assert!(!left.contains(key), "{key} has not left");
        assert_eq!(set(presence, *node, key, 0).await, Updated { before: 1, after: 0 });
    }
}

/// A lease that ends within a check. An engine may round it up to a second.
const SHORT: Duration = Duration::from_millis(500);

/// A lease that does not end within a check.
const LONG: Duration = Duration::from_secs(60);

/// A new node with a lease.
async fn node(presence: &dyn Presence) -> NodeId {
    let node = NodeId::random();
    presence.renew(node, LONG).await.expect("a lease");
    node
}

async fn set(presence: &dyn Presence, node: NodeId, key: &Key, sessions: usize) -> Updated {
    let updated = presence.update(node, &[(key.clone(), sessions)]).await.expect("recorded");
    assert_eq!(updated.len(), 1, "a result for each key");
    updated[0]
}

async fn nodes(presence: &dyn Presence, key: &Key) -> Vec<NodeSessions> {
    presence.nodes(std::slice::from_ref(key)).await.expect("read").remove(0)
}

/// The keys that leave when this node renews its lease and sweeps.
async fn sweep(presence: &dyn Presence, node: NodeId) -> Vec<Key> {
    let mut left = Vec::new();
    loop {
        presence.renew(node, LONG).await.expect("a lease");
        let swept = presence.sweep(node).await.expect("a part");
        left.extend(swept.left);
        if !swept.more {
            return left;
        }
    }
}

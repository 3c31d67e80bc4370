//! The members of a group on all nodes, over real sockets.
#![cfg(feature = "warp")]

mod support;

use std::time::Duration;

use keywire::Hub;
use keywire::auth::RawKey;
use keywire::cluster::presence::{MemoryPresence, Presence};
use keywire::cluster::{Cluster, GroupMembers, MemoryBackplane, NodeId};
use support::old_node::OldNode;
use support::{Client, Server, until};

/// Nodes that share presence.
#[derive(Default)]
struct Nodes {
    backplane: MemoryBackplane,
    presence: MemoryPresence,
}

/// Longer than an answer takes, whatever else the machine does.
const PATIENT: Duration = Duration::from_secs(60);

impl Nodes {
    fn cluster(&self) -> Cluster {
        Cluster::from(self.backplane.join()).presence(self.presence.clone()).answer_timeout(PATIENT)
    }

    async fn start(&self, cluster: Cluster) -> Server {
        let hub = Hub::builder(RawKey::from_path()).cluster(cluster).build();
        let node = hub.node();
        until("the lease", async || match self.presence.live_nodes().await {
            Ok(nodes) if nodes.contains(&node) && hub.health().is_good() => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        Server::start(hub).await
    }
}

/// A client that is in the room.
async fn member(server: &Server, key: &str) -> Client {
    let client = server.client(key).await;
    for session in server.hub.sessions(key).await {
        session.join("room").await.expect("a member");
    }
    client
}

fn names(members: &GroupMembers) -> Vec<&str> {
    let mut names: Vec<_> = members.keys.iter().map(|key| key.as_str()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn members_are_counted_on_all_nodes_and_each_key_is_named_once() {
    let nodes = Nodes::default();
    let servers = [
        nodes.start(nodes.cluster()).await,
        nodes.start(nodes.cluster()).await,
        nodes.start(nodes.cluster()).await,
    ];
    let [one, other, without] = &servers;
    let _clients = [
        member(one, "alice").await,
        member(one, "bob").await,
        member(other, "bob").await,
        member(other, "carol").await,
        other.client("dave").await,
    ];
    for server in [one, other, without] {
        let members = server.hub.cluster_members("room", 10).await;
        assert!(members.is_complete(), "{members:?}");
        assert_eq!((members.sessions, members.is_cut, members.answered), (4, false, 3));
        assert_eq!(names(&members), ["alice", "bob", "carol"]);
    }
    for (limit, is_cut) in [(3, false), (2, true), (1, true), (0, true)] {
        let members = without.hub.cluster_members("room", limit).await;
        assert_eq!((members.sessions, members.keys.len(), members.is_cut), (4, limit, is_cut));
        assert!(members.is_complete());
    }
    assert_eq!(one.hub.members("room").await, 2, "on this node");
    let nobody = one.hub.cluster_members("empty", 10).await;
    assert!(nobody.is_complete() && nobody.sessions == 0 && !nobody.is_cut);
    assert_eq!(one.hub.cluster_members("", 10).await.answered, 0);
}

#[tokio::test]
async fn a_hub_without_a_cluster_answers_for_itself() {
    let server = Server::start(Hub::builder(RawKey::from_path()).build()).await;
    let _alice = member(&server, "alice").await;
    let members = server.hub.cluster_members("room", 10).await;
    assert!(members.is_complete());
    assert_eq!((members.sessions, members.answered, names(&members)), (1, 1, vec!["alice"]));
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_named() {
    let nodes = Nodes::default();
    let (one, other) = (
        nodes.start(nodes.cluster().answer_timeout(Duration::from_millis(200))).await,
        nodes.start(nodes.cluster()).await,
    );
    let _clients = (member(&one, "alice").await, member(&other, "bob").await);
    let killed = NodeId::random();
    nodes.presence.renew(killed, Duration::from_secs(60)).await.expect("a lease");
    let members = until("the answer of the other node", async || {
        let members = one.hub.cluster_members("room", 10).await;
        if members.answered == 2 { Ok(members) } else { Err(format!("{members:?}")) }
    })
    .await;
    assert_eq!((members.sessions, &members.unanswered), (2, &Some(vec![killed])));
    assert!(!members.is_complete());

    nodes.backplane.set_available(false);
    let members = other.hub.cluster_members("room", 10).await;
    assert_eq!((members.sessions, members.answered, names(&members)), (1, 1, vec!["bob"]));
    assert!(
        members.unanswered.is_some_and(|nodes| nodes.contains(&one.hub.node())),
        "at once: nobody was asked"
    );
}

#[tokio::test]
async fn without_presence_nobody_knows_whether_all_have_answered() {
    let nodes = Nodes::default();
    let cluster = || nodes.cluster().without_presence().answer_timeout(Duration::from_millis(200));
    let start = async || Server::start(Hub::builder(RawKey::from_path()).cluster(cluster()).build()).await;
    let (one, other) = (start().await, start().await);
    let _bob = member(&other, "bob").await;
    until("the answer of the other node", async || {
        let members = one.hub.cluster_members("room", 10).await;
        assert!(members.unanswered.is_none() && !members.is_complete());
        if members.sessions == 1 { Ok(()) } else { Err(format!("{members:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_node_of_an_earlier_version_drops_the_question_and_is_named() {
    /// A kind that does not exist.
    fn unknown(message: &[u8]) -> Vec<u8> {
        [&message[..1], &[99], &message[2..]].concat()
    }

    let nodes = Nodes::default();
    let one = nodes.start(nodes.cluster().answer_timeout(Duration::from_millis(200))).await;
    let old = nodes
        .start(
            Cluster::new(OldNode { inner: nodes.backplane.join(), unknown }).presence(nodes.presence.clone()),
        )
        .await;
    let mut bob = member(&old, "bob").await;
    let members = one.hub.cluster_members("room", 10).await;
    assert_eq!((members.sessions, &members.unanswered), (0, &Some(vec![old.hub.node()])));
    one.hub.send_to_group("room", keywire::Push::message("hi")).await;
    assert_eq!(bob.next().await["msg"], "hi", "everything else goes on");
    let health = old.hub.health().cluster.expect("a cluster");
    assert_eq!((health.received, health.unreadable), (1, 1));
}

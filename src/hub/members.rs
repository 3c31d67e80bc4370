//! The members of a group on all nodes.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join3;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use super::Hub;
use crate::cluster::members::{Found, NodeMembers, asked, question};
use crate::cluster::{Clustered, GroupMembers};
use crate::deadline::after;
use crate::delivery::{NodeId, Recipients};
use crate::group::{Group, InvalidGroup, valid};

/// Sessions between two turns of other tasks.
const TURN: usize = 4096;

impl Hub {
    /// The members of a group on all nodes: how many sessions, and up to `limit` of their keys. Asks the other nodes and waits for their
    /// answers, at most for [`Cluster::answer_timeout`](crate::cluster::Cluster::answer_timeout).
    ///
    /// [`GroupMembers::is_complete`] tells whether all have answered. Only presence knows which nodes there are: without it the call
    /// waits for the whole time, and its result is never complete. [`Hub::members`] counts the members on this node, without asking.
    ///
    /// ```
    /// # async fn example(hub: keywire::Hub) {
    /// let members = hub.cluster_members("room-7", 100).await;
    /// println!("{} sessions: {:?}", members.sessions, members.keys);
    /// if members.is_cut {
    ///     println!("and more");
    /// }
    /// # }
    /// ```
    ///
    /// An invalid name (logged) has no members.
    pub async fn cluster_members<G>(&self, group: G, limit: usize) -> GroupMembers
    where
        G: TryInto<Group>,
        G::Error: Into<InvalidGroup>,
    {
        let mut found = Found::new(limit);
        let Ok(group) = valid(group) else { return found.of(Some(Vec::new())) };
        let Some(joined) = self.joined() else {
            self.find_here(&mut found, &group, limit).await;
            return found.of(Some(vec![self.node()]));
        };
        let deadline = after(Instant::now(), joined.answer_timeout);
        let (question, everyone) = (question(&group, limit), Recipients::everyone());
        let ask = timeout_at(deadline, joined.store.ask(&everyone, &question));
        let nodes = timeout_at(deadline, self.live_nodes());
        let (answers, nodes, ()) = join3(ask, nodes, self.find_here(&mut found, &group, limit)).await;
        let nodes = nodes.ok().flatten();
        if let Ok(Some(mut answers)) = answers {
            while nodes.as_ref().is_none_or(|nodes| !found.has(nodes)) {
                let Ok((node, body)) = timeout_at(deadline, answers.next()).await else { break };
                if let Some(members) = NodeMembers::decode(body) {
                    found.add(node, members);
                }
            }
        }
        found.of(nodes)
    }

    /// All nodes of the cluster, as far as that is known.
    async fn live_nodes(&self) -> Option<Vec<NodeId>> {
        let presence = self.0.presence.as_ref()?;
        let mut nodes = self.ask_presence(presence.record.live_nodes()).await.ok()?;
        if !nodes.contains(&self.node()) {
            nodes.push(self.node());
        }
        Some(nodes)
    }

    async fn find_here(&self, found: &mut Found, group: &Group, limit: usize) {
        if let Some(members) = self.members_here(group, limit).await {
            found.add(self.node(), members);
        }
    }

    /// The members on this node. `None` if the store fails (logged).
    async fn members_here(&self, group: &Group, limit: usize) -> Option<NodeMembers> {
        if limit == 0 {
            let sessions = self.ask_store("members", || self.store().members(group)).await.ok()?;
            return Some(NodeMembers { sessions, keys: Vec::new(), is_cut: sessions > 0 });
        }
        let sessions = self.sessions_of(&Recipients::group(group.clone())).await.ok()?;
        let (mut keys, mut is_cut) = (HashSet::new(), false);
        for (number, session) in sessions.iter().enumerate() {
            if keys.len() < limit {
                keys.insert(session.key());
            } else if !keys.contains(session.key()) {
                is_cut = true;
                break;
            }
            if number % TURN == TURN - 1 {
                yield_now().await;
            }
        }
        let keys = keys.into_iter().cloned().collect();
        Some(NodeMembers { sessions: sessions.len(), keys, is_cut })
    }

    /// Answers a question of another node, in a task of its own.
    pub(super) fn answer_members(&self, store: &Clustered, asking: NodeId, id: u64, body: Bytes) {
        let Some(joined) = self.joined() else { return };
        let Some((group, limit)) = asked(body) else {
            tracing::debug!(%asking, "a question of another node cannot be read");
            return;
        };
        let Ok(permit) = Arc::clone(&joined.answers).try_acquire_owned() else {
            tracing::debug!(%asking, "a question of another node is not answered: too many at the same time");
            return;
        };
        let (hub, store) = (self.clone(), store.clone());
        tokio::spawn(async move {
            if let Some(members) = hub.members_here(&group, limit).await {
                store.answer(asking, id, &members.encode()).await;
            }
            drop(permit);
        });
    }
}

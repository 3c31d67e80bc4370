//! Presence on JetStream.

mod lease;
mod nodes;
mod record;
mod store;
mod sweep;
mod time;
mod update;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::json;

use self::nodes::Nodes;
use self::record::Record;
use self::store::{Own, Store};
use self::time::millis;
use super::client::Client;
use super::jetstream::Stream;
use super::{NatsError, NatsOptions};
use crate::cluster::NodeId;
use crate::key::Key;
use crate::presence::{ClusterCounts, NodeSessions, Presence, PresenceError, Renewed, Swept, Updated};

/// Presence in a cluster on NATS: [`Nats::presence`](super::Nats::presence).
///
/// The stream `{prefix}-presence` has a message for each key that is online, with the number of its sessions on each node. It is
/// changed by compare-and-set, so exactly one call sees a key arrive or leave. The stream `{prefix}-nodes` has two messages for each
/// node: its lease, and how many sessions it has.
///
/// A renewal takes four requests, or five with more than 500 nodes, whatever the number of keys. All times are compared
/// by the server's clock. After a node's lease has ended, other nodes look through the records of all keys, 4,096 with each renewal.
#[derive(Clone)]
pub struct NatsPresence(Arc<Store>);

/// Requests of one call in flight.
const AT_ONCE: usize = 128;

impl NatsPresence {
    pub(super) async fn open(client: &Arc<Client>, options: &NatsOptions) -> Result<Self, NatsError> {
        let NatsOptions { prefix, replicas, storage, .. } = options;
        let settings = |subjects: String| json!({ "subjects": [subjects], "storage": storage.name(), "max_msgs_per_subject": 1 });
        let (records, beats) = (settings(format!("{prefix}.p.*")), settings(format!("{prefix}.n.*.*")));
        let records = Stream::open(client, format!("{prefix}-presence"), records, *replicas).await?;
        let beats = Stream::open(client, format!("{prefix}-nodes"), beats, *replicas).await?;
        let (own, pass, telling) = Default::default();
        Ok(Self(Arc::new(Store { records, beats, prefix: prefix.clone(), own, pass, telling })))
    }
}

impl Store {
    async fn renew(&self, node: NodeId, duration: Duration) -> Result<Renewed, NatsError> {
        let known = self.own().get(&node).map_or(0, |own| own.lease);
        let previous = self.lease(node).await?;
        let extends = previous.map(|lease| lease.number).filter(|number| *number == known);
        let mut beat = self.beat(node, duration, extends).await?;
        let (mut nodes, mut now) = self.nodes_since(&beat).await?;
        // It ended before the beat came: others may have removed what it stands for.
        let is_over = previous.is_some_and(|previous| previous.end < now);
        if extends.is_some() && is_over {
            beat = self.beat(node, duration, None).await?;
            (nodes, now) = self.nodes_since(&beat).await?;
        }
        let is_new = extends.is_none() || is_over;
        if is_new {
            let has_former = previous.is_some() || self.own().get(&node).is_some_and(|own| own.has_former);
            self.own().insert(node, Own { lease: beat.number, has_former, ..Own::default() });
            self.tell_sessions(node, 0).await?;
        }
        self.own().entry(node).or_default().seen = Some(Arc::new((nodes, now)));
        Ok(Renewed { is_new })
    }

    /// All nodes, those whose leases have not ended, and what the stream of records says of itself.
    async fn alive(&self) -> Result<(Nodes, Vec<NodeId>, serde_json::Value), NatsError> {
        let (nodes, records) = (self.nodes().await?, self.records.info().await?);
        let now =
            records["ts"].as_str().and_then(millis).ok_or(NatsError::Protocol("a stream tells no time"))?;
        let alive = nodes.leases.iter().filter(|lease| lease.end >= now).map(|lease| lease.node).collect();
        Ok((nodes, alive, records))
    }

    async fn counts(&self) -> Result<ClusterCounts, NatsError> {
        let (nodes, alive, records) = self.alive().await?;
        let sessions = nodes.sessions.iter().filter(|(node, _)| alive.contains(node));
        Ok(ClusterCounts {
            nodes: alive.len(),
            keys: records["state"]["messages"].as_u64().and_then(|keys| keys.try_into().ok()).unwrap_or(0),
            sessions: sessions.fold(0, |all, (_, sessions)| all.saturating_add(*sessions)),
        })
    }
}

#[async_trait]
impl Presence for NatsPresence {
    async fn update(&self, node: NodeId, sessions: &[(Key, usize)]) -> Result<Vec<Updated>, PresenceError> {
        let calls =
            sessions.iter().map(|(key, sessions)| self.0.set(node, key, *sessions)).collect::<Vec<_>>();
        let updated = stream::iter(calls).buffered(AT_ONCE).try_collect().await.map_err(failed)?;
        self.0.tell(node).await.map_err(failed)?;
        Ok(updated)
    }

    async fn renew(&self, node: NodeId, lease: Duration) -> Result<Renewed, PresenceError> {
        self.0.renew(node, lease).await.map_err(failed)
    }

    async fn sweep(&self, node: NodeId) -> Result<Swept, PresenceError> {
        self.0.sweep(node).await.map_err(failed)
    }

    async fn nodes(&self, keys: &[Key]) -> Result<Vec<Vec<NodeSessions>>, PresenceError> {
        let subjects: Vec<_> = keys.iter().map(|key| self.0.subject_of(key)).collect();
        let calls = subjects.iter().map(|subject| self.0.record(subject)).collect::<Vec<_>>();
        let records: Vec<_> = stream::iter(calls).buffered(AT_ONCE).try_collect().await.map_err(failed)?;
        let sessions = |(_, record): (u64, Record)| {
            let parts = record.parts().iter();
            parts.map(|part| NodeSessions { node: part.node, sessions: part.sessions }).collect()
        };
        Ok(records.into_iter().map(sessions).collect())
    }

    async fn live_nodes(&self) -> Result<Vec<NodeId>, PresenceError> {
        Ok(self.0.alive().await.map_err(failed)?.1)
    }

    async fn counts(&self) -> Result<ClusterCounts, PresenceError> {
        self.0.counts().await.map_err(failed)
    }
}

impl fmt::Debug for NatsPresence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsPresence").field("prefix", &self.0.prefix).finish_non_exhaustive()
    }
}

fn failed(error: NatsError) -> PresenceError {
    PresenceError::new(error)
}

//! Presence on Redis.

mod leases;
mod scripts;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _};
use tokio::time::Instant;

pub(super) use self::leases::Leases;
use self::scripts::{END, ENDED, NODES, RENEW, SWEEP, UPDATE};
use super::Redis;
use super::error::CallError;
use super::names::Partition;
use super::resp::Value;
use crate::cluster::NodeId;
use crate::key::Key;
use crate::presence::{ClusterCounts, NodeSessions, Presence, PresenceError, Renewed, Swept, Updated};

/// Keys in one script: a longer one would hold up other clients of the server.
const CHUNK: usize = 250;
/// Keys that one call sweeps, more or less.
const SLICE: usize = 4096;
/// Partitions that are swept at the same time.
const AT_ONCE: usize = 32;
/// The lease of a node that records before it has one.
const FIRST: Duration = Duration::from_secs(30);

type Call<T> = Result<T, CallError>;

/// Presence on Redis. It costs about 250 bytes for each key and node.
///
/// Leases are measured by the clock of the server. A server that evicts keys, or that loses them in a failover, forgets who is
/// online until the nodes record it again: set `maxmemory-policy noeviction`.
#[async_trait]
impl Presence for Redis {
    async fn update(&self, node: NodeId, sessions: &[(Key, usize)]) -> Result<Vec<Updated>, PresenceError> {
        let lease = self.lease(node).await?;
        let mut parts = BTreeMap::<Partition, Vec<usize>>::new();
        for (number, (key, _)) in sessions.iter().enumerate() {
            parts.entry(Partition::of(key.as_str())).or_default().push(number);
        }
        let mut calls = Vec::new();
        for (partition, numbers) in &parts {
            for numbers in numbers.chunks(CHUNK) {
                calls.push(self.update_part(node, &lease, *partition, numbers, sessions));
            }
        }
        let mut results = vec![Updated { before: 0, after: 0 }; sessions.len()];
        let mut calls = stream::iter(calls).buffer_unordered(AT_ONCE);
        while let Some(part) = calls.next().await {
            for (number, updated) in part? {
                results[number] = updated;
            }
        }
        Ok(results)
    }

    async fn renew(&self, node: NodeId, lease: Duration) -> Result<Renewed, PresenceError> {
        let _turn = self.shared.leases.turn().await;
        let untold = self.shared.leases.get(node).is_some_and(|lease| lease.untold);
        let (_, is_new) = self.extend(node, lease, false).await?;
        Ok(Renewed { is_new: is_new || untold })
    }

    async fn sweep(&self, _: NodeId) -> Result<Swept, PresenceError> {
        let (partition, leases) = self.leases();
        let ended = self.shared.commands.run(&ENDED, partition, &[leases.as_bytes()], &[]).await?;
        let mut swept = Swept::default();
        for ended in ended.into_array().ok_or(CallError::Unexpected)? {
            let Some((ended, (node, number))) =
                ended.as_str().and_then(|ended| Some((ended, ended.split_once('.')?)))
            else {
                continue;
            };
            let Ok(node) = node.parse() else { continue };
            self.sweep_lease(node, number, &mut swept).await?;
            if swept.more {
                break;
            }
            self.end_lease(ended).await?;
        }
        Ok(swept)
    }

    async fn nodes(&self, keys: &[Key]) -> Result<Vec<Vec<NodeSessions>>, PresenceError> {
        let calls: Vec<_> = keys.iter().map(|key| self.nodes_of(key)).collect();
        let mut found = Vec::with_capacity(keys.len());
        let mut answers = stream::iter(calls).buffered(256);
        while let Some(answer) = answers.next().await {
            let fields = answer?.into_array().ok_or(CallError::Unexpected)?;
            let node = |pair: &[Value]| {
                let (node, value) = (pair[0].as_str()?, pair.get(1)?.as_str()?);
                let sessions = value.split(' ').next()?.parse().ok()?;
                Some(NodeSessions { node: node.parse().ok()?, sessions })
            };
            found.push(fields.chunks(2).filter_map(node).collect());
        }
        Ok(found)
    }

    async fn live_nodes(&self) -> Result<Vec<NodeId>, PresenceError> {
        let (partition, leases) = self.leases();
        let leases = self.shared.commands.run(&NODES, partition, &[leases.as_bytes()], &[]).await?;
        let leases = leases.into_array().ok_or(CallError::Unexpected)?;
        let node = |lease: &Value| lease.as_str()?.split_once('.')?.0.parse().ok();
        Ok(leases.iter().filter_map(node).collect())
    }

    async fn counts(&self) -> Result<ClusterCounts, PresenceError> {
        let nodes = self.live_nodes().await?.len();
        let calls = Partition::all().map(async |partition| {
            let name = self.counters(partition);
            self.shared.commands.call(partition, &[b"HMGET", name.as_bytes(), b"keys", b"sessions"]).await
        });
        let number = |value: &Value| usize::try_from(value.as_int().unwrap_or(0)).unwrap_or(0);
        let mut counts = ClusterCounts { nodes, ..ClusterCounts::default() };
        for answer in try_join_all(calls).await? {
            let fields = answer.into_array().unwrap_or_default();
            counts.keys += fields.first().map_or(0, number);
            counts.sessions += fields.get(1).map_or(0, number);
        }
        Ok(counts)
    }
}

impl Redis {
    /// The leases of all nodes.
    fn leases(&self) -> (Partition, String) {
        let partition = Partition::of("");
        (partition, self.shared.names.of(partition, 'e', ""))
    }

    async fn nodes_of(&self, key: &Key) -> Call<Value> {
        let partition = Partition::of(key.as_str());
        let name = self.shared.names.of(partition, 'p', key.as_str());
        self.shared.commands.call(partition, &[b"HGETALL", name.as_bytes()]).await
    }

    fn counters(&self, partition: Partition) -> String {
        self.shared.names.of(partition, 'c', "")
    }

    /// The number of a lease that has not ended. Without one, no sweep would ever find what is recorded.
    async fn lease(&self, node: NodeId) -> Call<String> {
        let lease = || self.shared.leases.get(node).filter(|lease| !lease.has_ended());
        if let Some(lease) = lease() {
            return Ok(lease.number);
        }
        let _turn = self.shared.leases.turn().await;
        match lease() {
            Some(lease) => Ok(lease.number),
            None => Ok(self.extend(node, FIRST, true).await?.0),
        }
    }

    /// Extends a lease. Returns its number, and whether it is new. With `by_update` the node is told of a new lease later.
    async fn extend(&self, node: NodeId, lease: Duration, by_update: bool) -> Call<(String, bool)> {
        let known = self.shared.leases.get(node).map(|lease| lease.number).unwrap_or_default();
        let (name, millis) = (node.to_string(), lease.as_millis().min(1 << 50).to_string());
        let (partition, leases) = self.leases();
        let arguments = [name.as_bytes(), known.as_bytes(), millis.as_bytes()];
        let since = Instant::now();
        let answer = self.shared.commands.run(&RENEW, partition, &[leases.as_bytes()], &arguments).await?;
        let parse = || {
            let mut parts = answer.into_array()?.into_iter();
            Some((parts.next()?.as_str()?.to_owned(), parts.next()?.as_int()? != 0))
        };
        let (number, is_new) = parse().ok_or(CallError::Unexpected)?;
        self.shared.leases.set(node, number.clone(), since, lease, by_update && is_new);
        Ok((number, is_new))
    }

    async fn end_lease(&self, lease: &str) -> Call<()> {
        let (partition, leases) = self.leases();
        self.shared.commands.run(&END, partition, &[leases.as_bytes()], &[lease.as_bytes()]).await?;
        Ok(())
    }

    /// Records the sessions of keys in one partition.
    async fn update_part(
        &self,
        node: NodeId,
        lease: &str,
        partition: Partition,
        numbers: &[usize],
        sessions: &[(Key, usize)],
    ) -> Call<Vec<(usize, Updated)>> {
        let (node, names) = (node.to_string(), &self.shared.names);
        let mut keys = vec![self.counters(partition), names.of(partition, 'n', &format!("{node}.{lease}"))];
        let mut arguments = vec![node, lease.to_owned()];
        for (key, count) in numbers.iter().filter_map(|number| sessions.get(*number)) {
            keys.push(names.of(partition, 'p', key.as_str()));
            arguments.extend([key.to_string(), count.to_string()]);
        }
        let keys: Vec<_> = keys.iter().map(String::as_bytes).collect();
        let arguments: Vec<_> = arguments.iter().map(String::as_bytes).collect();
        let answer = self.shared.commands.run(&UPDATE, partition, &keys, &arguments).await?;
        let counts = answer.into_array().filter(|counts| counts.len() == 2 * numbers.len());
        let counts = counts.ok_or(CallError::Unexpected)?;
        let count = |value: &Value| usize::try_from(value.as_int().unwrap_or(0)).unwrap_or(0);
        let updated =
            counts.chunks(2).map(|pair| Updated { before: count(&pair[0]), after: count(&pair[1]) });
        Ok(numbers.iter().copied().zip(updated).collect())
    }

    /// Removes what was recorded under a lease, some thousand keys at most.
    async fn sweep_lease(&self, node: NodeId, lease: &str, swept: &mut Swept) -> Call<()> {
        let all: Vec<_> = Partition::all().collect();
        let mut removed = 0;
        for partitions in all.chunks(AT_ONCE) {
            let most = SLICE / AT_ONCE;
            let parts = partitions.iter().map(|part| self.sweep_part(node, lease, *part, most));
            for (count, left) in try_join_all(parts).await? {
                removed += count;
                swept.left.extend(left);
                swept.more |= count == most;
            }
            if removed >= SLICE {
                swept.more = true;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Removes some keys of one partition. Returns how many, and which of them have left.
    async fn sweep_part(
        &self,
        node: NodeId,
        lease: &str,
        partition: Partition,
        most: usize,
    ) -> Call<(usize, Vec<Key>)> {
        let (node, names) = (node.to_string(), &self.shared.names);
        let keys = [self.counters(partition), names.of(partition, 'n', &format!("{node}.{lease}"))];
        let (prefix, most) = (names.of(partition, 'p', ""), most.to_string());
        let arguments = [node.as_bytes(), lease.as_bytes(), prefix.as_bytes(), most.as_bytes()];
        let keys = [keys[0].as_bytes(), keys[1].as_bytes()];
        let answer = self.shared.commands.run(&SWEEP, partition, &keys, &arguments).await?;
        let parse = || {
            let mut parts = answer.into_array()?.into_iter();
            let removed = usize::try_from(parts.next()?.as_int()?).ok()?;
            let left = parts.next()?.into_array()?;
            let left = left.iter().filter_map(|key| Key::new(key.as_str()?).ok()).collect();
            Some((removed, left))
        };
        parse().ok_or(CallError::Unexpected)
    }
}

impl From<CallError> for PresenceError {
    fn from(error: CallError) -> Self {
        Self::new(error)
    }
}

use std::time::Duration;

use super::super::NatsError;
use super::super::headers::HeadersOut;
use super::nodes::{Beat, LEASE, Lease, Nodes, SESSIONS};
use super::store::Store;
use crate::cluster::NodeId;

/// Messages of one request.
const MESSAGES: usize = 1000;
const BYTES: usize = 1024 * 1024;

/// A replica may be behind for a moment.
const ATTEMPTS: u64 = 10;

impl Store {
    fn subject(&self, node: NodeId, kind: &str) -> String {
        format!("{}.n.{node}.{kind}", self.prefix)
    }

    /// Reads what all nodes say of themselves: a request for a thousand messages.
    pub(super) async fn nodes(&self) -> Result<Nodes, NatsError> {
        let (all, mut nodes) = (format!("{}.n.*.*", self.prefix), Nodes::default());
        loop {
            let found = self.beats.from(&all, nodes.last + 1, MESSAGES, BYTES).await?;
            let Some(last) = found.last() else { return Ok(nodes) };
            nodes.last = last.seq;
            for stored in &found {
                let mut words = stored.subject.rsplit('.');
                let (kind, node) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                if let Ok(node) = node.parse() {
                    let _ = nodes.add(node, kind, stored);
                }
            }
        }
    }

    /// The number and the end of a node's lease, which may have ended.
    pub(super) async fn lease(&self, node: NodeId) -> Result<Option<Lease>, NatsError> {
        let Some(stored) = self.beats.last(&self.subject(node, LEASE)).await? else { return Ok(None) };
        let mut nodes = Nodes::default();
        let _ = nodes.add(node, LEASE, &stored);
        Ok(nodes.leases.pop())
    }

    /// Begins a lease, or extends it.
    pub(super) async fn beat(
        &self,
        node: NodeId,
        duration: Duration,
        extends: Option<u64>,
    ) -> Result<Beat, NatsError> {
        let duration = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let payload = format!("{duration} {}", extends.unwrap_or(0));
        let subject = self.subject(node, LEASE);
        let ack = self.beats.put(&subject, &HeadersOut::new(), &[payload.as_bytes()]).await?;
        Ok(Beat {
            node,
            seq: ack.seq,
            number: extends.filter(|number| *number > 0).unwrap_or(ack.seq),
            duration,
        })
    }

    /// All nodes, as they were at the time of this beat or later. Returns that time too: what was said before it is in there.
    pub(super) async fn nodes_since(&self, beat: &Beat) -> Result<(Nodes, u64), NatsError> {
        for attempt in 0..ATTEMPTS {
            let nodes = self.nodes().await?;
            if let Some(lease) = nodes.lease(beat.node).copied().filter(|lease| lease.number == beat.number)
                && nodes.last >= beat.seq
            {
                return Ok((nodes, lease.end.saturating_sub(beat.duration)));
            }
            // A replica may be behind.
            tokio::time::sleep(Duration::from_millis(10 * attempt)).await;
        }
        Err(NatsError::Protocol("a lease that was written is not there"))
    }

    pub(super) async fn tell_sessions(&self, node: NodeId, sessions: usize) -> Result<(), NatsError> {
        let subject = self.subject(node, SESSIONS);
        self.beats.put(&subject, &HeadersOut::new(), &[sessions.to_string().as_bytes()]).await.map(drop)
    }

    /// Removes what a node has said, up to this message.
    pub(super) async fn remove_node(&self, node: NodeId, last: u64) -> Result<(), NatsError> {
        self.beats.purge(&self.subject(node, "*"), last.checked_add(1)).await
    }
}

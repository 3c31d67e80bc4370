use std::time::Duration;

use super::super::NatsError;
use super::super::headers::HeadersOut;
use super::super::jetstream::Stored;
use super::Inner;
use super::record::Part;
use super::time::millis;
use crate::cluster::NodeId;

/// The lease of a node, which the node's last beat carries. All times are the server's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    pub(super) node: NodeId,
    /// Number of the beat with which it began. A lease that has ended is not extended: the next beat begins another one.
    pub(super) number: u64,
    /// Number of the last beat, or of the node's last message.
    pub(super) last: u64,
    /// In milliseconds since 1970.
    pub(super) end: u64,
}

/// A message that extends a lease.
#[derive(Debug)]
pub(super) struct Beat {
    node: NodeId,
    seq: u64,
    /// That of the lease.
    pub(super) number: u64,
    duration: u64,
}

const ATTEMPTS: u64 = 10;

/// What the nodes say of themselves.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    pub(super) leases: Vec<Lease>,
    pub(super) sessions: Vec<(NodeId, usize)>,
    /// The number of the last message. A lease that began later is not in here.
    last: u64,
}

/// Messages of one request.
const MESSAGES: usize = 1000;
const BYTES: usize = 1024 * 1024;

impl Nodes {
    pub(super) fn lease(&self, node: NodeId) -> Option<&Lease> {
        self.leases.iter().find(|lease| lease.node == node)
    }

    /// Whether what was recorded under a lease counts no more.
    pub(super) fn is_dead(&self, part: &Part, now: u64) -> bool {
        match self.lease(part.node) {
            Some(lease) if lease.number == part.lease => lease.end < now,
            Some(lease) => part.lease < lease.number,
            // It was removed, unless it is newer than what is known here.
            None => part.lease <= self.last,
        }
    }

    fn add(&mut self, node: NodeId, kind: &str, stored: &Stored) -> Option<()> {
        let text = str::from_utf8(&stored.payload).ok()?;
        if kind == SESSIONS {
            self.sessions.push((node, text.parse().ok()?));
            if let Some(lease) = self.leases.iter_mut().find(|lease| lease.node == node) {
                lease.last = lease.last.max(stored.seq);
            }
            return Some(());
        }
        let (duration, number) = text.split_once(' ')?;
        let (duration, number) = (duration.parse::<u64>().ok()?, number.parse::<u64>().ok()?);
        // A lease that begins has the number of its own message.
        let number = if number == 0 { stored.seq } else { number };
        let end = millis(&stored.time)?.saturating_add(duration);
        self.leases.push(Lease { node, number, last: stored.seq, end });
        Some(())
    }
}

/// Kinds of messages of a node.
const LEASE: &str = "lease";
const SESSIONS: &str = "sessions";

impl Inner {
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
                    // Another version of keywire may say more.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_depends_on_the_lease() {
        let node = NodeId::from_bits;
        let lease = |node, number, end| Lease { node, number, last: number, end };
        let nodes = Nodes {
            leases: vec![lease(node(1), 10, 1000), lease(node(2), 20, 3000)],
            last: 30,
            ..Nodes::default()
        };
        for (bits, number, is_dead) in [
            (1, 10, true),
            // It came back after this was read.
            (1, 31, false),
            (2, 20, false),
            (2, 19, true),
            (3, 30, true),
            (3, 31, false),
        ] {
            let part = Part { node: node(bits), lease: number, sessions: 1 };
            assert_eq!(nodes.is_dead(&part, 2000), is_dead, "{part:?}");
        }
    }
}

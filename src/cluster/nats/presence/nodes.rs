//! What nodes say of themselves, without I/O.

use super::super::jetstream::Stored;
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
    pub(super) node: NodeId,
    pub(super) seq: u64,
    /// That of the lease.
    pub(super) number: u64,
    pub(super) duration: u64,
}

/// What the nodes say of themselves.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    pub(super) leases: Vec<Lease>,
    pub(super) sessions: Vec<(NodeId, usize)>,
    /// The number of the last message. A lease that began later is not in here.
    pub(super) last: u64,
}

/// Kinds of messages of a node.
pub(super) const LEASE: &str = "lease";
pub(super) const SESSIONS: &str = "sessions";

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

    /// Adds a message of a node. `None` if it cannot be read: another version of keywire may say more.
    pub(super) fn add(&mut self, node: NodeId, kind: &str, stored: &Stored) -> Option<()> {
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

use crate::cluster::NodeId;

/// The sessions of a key, for each node: the message of its subject.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Record(Vec<Part>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) node: NodeId,
    /// The lease under which the node has recorded it, see [`Lease`](super::lease::Lease).
    pub(super) lease: u64,
    pub(super) sessions: usize,
}

impl Record {
    /// Reads `{node} {lease} {sessions}`, separated by commas.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let text = str::from_utf8(payload).ok()?;
        let part = |text: &str| {
            let mut words = text.split(' ');
            let (node, lease, sessions) = (words.next()?, words.next()?, words.next()?);
            let (node, lease, sessions) = (node.parse().ok()?, lease.parse().ok()?, sessions.parse().ok()?);
            words.next().is_none().then_some(Part { node, lease, sessions })
        };
        let parts = text.split(',').filter(|part| !part.is_empty());
        parts.map(part).collect::<Option<_>>().map(Self)
    }

    pub(super) fn to_text(&self) -> String {
        let part = |part: &Part| format!("{} {} {}", part.node, part.lease, part.sessions);
        self.0.iter().map(part).collect::<Vec<_>>().join(",")
    }

    pub(super) fn total(&self) -> usize {
        self.0.iter().fold(0, |total, part| total.saturating_add(part.sessions))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number that a node has recorded under a lease.
    pub(super) fn of(&self, node: NodeId, lease: u64) -> usize {
        self.0.iter().find(|part| part.node == node && part.lease == lease).map_or(0, |part| part.sessions)
    }

    /// The same record with this number for this node, which replaces all that it has recorded under any lease.
    pub(super) fn with(&self, new: Part) -> Self {
        let others = self.0.iter().filter(|part| part.node != new.node);
        Self(others.chain(Some(&new).filter(|new| new.sessions > 0)).copied().collect())
    }

    /// The same record without some parts.
    pub(super) fn without(&self, is_removed: impl Fn(&Part) -> bool) -> Self {
        Self(self.0.iter().filter(|part| !is_removed(part)).copied().collect())
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(node: u64, lease: u64, sessions: usize) -> Part {
        Part { node: NodeId::from_bits(node), lease, sessions }
    }

    #[test]
    fn a_node_has_one_part() {
        let record = Record::default().with(part(1, 5, 2)).with(part(2, 6, 1)).with(part(1, 7, 3));
        assert_eq!(record.to_text(), "0000000000000002 6 1,0000000000000001 7 3");
        assert_eq!(Record::read(record.to_text().as_bytes()), Some(record.clone()));
        assert_eq!(
            (record.total(), record.of(NodeId::from_bits(1), 7), record.of(NodeId::from_bits(1), 5)),
            (4, 3, 0)
        );
        let record = record.with(part(1, 7, 0)).without(|part| part.lease == 6);
        assert!(record.is_empty());
        assert_eq!(Record::read(b""), Some(record));
        for wrong in
            ["a", "0000000000000002 6", "0000000000000002 6 1 2", "0000000000000002 6 -1", "2 6 1", "\u{e9}"]
        {
            assert_eq!(Record::read(wrong.as_bytes()), None, "{wrong}");
        }
    }
}

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Identifies a node of a cluster: one hub, until it ends. Drawn at random.
///
/// As a string it is 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u64);

impl NodeId {
    /// A new id.
    #[must_use]
    pub fn random() -> Self {
        // Each state has a key that the operating system drew for this thread, and a counter.
        Self(RandomState::new().hash_one(std::time::SystemTime::now()))
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }
}

/// A string is not a [`NodeId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a node id is 16 hexadecimal digits")]
pub struct InvalidNodeId(());

impl FromStr for NodeId {
    type Err = InvalidNodeId;

    fn from_str(text: &str) -> Result<Self, InvalidNodeId> {
        let id = u64::from_str_radix(text, 16).map(Self).map_err(|_| InvalidNodeId(()))?;
        if id.to_string() == text { Ok(id) } else { Err(InvalidNodeId(())) }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_has_one_form() {
        let id = NodeId::random();
        assert_ne!(id, NodeId::random());
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in ["", "1", "+00000000000000a", "000000000000000A", "00000000000000001"] {
            assert!(wrong.parse::<NodeId>().is_err(), "{wrong}");
        }
    }
}

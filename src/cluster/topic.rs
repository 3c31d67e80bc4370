use std::fmt;

use smol_str::SmolStr;

use crate::delivery::{NodeId, Target};
use crate::group::Group;
use crate::key::Key;

/// What the nodes of a cluster subscribe to: one topic for each key, one for each group, one for each node and one for all nodes.
///
/// As a string it is `k:` and the key, `g:` and the group, `n:` and the id of the node, or `all`. It contains any characters that keys contain, spaces among
/// them, and has at most 258 bytes. A topic takes 24 bytes and stores up to 23 bytes of its string inline.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(SmolStr);

const KEY: &str = "k:";
const GROUP: &str = "g:";
const NODE: &str = "n:";
const ALL: &str = "all";

impl Topic {
    /// The topic of all nodes.
    pub const ALL: Self = Self(SmolStr::new_static(ALL));

    /// The topic of a key.
    #[must_use]
    pub fn key(key: &Key) -> Self {
        Self(smol_str::format_smolstr!("{KEY}{key}"))
    }

    /// The topic of a group.
    #[must_use]
    pub fn group(group: &Group) -> Self {
        Self(smol_str::format_smolstr!("{GROUP}{group}"))
    }

    /// The topic of a node, to which others publish their answers to its questions.
    #[must_use]
    pub fn node(node: NodeId) -> Self {
        Self(smol_str::format_smolstr!("{NODE}{node}"))
    }

    /// The topic with this form, if it is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let topic = Self(text.into());
        let is_node = || text.strip_prefix(NODE).is_some_and(|id| id.parse::<NodeId>().is_ok());
        (topic.target().is_some() || is_node()).then_some(topic)
    }

    /// The topic as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The sessions that a message to this topic is for. `None` for the topic of a node.
    pub(crate) fn target(&self) -> Option<Target> {
        match self.as_str().split_at_checked(KEY.len()) {
            Some((KEY, key)) => Some(Target::Key(Key::new(key).ok()?)),
            Some((GROUP, group)) => Some(Target::Group(Group::new(group).ok()?)),
            _ if self.as_str() == ALL => Some(Target::Everyone),
            _ => None,
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_one_form() {
        let (key, group) = (Key::new("a b:c").unwrap(), Group::new("k:a").unwrap());
        for (topic, form, target) in [
            (Topic::key(&key), "k:a b:c", Target::Key(key.clone())),
            (Topic::group(&group), "g:k:a", Target::Group(group.clone())),
            (Topic::ALL, "all", Target::Everyone),
        ] {
            assert_eq!((topic.as_str(), topic.target()), (form, Some(target)));
            assert_eq!(Topic::parse(form), Some(topic));
        }
        let node = Topic::node(NodeId::from_bits(0xab));
        assert_eq!((node.as_str(), node.target()), ("n:00000000000000ab", None));
        assert_eq!(Topic::parse("n:00000000000000ab"), Some(node));
        for wrong in ["n:", "n:ab", "n:00000000000000AB", "n:00000000000000ag", "n:+0000000000000ab"] {
            assert_eq!(Topic::parse(wrong), None, "{wrong}");
        }
        for wrong in ["", "k:", "g:", "k:two\nlines", "al", "all ", "x:a", "é", "kä"] {
            assert_eq!(Topic::parse(wrong), None, "{wrong}");
        }
    }
}

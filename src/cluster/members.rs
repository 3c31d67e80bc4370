use std::collections::HashSet;

use bytes::{Buf as _, BufMut as _, Bytes};
use serde::Serialize;

use super::Question;
use crate::delivery::NodeId;
use crate::group::Group;
use crate::key::Key;

/// The members of a group on all nodes, from [`Hub::cluster_members`](crate::Hub::cluster_members).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct GroupMembers {
    /// The number of sessions in the group.
    pub sessions: usize,
    /// Their keys, each once, in no order. At most as many as asked for.
    pub keys: Vec<Key>,
    /// There are more keys than these.
    pub is_cut: bool,
    /// The number of nodes that have answered, this one included.
    pub answered: usize,
    /// The nodes that have not answered in time. `None`: which nodes there are is not known, since the cluster has no presence or it
    /// cannot be read.
    pub unanswered: Option<Vec<NodeId>>,
}

impl GroupMembers {
    /// Whether all nodes have answered, so that `sessions` counts all members.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unanswered.as_ref().is_some_and(Vec::is_empty)
    }
}

/// The members on one node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct NodeMembers {
    pub(crate) sessions: usize,
    pub(crate) keys: Vec<Key>,
    pub(crate) is_cut: bool,
}

/// The subject of a question for members. The body is the most keys (4 bytes) and the group. The answer is the number of sessions
/// (8 bytes), whether keys were cut (1 byte), and keys, each with its length (2 bytes) in front.
pub(crate) const MEMBERS: u8 = 1;

/// Bytes of keys in an answer. An engine takes messages of this size.
const MOST: usize = 256 * 1024;

pub(crate) fn question(group: &Group, limit: usize) -> Question {
    let mut body = Vec::with_capacity(4 + group.as_str().len());
    body.put_u32(u32::try_from(limit).unwrap_or(u32::MAX));
    body.put_slice(group.as_str().as_bytes());
    Question { subject: MEMBERS, body: body.into() }
}

/// The group and the most keys of a question.
pub(crate) fn asked(mut body: Bytes) -> Option<(Group, usize)> {
    let limit = usize::try_from(body.try_get_u32().ok()?).unwrap_or(usize::MAX);
    Some((Group::new(str::from_utf8(&body).ok()?).ok()?, limit))
}

impl NodeMembers {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(9 + self.keys.len().min(MOST / 32) * 32);
        body.put_u64(self.sessions as u64);
        body.put_u8(self.is_cut.into());
        for key in &self.keys {
            let name = key.as_str();
            // A key has 256 bytes at most.
            let Ok(len) = u16::try_from(name.len()) else { continue };
            if body.len() + 2 + name.len() > MOST {
                body[8] = 1;
                break;
            }
            body.put_u16(len);
            body.put_slice(name.as_bytes());
        }
        body
    }

    pub(crate) fn decode(mut body: Bytes) -> Option<Self> {
        let sessions = usize::try_from(body.try_get_u64().ok()?).ok()?;
        let is_cut = body.try_get_u8().ok()? != 0;
        let mut keys = Vec::new();
        while !body.is_empty() {
            let len = usize::from(body.try_get_u16().ok()?);
            let name = (body.len() >= len).then(|| body.split_to(len))?;
            keys.push(Key::new(str::from_utf8(&name).ok()?).ok()?);
        }
        Some(Self { sessions, keys, is_cut })
    }
}

/// Puts the answers of the nodes together.
#[derive(Debug)]
pub(crate) struct Found {
    limit: usize,
    sessions: usize,
    keys: HashSet<Key>,
    is_cut: bool,
    answered: HashSet<NodeId>,
}

impl Found {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, sessions: 0, keys: HashSet::new(), is_cut: false, answered: HashSet::new() }
    }

    /// A second answer of a node does not count.
    pub(crate) fn add(&mut self, node: NodeId, members: NodeMembers) {
        if !self.answered.insert(node) {
            return;
        }
        self.sessions = self.sessions.saturating_add(members.sessions);
        self.is_cut |= members.is_cut;
        for key in members.keys {
            if self.keys.len() < self.limit {
                self.keys.insert(key);
            } else if !self.keys.contains(&key) {
                self.is_cut = true;
                break;
            }
        }
    }

    pub(crate) fn has(&self, nodes: &[NodeId]) -> bool {
        nodes.iter().all(|node| self.answered.contains(node))
    }

    /// What has been found, if these are all nodes.
    pub(crate) fn of(self, nodes: Option<Vec<NodeId>>) -> GroupMembers {
        let Self { sessions, is_cut, answered, .. } = self;
        let unanswered =
            nodes.map(|nodes| nodes.into_iter().filter(|node| !answered.contains(node)).collect());
        GroupMembers {
            sessions,
            keys: self.keys.into_iter().collect(),
            is_cut,
            answered: answered.len(),
            unanswered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(names: impl IntoIterator<Item = String>) -> NodeMembers {
        let keys: Vec<_> = names.into_iter().map(|name| Key::new(name).unwrap()).collect();
        NodeMembers { sessions: keys.len(), keys, is_cut: false }
    }

    #[test]
    fn a_question_and_an_answer_are_read_as_they_were_written() {
        let group = Group::new("room 7").unwrap();
        for limit in [0, 7, usize::MAX] {
            let expected = limit.min(u32::MAX as usize);
            assert_eq!(asked(question(&group, limit).body), Some((group.clone(), expected)));
        }
        for answer in
            [members([]), members(["alice".to_owned(), "b ö".to_owned(), "x".repeat(Key::MAX_BYTES)])]
        {
            let body = Bytes::from(answer.encode());
            for cut in 1..body.len() {
                assert_ne!(NodeMembers::decode(body.slice(..cut)), Some(answer.clone()));
            }
            assert_eq!(NodeMembers::decode(body), Some(answer));
        }
        let many = members((0..20_000).map(|number| format!("{number:>020}").replace(' ', "0")));
        let body = many.encode();
        assert!(body.len() <= MOST && body.len() > MOST - 32);
        let read = NodeMembers::decode(body.into()).unwrap();
        assert!(read.is_cut && read.sessions == 20_000 && many.keys.starts_with(&read.keys));
    }

    #[test]
    fn answers_are_put_together() {
        let nodes = [1, 2, 3].map(NodeId::from_bits);
        let names = |range: std::ops::Range<u8>| members(range.map(|number| number.to_string()));
        let mut found = Found::new(5);
        found.add(nodes[0], names(0..3));
        found.add(nodes[1], names(1..5));
        found.add(nodes[1], names(5..9));
        assert!(found.has(&nodes[..2]) && !found.has(&nodes));
        let found = found.of(Some(nodes.to_vec()));
        assert_eq!((found.sessions, found.keys.len(), found.is_cut, found.answered), (7, 5, false, 2));
        assert!(!found.is_complete() && found.unanswered == Some(vec![nodes[2]]));
        let mut found = Found::new(2);
        found.add(nodes[0], names(0..3));
        let found = found.of(Some(vec![nodes[0]]));
        assert!(found.is_complete() && found.is_cut && found.keys.len() == 2);
        assert!(!Found::new(2).of(None).is_complete(), "nobody knows");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_refused_or_an_answer(body in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
            let body = Bytes::from(body);
            let _ = asked(body.clone());
            if let Some(read) = NodeMembers::decode(body) {
                proptest::prop_assert_eq!(NodeMembers::decode(read.encode().into()), Some(read));
            }
        }
    }
}

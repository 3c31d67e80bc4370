use bytes::Bytes;

use super::{Content, Received, decode, encode, encode_answer, encode_question};
use crate::cluster::members::{NodeMembers, asked};
use crate::cluster::{Topic, requests};
use crate::delivery::NodeId;
use crate::group::Group;
use crate::key::Key;

/// Checks that a message of another node is refused or understood: what is decoded is decoded again after it was encoded.
pub fn form(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    let _ = asked(message.clone());
    if let Some(members) = NodeMembers::decode(message.clone()) {
        assert_eq!(NodeMembers::decode(members.encode().into()), Some(members));
    }
    requests::fuzz(&message);
    let (key, group) = (Key::new("alice").expect("a key"), Group::new("room").expect("a group"));
    for topic in [Topic::key(&key), Topic::group(&group), Topic::node(NodeId::from_bits(7)), Topic::ALL] {
        let Some(Received { node, content }) = decode(&topic, message.clone()) else { continue };
        let again = match &content {
            Content::Order { to, order, older_than } => encode(node, to, order, *older_than),
            Content::Question { to, id, question } => encode_question(node, to, *id, question),
            Content::Answer { id, body } => encode_answer(node, *id, body),
        };
        assert_eq!(decode(&topic, again), Some(Received { node, content }));
    }
}

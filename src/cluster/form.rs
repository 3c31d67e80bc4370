//! The form of messages between nodes, see docs/cluster.md.
//!
//! ```text
//! version  1 byte   1
//! kind     1 byte   1 deliver, 2 keep, 3 close, 4 catch up, 5 question, 6 answer
//! node     8 bytes  the node that published it
//! fields            each: tag (1 byte), length (1 byte), value; then a zero byte
//! body              the rest
//! ```
//!
//! The field with tag 1 is the only session that gets it, tag 2 the session that does not. Tag 3, in a close: only if the session
//! with tag 2 is newer than those of the receiving node; its value is the time of its opening, in milliseconds since 1970. A node skips fields with tags from 128
//! that it does not know, and drops a message with another unknown field, kind or version.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::Topic;
use crate::delivery::{Entry, NodeId, Order, Recipients, SessionId, Target};
use crate::frame::Frame;
use crate::text::Text;
use crate::websocket::CloseCode;

const VERSION: u8 = 1;

const DELIVER: u8 = 1;
const KEEP: u8 = 2;
const CLOSE: u8 = 3;
const CATCH_UP: u8 = 4;
const QUESTION: u8 = 5;
const ANSWER: u8 = 6;

const FIELDS_END: u8 = 0;
const SESSION: u8 = 1;
const EXCEPT: u8 = 2;
const SINCE: u8 = 3;
/// From here on a field may be skipped by a node that does not know it.
const OPTIONAL: u8 = 128;

/// Which of two sessions of a key on different nodes is the newer one: by the clocks of their nodes, or else by their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seniority {
    /// Milliseconds since 1970.
    pub(super) since: u64,
    pub(super) session: SessionId,
}

/// Encodes an order of `node`, for sessions that are older than `older_than`. The topic it is published to says the rest about the
/// recipients.
pub(super) fn encode(node: NodeId, to: &Recipients, order: &Order, older_than: Option<Seniority>) -> Bytes {
    let (kind, body) = match order {
        Order::Deliver(frame) => (DELIVER, frame.as_bytes().len()),
        Order::Keep(entry) => (KEEP, entry.push.len() + 96),
        Order::Close(_, reason) => (CLOSE, 2 + reason.len()),
        Order::CatchUp => (CATCH_UP, 0),
    };
    let mut bytes = head(kind, node, body);
    put_recipients(&mut bytes, to);
    if let Some(Seniority { since, .. }) = older_than {
        bytes.put_u8(SINCE);
        bytes.put_u8(8);
        bytes.put_u64(since);
    }
    bytes.put_u8(FIELDS_END);
    match order {
        Order::Deliver(frame) => bytes.put_slice(frame.as_bytes()),
        Order::Keep(entry) => {
            bytes.put_slice(format!("{} {} {} ", entry.at, entry.prev, entry.time).as_bytes());
            bytes.put_slice(entry.push.as_bytes());
        }
        Order::Close(code, reason) => {
            bytes.put_u16((*code).into());
            bytes.put_slice(reason.as_bytes());
        }
        Order::CatchUp => {}
    }
    bytes.freeze()
}

/// Encodes a question of `node`. The answer goes to the topic of that node.
pub(super) fn encode_question(node: NodeId, to: &Recipients, id: u64, question: &Question) -> Bytes {
    let mut bytes = head(QUESTION, node, question.body.len() + 9);
    put_recipients(&mut bytes, to);
    bytes.put_u8(FIELDS_END);
    bytes.put_u64(id);
    bytes.put_u8(question.subject);
    bytes.put_slice(&question.body);
    bytes.freeze()
}

/// Encodes the answer of `node` to a question that had this id.
pub(super) fn encode_answer(node: NodeId, id: u64, body: &[u8]) -> Bytes {
    let mut bytes = head(ANSWER, node, body.len() + 8);
    bytes.put_u8(FIELDS_END);
    bytes.put_u64(id);
    bytes.put_slice(body);
    bytes.freeze()
}

fn head(kind: u8, node: NodeId, body: usize) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(body + 48);
    bytes.put_slice(&[VERSION, kind]);
    bytes.put_u64(node.bits());
    bytes
}

/// The topic says the rest about the recipients.
fn put_recipients(bytes: &mut BytesMut, to: &Recipients) {
    let session = match to.target {
        Target::Session(_, id) => Some(id),
        _ => None,
    };
    for (tag, id) in [(SESSION, session), (EXCEPT, to.except)] {
        if let Some(id) = id {
            bytes.put_u8(tag);
            bytes.put_u8(16);
            bytes.put_u128(id.bits());
        }
    }
}

/// What precedes the body of a message with the entry that a log announces by itself. The log appends
/// `{at} {prev} {time} {push}` to it.
#[cfg(any(feature = "redis", feature = "nats"))]
pub(crate) fn announcement(node: NodeId) -> Bytes {
    let mut bytes = BytesMut::with_capacity(11);
    bytes.put_slice(&[VERSION, KEEP]);
    bytes.put_u64(node.bits());
    bytes.put_u8(FIELDS_END);
    bytes.freeze()
}

/// A message of another node.
#[derive(Debug, PartialEq)]
pub(super) struct Received {
    pub(super) node: NodeId,
    pub(super) content: Content,
}

#[derive(Debug, PartialEq)]
pub(super) enum Content {
    /// For sessions of this node, with `older_than` only if they are older.
    Order { to: Recipients, order: Order, older_than: Option<Seniority> },
    /// To this node, about these sessions. The id is the asking node's own.
    Question { to: Recipients, id: u64, question: Question },
    /// To a question of this node.
    Answer { id: u64, body: Bytes },
}

/// What a node asks the other nodes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    /// What it is about. A node does not answer if it does not know the subject.
    pub(crate) subject: u8,
    pub(crate) body: Bytes,
}

/// Decodes a message that was published to `topic`. `None` if it is not valid, or from a version that this one does not understand.
pub(super) fn decode(topic: &Topic, mut message: Bytes) -> Option<Received> {
    let (version, kind, node) = (byte(&mut message)?, byte(&mut message)?, number(&mut message)?);
    if version != VERSION {
        return None;
    }
    let node = NodeId::from_bits(node);
    let mut target = topic.target();
    let mut except = None;
    let mut since = None;
    loop {
        let tag = byte(&mut message)?;
        if tag == FIELDS_END {
            break;
        }
        let len = byte(&mut message)?;
        let value = take(&mut message, len.into())?;
        match tag {
            SESSION => {
                let Some(Target::Key(key)) = target else { return None };
                target = Some(Target::Session(key, session_id(&value)?));
            }
            EXCEPT => except = Some(session_id(&value)?),
            SINCE => since = Some(u64::from_be_bytes(value.as_ref().try_into().ok()?)),
            OPTIONAL.. => {}
            _ => return None,
        }
    }
    if kind == ANSWER {
        return Some(Received {
            node,
            content: Content::Answer { id: number(&mut message)?, body: message },
        });
    }
    let to = Recipients { target: target?, except };
    if kind == QUESTION {
        let (id, subject) = (number(&mut message)?, byte(&mut message)?);
        let question = Question { subject, body: message };
        return Some(Received { node, content: Content::Question { to, id, question } });
    }
    let order = match kind {
        DELIVER if !message.is_empty() => Order::Deliver(Frame::from_wire(message).ok()?),
        KEEP => Order::Keep(Box::new(entry(&message)?)),
        CLOSE => {
            let code = take(&mut message, 2)?;
            let code = CloseCode::new(u16::from_be_bytes(code.as_ref().try_into().ok()?))?;
            Order::Close(code, str::from_utf8(&message).ok()?.into())
        }
        CATCH_UP => Order::CatchUp,
        _ => return None,
    };
    let older_than = match since {
        Some(since) => Some(Seniority { since, session: to.except? }),
        None => None,
    };
    Some(Received { node, content: Content::Order { to, order, older_than } })
}

fn entry(body: &[u8]) -> Option<Entry> {
    let mut parts = str::from_utf8(body).ok()?.splitn(4, ' ');
    let (at, prev, time) = (parts.next()?, parts.next()?, parts.next()?);
    let push = parts.next()?;
    // Otherwise the fields `at` and `time` could not be added to it.
    (push.starts_with('{') && push.ends_with('}') && push.len() > 2).then_some(())?;
    Some(Entry {
        at: at.parse().ok()?,
        prev: prev.parse().ok()?,
        time: time.parse().ok()?,
        push: Text::from(push),
    })
}

fn session_id(value: &[u8]) -> Option<SessionId> {
    Some(SessionId::from_bits(u128::from_be_bytes(value.try_into().ok()?)))
}

fn number(message: &mut Bytes) -> Option<u64> {
    Some(u64::from_be_bytes(take(message, 8)?.as_ref().try_into().ok()?))
}

fn byte(message: &mut Bytes) -> Option<u8> {
    Some(take(message, 1)?[0])
}

fn take(message: &mut Bytes, len: usize) -> Option<Bytes> {
    (message.len() >= len).then(|| message.split_to(len))
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;

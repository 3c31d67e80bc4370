//! Messages and bytes that were read before they could be handled.

use std::collections::VecDeque;
use std::mem;

use super::handler_call::Incoming;

/// Messages that came while the handler was running or the client read no replies, and bytes that are not decoded yet.
///
/// With it a connection is read while its handler runs: pings are answered, and the end is noticed. An idle session has none.
#[derive(Default)]
pub(super) struct Backlog {
    messages: VecDeque<Incoming>,
    /// The weight of the messages.
    weight: usize,
    unread: Vec<u8>,
    /// The start in `unread` of the bytes that are not decoded.
    start: usize,
}

/// The weight at which reading stops, so that TCP slows down a client that sends too fast. The backlog may exceed it by one
/// message.
const LOOK_AHEAD: usize = 16 * 1024;

/// The same while an answer of the client is awaited, which may stand behind other messages.
const LOOK_AHEAD_FOR_ANSWER: usize = 256 * 1024;

/// The weight of a message besides its bytes.
const MESSAGE: usize = 64;

impl Backlog {
    pub(super) fn of(unread: Vec<u8>) -> Option<Box<Self>> {
        (!unread.is_empty()).then(|| Box::new(Self { unread, ..Self::default() }))
    }

    pub(super) fn is_full(&self) -> bool {
        self.weight >= LOOK_AHEAD
    }

    pub(super) fn has_room_before_answer(&self) -> bool {
        self.weight < LOOK_AHEAD_FOR_ANSWER
    }

    pub(super) fn has_messages(&self) -> bool {
        !self.messages.is_empty()
    }

    /// Number of messages.
    pub(super) fn messages(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.unread.is_empty()
    }

    pub(super) fn push(&mut self, message: Incoming) {
        self.weight += MESSAGE + message.len();
        self.messages.push_back(message);
    }

    pub(super) fn pop(&mut self) -> Option<Incoming> {
        let message = self.messages.pop_front()?;
        self.weight -= MESSAGE + message.len();
        Some(message)
    }

    /// Takes the bytes that are not decoded, if there are any. The caller returns the rest by [`Backlog::put_back`].
    pub(super) fn take_unread(&mut self) -> Option<(Vec<u8>, usize)> {
        let start = mem::take(&mut self.start);
        Some((mem::take(&mut self.unread), start)).filter(|(unread, _)| !unread.is_empty())
    }

    /// Returns bytes of which the last `left` are not decoded.
    pub(super) fn put_back(&mut self, bytes: Vec<u8>, left: usize) {
        if left > 0 {
            self.start = bytes.len() - left;
            self.unread = bytes;
        }
    }
}

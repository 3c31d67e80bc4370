//! What was read before it could be worked on.

use std::collections::VecDeque;
use std::mem;

use super::calls::Incoming;

/// Messages that came while the handler was at work, or while the peer took no more, and bytes that were not looked at.
///
/// It is there so that a connection can be listened to whatever its handler does: pings are answered, and its end is
/// noticed. An idle session has none.
#[derive(Default)]
pub(super) struct Backlog {
    messages: VecDeque<Incoming>,
    /// What the messages weigh.
    weight: usize,
    unread: Vec<u8>,
    /// Where in `unread` the bytes begin that were not looked at.
    start: usize,
}

/// At this weight no more is read, so that a client that sends faster than it is served is slowed down by TCP. One
/// message more than this may be there.
const LOOK_AHEAD: usize = 16 * 1024;

/// What a message weighs besides its bytes.
const MESSAGE: usize = 64;

impl Backlog {
    pub(super) fn of(unread: Vec<u8>) -> Option<Box<Self>> {
        (!unread.is_empty()).then(|| Box::new(Self { unread, ..Self::default() }))
    }

    pub(super) fn is_full(&self) -> bool {
        self.weight >= LOOK_AHEAD
    }

    pub(super) fn has_messages(&self) -> bool {
        !self.messages.is_empty()
    }

    /// How many messages wait.
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

    /// Lends the bytes that were not looked at, if there are any. What is left of them goes back by
    /// [`Backlog::put_back`].
    pub(super) fn take_unread(&mut self) -> Option<(Vec<u8>, usize)> {
        let start = mem::take(&mut self.start);
        Some((mem::take(&mut self.unread), start)).filter(|(unread, _)| !unread.is_empty())
    }

    /// The last `left` of these bytes were not looked at.
    pub(super) fn put_back(&mut self, bytes: Vec<u8>, left: usize) {
        if left > 0 {
            self.start = bytes.len() - left;
            self.unread = bytes;
        }
    }
}

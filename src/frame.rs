//! A message encoded for the wire, once for all who get it.

use std::fmt;

use bytes::{Buf, Bytes};

use crate::message::Push;
use crate::websocket::{self, OpCode};

/// A message as it goes over the wire, header included, or several that go together. A clone copies a
/// pointer, so a broadcast encodes its push once.
#[derive(Clone)]
pub struct Frame {
    /// Whole frames, one after the other.
    bytes: Bytes,
    messages: usize,
}

impl Frame {
    /// A text frame with the JSON of `push`.
    #[must_use]
    pub fn push(push: &Push) -> Self {
        // The header's length depends on the payload's, so the longest header's room is kept free and the
        // header stands at its end.
        const ROOM: usize = websocket::MAX_HEADER;
        let mut bytes = Vec::with_capacity(ROOM + push.size_hint());
        bytes.resize(ROOM, 0);
        push.write(&mut bytes);
        let (header, len) = websocket::header(OpCode::Text, bytes.len() - ROOM);
        bytes[ROOM - len..ROOM].copy_from_slice(&header[..len]);
        Self::raw(Bytes::from(bytes).slice(ROOM - len..), 1)
    }

    /// Several pushes, each a text frame of its own, that are queued and written as one.
    #[must_use]
    pub fn pushes<'a>(pushes: impl IntoIterator<Item = &'a Push>) -> Self {
        Self::join(pushes.into_iter().map(Self::push))
    }

    /// Several frames that are queued and written as one.
    #[must_use]
    pub fn join(frames: impl IntoIterator<Item = Self>) -> Self {
        let (mut bytes, mut messages) = (Vec::new(), 0);
        for frame in frames {
            bytes.extend_from_slice(&frame.bytes);
            messages += frame.messages;
        }
        Self { bytes: bytes.into(), messages }
    }

    /// A text frame with `text` as it is.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::raw(websocket::frame(OpCode::Text, text.as_bytes()), 1)
    }

    /// A binary frame with `bytes` as they are.
    #[must_use]
    pub fn binary(bytes: &[u8]) -> Self {
        Self::raw(websocket::frame(OpCode::Binary, bytes), 1)
    }

    /// What it carries, without the header; of several, what the first one carries.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        let (start, len) = match *self.bytes {
            [_, 126, a, b, ..] => (4, usize::from(u16::from_be_bytes([a, b]))),
            [_, 127, a, b, c, d, e, f, g, h, ..] => {
                (10, u64::from_be_bytes([a, b, c, d, e, f, g, h]) as usize)
            }
            [_, len, ..] => (2, usize::from(len)),
            _ => return &[],
        };
        self.bytes.get(start..start + len).unwrap_or_default()
    }

    /// How many messages it is.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.messages
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// A ping, pong or close frame, which is no message and costs no place in a queue.
    pub(crate) fn control(bytes: Bytes) -> Self {
        Self::raw(bytes, 0)
    }

    /// Whole frames, header included.
    pub(crate) fn raw(bytes: Bytes, messages: usize) -> Self {
        Self { bytes, messages }
    }

    /// So many bytes of it have been written.
    pub(crate) fn advance(&mut self, written: usize) {
        self.bytes.advance(written);
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("messages", &self.messages).field("bytes", &self.bytes.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_stands_behind_a_header_of_its_length() {
        for len in [0, 60, 200, 70_000] {
            let push = Push::message("a".repeat(len));
            let json = push.to_json();
            let frame = Frame::push(&push);
            assert_eq!(frame.bytes(), Frame::text(&json).bytes(), "{len}");
            assert_eq!(frame.payload(), json.as_bytes(), "{len}");
        }
    }

    #[test]
    fn several_stand_one_after_the_other() {
        let [a, b] = [Push::message("a".repeat(200)), Push::message("b")];
        let frame = Frame::pushes([&a, &b]);
        assert_eq!(**frame.bytes(), [&**Frame::push(&a).bytes(), &**Frame::push(&b).bytes()].concat());
        assert_eq!(frame.messages(), 2);
        assert_eq!(frame.payload(), a.to_json().as_bytes());
        assert_eq!(Frame::pushes([]).messages(), 0);
    }
}

//! A message encoded for the wire, once for all who get it.

use std::fmt;

use bytes::Bytes;

use crate::message::Push;
use crate::websocket::{self, OpCode};

/// A message as it goes over the wire, header included. A clone copies a pointer, so a broadcast encodes its
/// push once.
#[derive(Clone)]
pub struct Frame(Bytes);

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
        Self(Bytes::from(bytes).slice(ROOM - len..))
    }

    /// A text frame with `text` as it is.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self(websocket::frame(OpCode::Text, text.as_bytes()))
    }

    /// A binary frame with `bytes` as they are.
    #[must_use]
    pub fn binary(bytes: &[u8]) -> Self {
        Self(websocket::frame(OpCode::Binary, bytes))
    }

    /// What it carries, without the header.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        let len = match self.0.get(1) {
            Some(126) => 4,
            Some(127) => 10,
            _ => 2,
        };
        self.0.get(len..).unwrap_or_default()
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("bytes", &self.0.len()).finish()
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
}

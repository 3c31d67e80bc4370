//! A message encoded for the wire, once for all who get it.

use std::fmt;

use bytes::Bytes;

use crate::compression::{CompressedCache, Compression};
use crate::message::Push;
use crate::websocket::{self, OpCode};

/// A message as it goes over the wire, header included, or several that go together. A clone copies a
/// pointer, so a broadcast encodes its push once, and compresses it at most once.
#[derive(Clone)]
pub struct Frame {
    /// Whole frames, one after the other.
    bytes: Bytes,
    messages: usize,
    compressed: CompressedCache,
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
        Self::one(Bytes::from(bytes).slice(ROOM - len..))
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
        Self::several(bytes.into(), messages)
    }

    /// A text frame with `text` as it is.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::one(websocket::frame(OpCode::Text, text.as_bytes()))
    }

    /// A binary frame with `bytes` as they are.
    #[must_use]
    pub fn binary(bytes: &[u8]) -> Self {
        Self::one(websocket::frame(OpCode::Binary, bytes))
    }

    /// What it carries, without the header; of several, what the first one carries.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        websocket::split_frame(&mut &*self.bytes).map_or(&[], |(_, payload)| payload)
    }

    /// How many messages it is.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.messages
    }

    #[cfg(test)]
    fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What a session gets that compresses. How it is done is decided by the first that asks.
    pub(crate) fn compressed(&self, compression: Compression) -> &Bytes {
        match compression.as_deflate() {
            Some(deflate) => self.compressed.get(&self.bytes, deflate),
            None => &self.bytes,
        }
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes
    }

    fn one(bytes: Bytes) -> Self {
        Self::several(bytes, 1)
    }

    fn several(bytes: Bytes, messages: usize) -> Self {
        Self { compressed: CompressedCache::of(&bytes), bytes, messages }
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

    #[cfg(feature = "deflate")]
    mod compressed {
        use super::*;

        const ALWAYS: Compression = Compression::deflate().threshold(0);

        fn long(letter: &str) -> Push {
            Push::message(letter.repeat(1000))
        }

        #[test]
        fn it_is_done_once_for_all_clones() {
            for frame in [Frame::push(&long("a")), Frame::pushes([&long("a"), &long("b")])] {
                let clone = frame.clone();
                let cached = frame.compressed(ALWAYS);
                assert!(cached.len() < 100);
                assert_eq!(clone.compressed(ALWAYS).as_ptr(), cached.as_ptr());
                assert_eq!(clone.clone().compressed(ALWAYS).as_ptr(), cached.as_ptr());
                // Whoever does not want it gets what there was before.
                assert!(frame.bytes().len() > 1000);
                assert!(frame.payload().starts_with(br#"{"code":"00","msg":"aaa"#));
            }
        }

        #[test]
        fn what_is_short_or_is_not_to_be_compressed_goes_out_as_it_is() {
            let frame = Frame::push(&long("a"));
            let len = frame.payload().len();
            assert_eq!(frame.compressed(Compression::OFF), frame.bytes());
            assert_eq!(frame.compressed(Compression::deflate().threshold(2 * len)), frame.bytes());
            // That was no answer for all time.
            assert_ne!(frame.compressed(Compression::deflate().threshold(len)), frame.bytes());
            let short = Frame::push(&Push::message("a".repeat(20)));
            assert_eq!(short.compressed(ALWAYS), short.bytes());
        }
    }
}

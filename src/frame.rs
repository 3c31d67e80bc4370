//! Messages that are encoded once for all recipients. What a push is, `message/framed.rs` knows.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::compression::{CompressedCache, Compression};
use crate::websocket::{self, OpCode};

/// A message encoded for the wire, or a burst of several messages that are queued together.
///
/// A clone copies a pointer: a broadcast encodes its push once and compresses it at most once. Every method that sends accepts a
/// [`Push`](crate::Push), several pushes (`[Push; N]`, `Vec<Push>`, `&[Push]`) or a `Frame`.
#[derive(Clone)]
pub struct Frame {
    /// Sequence of whole frames.
    bytes: Bytes,
    count: usize,
    compressed: CompressedCache,
}

impl Frame {
    /// A text frame with what `write` appends, which is UTF-8 and of `expected` bytes. It may be of another length. If it is not, the
    /// frame fills its buffer, which is one allocation; else it takes two.
    pub(crate) fn text_of(expected: usize, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let (header, header_len) = websocket::header(OpCode::Text, expected);
        let mut bytes = Vec::with_capacity(header_len + expected);
        bytes.extend_from_slice(&header[..header_len]);
        write(&mut bytes);
        let len = bytes.len() - header_len;
        if len != expected {
            let (header, other_len) = websocket::header(OpCode::Text, len);
            bytes.splice(..header_len, header[..other_len].iter().copied());
        }
        Self::one(Bytes::from(bytes))
    }

    /// Appends what `write` appends, which is UTF-8, as the payload of a frame.
    pub(crate) fn write_text(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        const SHORTEST: usize = 2;
        let start = out.len();
        out.extend_from_slice(&[0; SHORTEST]);
        write(out);
        let (header, len) = websocket::header(OpCode::Text, out.len() - start - SHORTEST);
        if len == SHORTEST {
            out[start..start + SHORTEST].copy_from_slice(&header[..SHORTEST]);
        } else {
            out.splice(start..start + SHORTEST, header[..len].iter().copied());
        }
    }

    /// A burst of several frames, queued and written together.
    #[must_use]
    pub fn join(frames: impl IntoIterator<Item = Self>) -> Self {
        let (mut bytes, mut count) = (Vec::new(), 0);
        for frame in frames {
            bytes.extend_from_slice(&frame.bytes);
            count += frame.count;
        }
        Self::several(bytes.into(), count)
    }

    /// A text frame with the content `text`.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::one(websocket::frame(OpCode::Text, text.as_bytes()))
    }

    /// A binary frame with the content `bytes`.
    #[must_use]
    pub fn binary(bytes: &[u8]) -> Self {
        Self::one(websocket::frame(OpCode::Binary, bytes))
    }

    /// A frame from its wire form, which [`Frame::as_bytes`] returns, for example in another process.
    ///
    /// # Errors
    ///
    /// [`InvalidFrame`] if `bytes` is not a sequence of whole text and binary frames in a server's form (RFC 6455, section 5.2):
    /// unmasked, uncompressed, not fragmented, with the shortest length encoding, text in UTF-8.
    pub fn from_wire(bytes: impl Into<Bytes>) -> Result<Self, InvalidFrame> {
        let bytes = bytes.into();
        let count = websocket::validate_frames(&bytes).ok_or(InvalidFrame(()))?;
        Ok(Self::several(bytes, count))
    }

    /// The wire form: a header and a payload for each message.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same messages as texts, each with what `change` makes of its payload, which is UTF-8.
    pub(crate) fn map_texts(&self, change: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        let text = |(_, payload)| Self::one(websocket::frame(OpCode::Text, &change(payload)));
        match self.count {
            1 => self.messages().map(text).next().unwrap_or_else(|| self.clone()),
            _ => Self::join(self.messages().map(text)),
        }
    }

    /// The messages of this frame in order, without headers.
    ///
    /// ```
    /// use keywire::Push;
    /// use keywire::message::{Frame, FrameKind};
    ///
    /// let frame = Frame::join([Frame::text("one"), Frame::binary(b"two")]);
    /// let messages: Vec<_> = frame.messages().collect();
    /// assert_eq!(messages, [(FrameKind::Text, &b"one"[..]), (FrameKind::Binary, b"two")]);
    /// ```
    pub fn messages(&self) -> impl Iterator<Item = (FrameKind, &[u8])> {
        data_messages(&self.bytes)
    }

    /// Number of messages: 1, except for a burst.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The bytes for a session with compression. The settings of the first call apply to all later calls.
    pub(crate) fn compressed(&self, compression: Compression) -> &Bytes {
        match compression.as_deflate() {
            Some(deflate) => self.compressed.get(&self.bytes, deflate),
            None => &self.bytes,
        }
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes
    }

    fn one(bytes: Bytes) -> Self {
        Self::several(bytes, 1)
    }

    pub(crate) fn several(bytes: Bytes, count: usize) -> Self {
        Self { compressed: CompressedCache::of(&bytes), bytes, count }
    }
}

/// The text and binary messages in `frames`, which this server encoded. Control frames are left out.
pub(crate) fn data_messages(mut frames: &[u8]) -> impl Iterator<Item = (FrameKind, &[u8])> {
    std::iter::from_fn(move || websocket::split_frame(&mut frames)).filter_map(|(frame, payload)| {
        let kind = match frame[0] & 0x0f {
            opcode if opcode == OpCode::Text as u8 => FrameKind::Text,
            opcode if opcode == OpCode::Binary as u8 => FrameKind::Binary,
            _ => return None,
        };
        Some((kind, payload))
    })
}

/// Kind of a message in a [`Frame`]: text or binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// UTF-8 text. Every push is text.
    Text,
    /// Bytes.
    Binary,
}

/// The bytes are not a valid [`Frame`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not a sequence of whole, unmasked, uncompressed text or binary frames")]
pub struct InvalidFrame(());

impl From<&Frame> for Frame {
    fn from(frame: &Frame) -> Self {
        frame.clone()
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Frame {}

impl Serialize for Frame {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.bytes)
    }
}

impl<'de> Deserialize<'de> for Frame {
    /// The same rules as [`Frame::from_wire`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_wire(Bytes::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("messages", &self.count).field("bytes", &self.bytes.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Push;

    /// The payload of the first message.
    fn payload(frame: &Frame) -> &[u8] {
        frame.messages().next().unwrap().1
    }

    #[test]
    fn a_push_stands_behind_a_header_of_its_length() {
        for len in [0, 60, 102, 103, 104, 200, 70_000] {
            // An escape makes the payload longer than is expected.
            for text in ["a".repeat(len), "\"".repeat(len), format!("{}\n", "a".repeat(len))] {
                let push = Push::message(text);
                let json = push.to_json();
                let frame = Frame::push(&push);
                assert_eq!(frame.bytes, Frame::text(&json).bytes, "{len}");
                assert_eq!(payload(&frame), json.as_bytes(), "{len}");
            }
        }
    }

    #[test]
    fn a_push_without_escapes_is_one_allocation() {
        for len in [0, 60, 103, 104, 200, 70_000] {
            let bytes = Frame::push(&Push::message("a".repeat(len))).into_bytes();
            let len = bytes.len();
            // A buffer that is not full would be shared by way of a second allocation, and keep its capacity here.
            assert_eq!(bytes.try_into_mut().unwrap().capacity(), len);
        }
    }

    #[test]
    fn a_frame_can_be_written_behind_others() {
        for len in [0, 60, 125, 126, 200, 70_000] {
            let text = "a".repeat(len);
            let mut out = b"before".to_vec();
            Frame::write_text(&mut out, |out| out.extend_from_slice(text.as_bytes()));
            assert_eq!(out, [b"before", &*Frame::text(&text).bytes].concat(), "{len}");
        }
    }

    #[test]
    fn several_stand_one_after_the_other() {
        let [a, b] = [Push::message("a".repeat(200)), Push::message("b")];
        let frame = Frame::burst([&a, &b]);
        assert_eq!(*frame.bytes, [&*Frame::push(&a).bytes, &*Frame::push(&b).bytes].concat());
        assert_eq!(frame.count(), 2);
        assert_eq!(payload(&frame), a.to_json().as_bytes());
        assert_eq!(Frame::burst([]).count(), 0);
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
            for frame in [Frame::push(&long("a")), Frame::burst([&long("a"), &long("b")])] {
                let clone = frame.clone();
                let cached = frame.compressed(ALWAYS);
                assert!(cached.len() < 100);
                assert_eq!(clone.compressed(ALWAYS).as_ptr(), cached.as_ptr());
                assert_eq!(clone.clone().compressed(ALWAYS).as_ptr(), cached.as_ptr());
                // The uncompressed bytes stay as they were.
                assert!(frame.bytes.len() > 1000);
                assert!(payload(&frame).starts_with(br#"{"code":"00","msg":"aaa"#));
            }
        }

        #[test]
        fn what_is_short_or_is_not_to_be_compressed_goes_out_as_it_is() {
            let frame = Frame::push(&long("a"));
            let len = payload(&frame).len();
            assert_eq!(frame.compressed(Compression::OFF), &frame.bytes);
            assert_eq!(frame.compressed(Compression::deflate().threshold(2 * len)), &frame.bytes);
            // A threshold that does not compress is not cached.
            assert_ne!(frame.compressed(Compression::deflate().threshold(len)), &frame.bytes);
            let short = Frame::push(&Push::message("a".repeat(20)));
            assert_eq!(short.compressed(ALWAYS), &short.bytes);
        }
    }

    #[test]
    fn a_frame_comes_back_from_the_wire_as_it_was() {
        let long = Push::message("a".repeat(70_000));
        for frame in [
            Frame::text(""),
            Frame::binary(&[0xff; 200]),
            Frame::burst([&Push::message("a"), &long]),
            Frame::burst([]),
        ] {
            let again = Frame::from_wire(frame.as_bytes().to_vec()).unwrap();
            assert_eq!((&again, again.count()), (&frame, frame.count()));
            let order = crate::delivery::Order::Deliver(frame);
            let json = serde_json::to_string(&order).unwrap();
            assert_eq!(serde_json::from_str::<crate::delivery::Order>(&json).unwrap(), order);
        }
    }

    #[test]
    fn what_no_server_sends_is_no_frame() {
        for wrong in [
            &b"\x81"[..],
            b"\x81\x02a",
            b"\x81\x01ab",
            b"\x81\x81\0\0\0\0a",
            b"\x01\x01a",
            b"\x80\x01a",
            b"\xc1\x01a",
            b"\xa1\x01a",
            b"\x88\x00",
            b"\x89\x00",
            b"\x83\x00",
            b"\x81\x01\xff",
            b"\x81\x7e\0\x01a",
            b"\x81\x7f\0\0\0\0\0\0\0\x01a",
            b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xffa",
            b"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xffa",
        ] {
            assert_eq!(Frame::from_wire(wrong), Err(InvalidFrame(())), "{wrong:?}");
        }
    }
}

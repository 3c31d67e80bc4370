//! A data message that arrives in several reads or frames, or that is compressed.

use super::{Event, OpCode, Violation, deflate, header::Header, mask::Mask, utf8::Tail};

pub(super) struct Message {
    body: Body,
    /// The part of a compressed message that has arrived. A complete message is inflated into the body.
    compressed: Option<Vec<u8>>,
    /// The frame whose payload is arriving. `None` between two fragments and at the end.
    frame: Option<Frame>,
    complete: bool,
}

enum Body {
    Text { text: String, tail: Tail },
    Binary(Vec<u8>),
}

struct Frame {
    fin: bool,
    mask: Mask,
    remaining: usize,
}

impl Message {
    /// An empty message. Allocates nothing for the payload, since the length in a header is only a claim.
    pub(super) fn new(opcode: OpCode, compressed: bool) -> Self {
        let compressed = compressed.then(Vec::new);
        Self { body: Body::new(opcode), compressed, frame: None, complete: false }
    }

    /// A compressed message that has arrived completely.
    pub(super) fn inflated(opcode: OpCode, compressed: &[u8], max_message: usize) -> Result<Self, Violation> {
        let mut body = Body::new(opcode);
        body.inflate(compressed, max_message)?;
        Ok(Self { body, compressed: None, frame: None, complete: true })
    }

    /// Length of the part that has arrived, in bytes.
    pub(super) fn len(&self) -> usize {
        match &self.compressed {
            Some(compressed) => compressed.len(),
            None => self.body.len(),
        }
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.compressed.is_some()
    }

    /// Starts the payload of the next frame. The caller has already checked its length against the limit.
    pub(super) fn begin(&mut self, header: &Header) {
        self.frame = Some(Frame { fin: header.fin, mask: header.mask, remaining: header.len });
    }

    pub(super) fn is_inside_frame(&self) -> bool {
        self.frame.is_some()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Takes the part of the frame's payload that is in `input`.
    pub(super) fn collect(&mut self, input: &mut &mut [u8], max_message: usize) -> Result<(), Violation> {
        let left = limit(self.is_compressed(), max_message).saturating_sub(self.len());
        let Some(frame) = &mut self.frame else { return Ok(()) };
        let piece = input.split_off_mut(..frame.remaining.min(input.len())).unwrap_or_default();
        frame.mask.apply(piece);
        // The most that may still arrive. It is known exactly after the header of the last frame.
        let room = if frame.fin { frame.remaining } else { left };
        match &mut self.compressed {
            Some(compressed) => append(compressed, piece, room),
            None => self.body.append(piece, room)?,
        }
        frame.remaining -= piece.len();
        if frame.remaining == 0 {
            self.complete = frame.fin;
            self.frame = None;
        }
        if !self.complete {
            return Ok(());
        }
        match self.compressed.take() {
            Some(compressed) => self.body.inflate(&compressed, max_message),
            None => self.body.end(),
        }
    }

    pub(super) fn event(&self) -> Event<'_> {
        match &self.body {
            Body::Text { text, .. } => Event::Text(text),
            Body::Binary(bytes) => Event::Binary(bytes),
        }
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn capacity(&self) -> usize {
        let body = match &self.body {
            Body::Text { text, .. } => text.capacity(),
            Body::Binary(bytes) => bytes.capacity(),
        };
        body + self.compressed.as_ref().map_or(0, Vec::capacity)
    }
}

impl Body {
    fn new(opcode: OpCode) -> Self {
        match opcode {
            OpCode::Text => Self::Text { text: String::new(), tail: Tail::default() },
            _ => Self::Binary(Vec::new()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Text { text, tail } => text.len() + tail.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Inflates the whole message. It checks the limit at every step, so that a small compressed message never takes more memory
    /// than the limit.
    fn inflate(&mut self, compressed: &[u8], max_message: usize) -> Result<(), Violation> {
        deflate::inflate(compressed, |piece| {
            let room = max_message - self.len();
            if piece.len() > room {
                return Err(Violation::TooBig { limit: max_message });
            }
            self.append(piece, room)
        })?;
        self.end()
    }

    fn append(&mut self, piece: &[u8], room: usize) -> Result<(), Violation> {
        match self {
            Self::Text { text, tail } => {
                let (needed, room) = (tail.len() + piece.len(), tail.len() + room);
                text.reserve_exact(growth(text.len(), text.capacity(), needed, room));
                tail.append(piece, text)
            }
            Self::Binary(bytes) => {
                append(bytes, piece, room);
                Ok(())
            }
        }
    }

    /// Checks that the message does not end inside a character.
    fn end(&self) -> Result<(), Violation> {
        match self {
            Self::Text { tail, .. } if tail.len() > 0 => Err(Violation::Utf8),
            _ => Ok(()),
        }
    }
}

/// Limit on the bytes of a message on the wire. A compressed message may be larger than its inflated form: compression makes
/// incompressible data a little longer, especially if the client has little memory.
pub(super) fn limit(compressed: bool, max_message: usize) -> usize {
    if compressed { max_message.saturating_add(max_message / 8 + 64) } else { max_message }
}

fn append(bytes: &mut Vec<u8>, piece: &[u8], room: usize) {
    bytes.reserve_exact(growth(bytes.len(), bytes.capacity(), piece.len(), room));
    bytes.extend_from_slice(piece);
}

/// Number of bytes to reserve for `needed` more bytes.
///
/// A buffer doubles, so that a message that arrives byte by byte costs only a linear number of copies. It never grows by more than
/// the message may still bring, nor by more than has already arrived.
fn growth(len: usize, capacity: usize, needed: usize, room: usize) -> usize {
    if capacity - len >= needed { 0 } else { needed.max(len.min(room)) }
}

#[cfg(all(test, feature = "deflate"))]
mod tests {
    use super::*;
    use crate::websocket::deflate::tests::deflated;

    #[test]
    fn a_bomb_is_held_no_further_than_the_limit() {
        let bomb = deflated(&vec![b'a'; 2 << 20]);
        for limit in [1000, 70_000, 1 << 20] {
            for opcode in [OpCode::Text, OpCode::Binary] {
                let mut body = Body::new(opcode);
                assert_eq!(body.inflate(&bomb, limit), Err(Violation::TooBig { limit }));
                let capacity = match &body {
                    Body::Text { text, .. } => text.capacity(),
                    Body::Binary(bytes) => bytes.capacity(),
                };
                assert!(capacity <= limit, "{capacity} bytes for {limit}");
            }
        }
    }
}

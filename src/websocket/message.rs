//! A data message that does not lie whole in one read: collected piece by piece, over one frame or many.

use super::{Event, OpCode, Violation, header::Header, mask::Mask, utf8::Tail};

pub(super) struct Message {
    body: Body,
    /// The frame whose payload is arriving; `None` between two fragments and at the end.
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
    /// Nothing is allocated for the payload: a header is only a claim.
    pub(super) fn new(opcode: OpCode) -> Self {
        let body = match opcode {
            OpCode::Text => Body::Text { text: String::new(), tail: Tail::default() },
            _ => Body::Binary(Vec::new()),
        };
        Self { body, frame: None, complete: false }
    }

    /// What has arrived, in bytes.
    pub(super) fn len(&self) -> usize {
        match &self.body {
            Body::Text { text, tail } => text.len() + tail.len(),
            Body::Binary(bytes) => bytes.len(),
        }
    }

    /// Starts the payload of the next frame. The caller has compared its length to the limit.
    pub(super) fn begin(&mut self, header: &Header) {
        self.frame = Some(Frame { fin: header.fin, mask: header.mask, remaining: header.len });
    }

    pub(super) fn is_inside_frame(&self) -> bool {
        self.frame.is_some()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Takes what `input` has of the frame's payload.
    pub(super) fn collect(&mut self, input: &mut &mut [u8], max_message: usize) -> Result<(), Violation> {
        let len = self.len();
        let Some(frame) = &mut self.frame else { return Ok(()) };
        let piece = input.split_off_mut(..frame.remaining.min(input.len())).unwrap_or_default();
        frame.mask.apply(piece);
        // All that may still come: after the last frame's header this is known.
        let room = if frame.fin { frame.remaining } else { max_message.saturating_sub(len) };
        self.body.append(piece, room)?;
        frame.remaining -= piece.len();
        if frame.remaining == 0 {
            self.complete = frame.fin;
            self.frame = None;
        }
        if self.complete { self.body.end() } else { Ok(()) }
    }

    pub(super) fn event(&self) -> Event<'_> {
        match &self.body {
            Body::Text { text, .. } => Event::Text(text),
            Body::Binary(bytes) => Event::Binary(bytes),
        }
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn capacity(&self) -> usize {
        match &self.body {
            Body::Text { text, .. } => text.capacity(),
            Body::Binary(bytes) => bytes.capacity(),
        }
    }
}

impl Body {
    fn append(&mut self, piece: &[u8], room: usize) -> Result<(), Violation> {
        match self {
            Self::Text { text, tail } => {
                let (needed, room) = (tail.len() + piece.len(), tail.len() + room);
                text.reserve_exact(growth(text.len(), text.capacity(), needed, room));
                tail.append(piece, text)
            }
            Self::Binary(bytes) => {
                bytes.reserve_exact(growth(bytes.len(), bytes.capacity(), piece.len(), room));
                bytes.extend_from_slice(piece);
                Ok(())
            }
        }
    }

    /// A message must not end inside a character.
    fn end(&self) -> Result<(), Violation> {
        match self {
            Self::Text { tail, .. } if tail.len() > 0 => Err(Violation::Utf8),
            _ => Ok(()),
        }
    }
}

/// How much to reserve for `needed` more bytes.
///
/// A buffer doubles, so that a message sent byte by byte costs no more than a linear number of copies; but it never
/// grows beyond what the message may still bring, and never by more than what has arrived.
fn growth(len: usize, capacity: usize, needed: usize, room: usize) -> usize {
    if capacity - len >= needed { 0 } else { needed.max(len.min(room)) }
}

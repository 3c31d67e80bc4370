//! Decodes the bytes of a client into events.

use super::{
    CloseFrame, Event, OpCode, Violation, header::Header, header::PartialHeader, mask::Mask, message,
    message::Message, utf8,
};

/// Decodes the bytes of one connection in reads of any size.
///
/// Between frames it owns no heap memory and takes only a few words, since most sessions are idle.
#[derive(Default)]
pub(crate) struct Decoder {
    header: PartialHeader,
    finished: bool,
    /// Whether messages may be compressed.
    deflate: bool,
    /// A message that is fragmented, compressed, or arrives in several reads.
    message: Option<Box<Message>>,
    /// A control frame that arrives in several reads. It may come between the fragments of `message`.
    control: Option<Box<Control>>,
}

impl Decoder {
    /// A decoder. `deflate`: permessage-deflate was negotiated.
    pub(crate) fn new(deflate: bool) -> Self {
        Self { deflate, ..Self::default() }
    }

    /// The next event in `input`, the bytes of one read. Takes the bytes of the event off the front of `input`.
    ///
    /// Call it until it returns `None`. Then the input is used up and the memory of the last event is freed. A frame that is whole in
    /// the input is unmasked in place, and the event borrows it.
    ///
    /// After a close frame or a violation, all later input is ignored.
    ///
    /// # Errors
    ///
    /// The first violation of RFC 6455, or a message of more than `max_message` bytes. The error is returned as soon as the byte
    /// that shows it has arrived. A compressed message is inflated up to the limit once it has arrived completely.
    #[inline(always)]
    pub(crate) fn next<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i mut [u8],
        max_message: usize,
    ) -> Result<Option<Event<'s>>, Violation> {
        // A short way for the usual case.
        if self.is_idle()
            && self.header.is_empty()
            && !self.finished
            && let Some(payload) = short_text(input, max_message)
        {
            return match utf8::whole(payload) {
                Ok(text) => Ok(Some(Event::Text(text))),
                Err(violation) => Err(self.refuse(violation)),
            };
        }
        self.next_of_any(input, max_message)
    }

    #[inline(never)]
    fn next_of_any<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i mut [u8],
        max_message: usize,
    ) -> Result<Option<Event<'s>>, Violation> {
        self.free_what_was_lent();
        let ready = match self.advance(input, max_message) {
            Ok(ready) => ready,
            Err(violation) => return Err(self.refuse(violation)),
        };
        Ok(match ready {
            Some(Ready::InPlace(event)) => Some(event),
            Some(Ready::Message) => self.message.as_deref().map(Message::event),
            Some(Ready::Control) => match self.control.as_deref() {
                Some(control) => Some(control_event(control.opcode, &control.payload)?),
                None => None,
            },
            None => None,
        })
    }

    /// Whether it holds nothing: no message, whole or begun, and nothing that was lent.
    pub(crate) fn is_idle(&self) -> bool {
        self.message.is_none() && self.control.is_none()
    }

    #[cold]
    fn refuse(&mut self, violation: Violation) -> Violation {
        *self = Self { finished: true, ..Self::default() };
        violation
    }

    fn free_what_was_lent(&mut self) {
        self.message.take_if(|message| self.finished || message.is_complete());
        self.control.take_if(|control| control.remaining == 0);
    }

    fn advance<'i>(
        &mut self,
        input: &mut &'i mut [u8],
        max_message: usize,
    ) -> Result<Option<Ready<'i>>, Violation> {
        loop {
            if self.finished {
                *input = &mut [];
                return Ok(None);
            }

            if let Some(control) = &mut self.control {
                control.collect(input);
                if control.remaining > 0 {
                    return Ok(None);
                }
                self.finished = control.opcode == OpCode::Close;
                // Checked here, where a violation frees the state. `next` reads it again to lend it out.
                control_event(control.opcode, &control.payload)?;
                return Ok(Some(Ready::Control));
            }

            if let Some(message) = &mut self.message
                && message.is_inside_frame()
            {
                message.collect(input, max_message)?;
                if message.is_complete() {
                    return Ok(Some(Ready::Message));
                }
                if message.is_inside_frame() {
                    return Ok(None);
                }
            }

            let Some(header) = self.header.complete(input, self.deflate)? else { return Ok(None) };
            if let Some(ready) = self.begin(header, input, max_message)? {
                return Ok(Some(ready));
            }
        }
    }

    /// Lends out the payload of a frame from the input, inflates it, or prepares to collect it.
    fn begin<'i>(
        &mut self,
        header: Header,
        input: &mut &'i mut [u8],
        max_message: usize,
    ) -> Result<Option<Ready<'i>>, Violation> {
        let Header { fin, compressed, opcode, mut mask, len } = header;

        if opcode.is_control() {
            let Some(payload) = input.split_off_mut(..len) else {
                self.control = Some(Box::new(Control { opcode, mask, remaining: len, payload: Vec::new() }));
                return Ok(None);
            };
            mask.apply(payload);
            self.finished = opcode == OpCode::Close;
            return Ok(Some(Ready::InPlace(control_event(opcode, payload)?)));
        }

        match (opcode, &self.message) {
            (OpCode::Continuation, None) => return Err(Violation::NothingToContinue),
            (OpCode::Text | OpCode::Binary, Some(_)) => return Err(Violation::InterleavedMessage),
            _ => {}
        }
        let (before, compressed) = match &self.message {
            Some(message) => (message.len(), message.is_compressed()),
            None => (0, compressed),
        };
        if len > message::limit(compressed, max_message).saturating_sub(before) {
            return Err(Violation::TooBig { limit: max_message });
        }

        if fin
            && self.message.is_none()
            && let Some(payload) = input.split_off_mut(..len)
        {
            mask.apply(payload);
            if compressed {
                self.message = Some(Box::new(Message::inflated(opcode, payload, max_message)?));
                return Ok(Some(Ready::Message));
            }
            return Ok(Some(Ready::InPlace(match opcode {
                OpCode::Text => Event::Text(utf8::whole(payload)?),
                _ => Event::Binary(payload),
            })));
        }
        self.message.get_or_insert_with(|| Box::new(Message::new(opcode, compressed))).begin(&header);
        Ok(None)
    }
}

/// Takes text off the front of `input`, and unmasks it: if it is whole, in one frame, and its length takes one byte.
fn short_text<'i>(input: &mut &'i mut [u8], max_message: usize) -> Option<&'i mut [u8]> {
    const FIN_TEXT: u8 = 0x81;
    const MASKED: u8 = 0x80;
    const HEADER: usize = 6;
    let [FIN_TEXT, second, key @ ..] = *input.first_chunk::<HEADER>()? else { return None };
    let len = usize::from(second & !MASKED);
    if second & MASKED == 0 || len > 125 || len > max_message {
        return None;
    }
    let payload = &mut input.split_off_mut(..HEADER + len)?[HEADER..];
    Mask::new(key).apply(payload);
    Some(payload)
}

/// Place of the next event.
enum Ready<'i> {
    InPlace(Event<'i>),
    Message,
    Control,
}

struct Control {
    opcode: OpCode,
    mask: Mask,
    remaining: usize,
    payload: Vec<u8>,
}

impl Control {
    fn collect(&mut self, input: &mut &mut [u8]) {
        let piece = input.split_off_mut(..self.remaining.min(input.len())).unwrap_or_default();
        self.mask.apply(piece);
        self.payload.extend_from_slice(piece);
        self.remaining -= piece.len();
    }
}

fn control_event(opcode: OpCode, payload: &[u8]) -> Result<Event<'_>, Violation> {
    Ok(match opcode {
        OpCode::Close => Event::Close(CloseFrame::parse(payload)?),
        OpCode::Ping => Event::Ping(payload),
        _ => Event::Pong(payload),
    })
}

#[cfg(any(test, fuzzing))]
impl Decoder {
    /// Memory for payloads, in bytes.
    pub(crate) fn capacity(&self) -> usize {
        let control = self.control.as_ref().map_or(0, |control| control.payload.capacity());
        self.message.as_ref().map_or(0, |message| message.capacity()) + control
    }
}

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;

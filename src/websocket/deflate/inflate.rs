//! Inflates a client's message up to a limit.

use std::cell::Cell;

use flate2::{Decompress, FlushDecompress, Status};

use crate::websocket::Violation;

/// Number of bytes that are inflated before the limit is checked.
const CHUNK: usize = 16 * 1024;

/// Limit on the deflate streams in one message. Each final block ends a stream. A new stream costs the server more than the two
/// bytes that start it.
const STREAMS: usize = 64;

/// The end of the sender's flush, which the sender leaves out, and an empty final block. A complete message stops within the head of
/// an empty block. Only after a complete message do these bytes contain no data and end the stream.
const END: [u8; 9] = [0, 0, 0xFF, 0xFF, 1, 0, 0, 0xFF, 0xFF];

thread_local! {
    static INFLATER: Cell<Option<Box<Inflater>>> = const { Cell::new(None) };
}

/// Inflates a message and passes it to `take` in pieces, until `take` returns an error.
///
/// # Errors
///
/// The error of `take`. [`Violation::Deflate`] if the message is not deflate, is cut off, or refers to an earlier message.
pub(crate) fn inflate(
    message: &[u8],
    take: impl FnMut(&[u8]) -> Result<(), Violation>,
) -> Result<(), Violation> {
    let mut inflater = INFLATER.take().unwrap_or_default();
    let result = inflater.message(message, take);
    // An inflater that was stopped in the middle is not used again, since a reset may leave a broken state.
    if result.is_ok() {
        INFLATER.set(Some(inflater));
    }
    result
}

struct Inflater {
    state: Decompress,
    out: Box<[u8]>,
}

impl Default for Inflater {
    fn default() -> Self {
        Self { state: Decompress::new(false), out: vec![0; CHUNK].into() }
    }
}

impl Inflater {
    fn message(
        &mut self,
        mut message: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        for _ in 0..STREAMS {
            // Forgets the previous message.
            self.state.reset(false);
            // Senders should add an empty block after a final block and to an empty message, but not all do.
            if message.is_empty() {
                return Ok(());
            }
            // After a final block, the next stream begins at the next whole byte (7.2.1).
            if self.stream(&mut message, &mut take)? {
                continue;
            }
            let (mut end, nothing) = (&END[..], |piece: &[u8]| match piece {
                [] => Ok(()),
                _ => Err(Violation::Deflate),
            });
            let ended = self.stream(&mut end, nothing)?;
            return if ended && end.is_empty() { Ok(()) } else { Err(Violation::Deflate) };
        }
        Err(Violation::Deflate)
    }

    /// Inflates to the end of the input, or to the end of a final block. Returns whether it reached a final block.
    fn stream(
        &mut self,
        input: &mut &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), Violation>,
    ) -> Result<bool, Violation> {
        loop {
            let (read, written) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(input, &mut self.out, FlushDecompress::None);
            let status = status.map_err(|_| Violation::Deflate)?;
            *input = &input[(self.state.total_in() - read) as usize..];
            let written = (self.state.total_out() - written) as usize;
            take(&self.out[..written])?;
            match status {
                Status::StreamEnd => return Ok(true),
                // No more output is possible.
                Status::Ok | Status::BufError if written < CHUNK => {
                    return if input.is_empty() { Ok(false) } else { Err(Violation::Deflate) };
                }
                Status::Ok | Status::BufError => {}
            }
        }
    }
}

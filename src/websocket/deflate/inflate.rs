//! A client's message gets long again, but not too long.

use std::cell::Cell;

use flate2::{Decompress, FlushDecompress, Status};

use crate::websocket::Violation;

/// How much is inflated before somebody looks whether it is too much.
const CHUNK: usize = 16 * 1024;

/// How many streams one message may be: one for each final block, and what comes after it. To begin a stream costs more
/// than the two bytes that make one.
const STREAMS: usize = 64;

/// What the sender's flush ended with and was left out, and a final block that is empty. A message is whole if it stopped within the head of an empty block: then
/// these bytes bring no data, and end the stream. Behind anything else they do not.
const END: [u8; 9] = [0, 0, 0xFF, 0xFF, 1, 0, 0, 0xFF, 0xFF];

thread_local! {
    static INFLATER: Cell<Option<Box<Inflater>>> = const { Cell::new(None) };
}

/// Inflates a message and hands it to `take` piece by piece, until that has had enough.
///
/// # Errors
///
/// What `take` says, and [`Violation::Deflate`] for what is not deflate, not whole, or refers to an earlier message.
pub(crate) fn inflate(
    message: &[u8],
    take: impl FnMut(&[u8]) -> Result<(), Violation>,
) -> Result<(), Violation> {
    let mut inflater = INFLATER.take().unwrap_or_default();
    let result = inflater.message(message, take);
    // One that was stopped in the middle is not used again, whatever a reset promises.
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
            // Nothing of the last message is left.
            self.state.reset(false);
            // A sender ought to put an empty block behind a final one, and into a message that is empty; not all do.
            if message.is_empty() {
                return Ok(());
            }
            // Behind a final block the next stream begins with the next whole byte (7.2.1).
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

    /// Inflates to the end of the input, or of a final block in it. Says whether it was a final block.
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
                // All that could come out has.
                Status::Ok | Status::BufError if written < CHUNK => {
                    return if input.is_empty() { Ok(false) } else { Err(Violation::Deflate) };
                }
                Status::Ok | Status::BufError => {}
            }
        }
    }
}

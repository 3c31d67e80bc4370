//! Frames get shorter.

use std::cell::Cell;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};

use crate::websocket::{OpCode, header, split_frame};

/// What a flush ends with. It is left out on the wire, and the receiver puts it back.
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// Says of a message's first frame that the message is compressed (RFC 7692 6).
const RSV1: u8 = 0x40;

/// As much of the output buffer as a thread keeps.
const KEPT: usize = 128 * 1024;

thread_local! {
    static COMPRESSOR: Cell<Option<Box<Compressor>>> = const { Cell::new(None) };
}

/// `frames`, which are whole messages of our own, with those compressed that carry at least `threshold` bytes and get
/// shorter by it. `None` if none of them does.
pub(crate) fn compress(frames: &[u8], threshold: usize, level: u8) -> Option<Bytes> {
    let compressor = COMPRESSOR.take().filter(|compressor| compressor.level == level);
    let mut compressor = compressor.unwrap_or_else(|| Box::new(Compressor::new(level)));
    let compressed = compressor.frames(frames, threshold);
    COMPRESSOR.set(Some(compressor));
    compressed
}

struct Compressor {
    state: Compress,
    level: u8,
    out: Vec<u8>,
}

impl Compressor {
    fn new(level: u8) -> Self {
        Self { state: fresh(level), level, out: Vec::new() }
    }

    fn frames(&mut self, mut frames: &[u8], threshold: usize) -> Option<Bytes> {
        let (mut compressed, mut shorter) = (Vec::new(), false);
        while let Some((frame, payload)) = split_frame(&mut frames) {
            let deflated = if payload.len() >= threshold { self.message(payload) } else { None };
            match deflated {
                Some(deflated) => {
                    let (mut header, header_len) = header(OpCode::Text, deflated.len());
                    header[0] = frame[0] | RSV1;
                    compressed.reserve(header_len + deflated.len());
                    compressed.extend_from_slice(&header[..header_len]);
                    compressed.extend_from_slice(deflated);
                    shorter = true;
                }
                None => compressed.extend_from_slice(frame),
            }
        }
        if self.out.len() > KEPT {
            self.out = Vec::new();
        }
        // Exactly as long as it is, since a queue may hold it for a while.
        shorter.then(|| compressed.into_boxed_slice().into())
    }

    /// One message, if it gets shorter.
    fn message(&mut self, payload: &[u8]) -> Option<&[u8]> {
        // Enough for what gets longer, too: the work is to be done to its end.
        let room = payload.len() + payload.len() / 8 + 64;
        if self.out.len() < room {
            self.out.resize(room, 0);
        }
        self.state.reset();
        let result = self.state.compress(payload, &mut self.out[..room], FlushCompress::Sync);
        let len = self.state.total_out() as usize;
        // Where there is room left the flush is complete.
        if result.is_err() || len == room || self.state.total_in() != payload.len() as u64 {
            // zlib-rs 0.6.8 does not come clean out of a reset in the middle of its work: it would panic, or
            // compress to rubbish, after some more.
            self.state = fresh(self.level);
            return None;
        }
        self.out[..len].strip_suffix(&TAIL).filter(|deflated| deflated.len() < payload.len())
    }
}

fn fresh(level: u8) -> Compress {
    Compress::new(Compression::new(level.into()), false)
}

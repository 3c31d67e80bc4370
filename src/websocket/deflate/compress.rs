//! Compresses frames.

use std::cell::Cell;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};

use crate::websocket::{OpCode, header, split_frame};

/// The end of a flush. The sender leaves it out, and the receiver adds it again.
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// Bit in the first frame of a compressed message (RFC 7692 6).
const RSV1: u8 = 0x40;

/// Largest output buffer that a thread keeps, in bytes.
const KEPT: usize = 128 * 1024;

thread_local! {
    static COMPRESSOR: Cell<Option<Box<Compressor>>> = const { Cell::new(None) };
}

/// Compresses `frames`, which are whole messages of this server. It compresses only messages of at least `threshold` bytes that
/// become shorter. `None` if there are none.
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
        // Without spare capacity, since a queue may hold it for a while.
        shorter.then(|| compressed.into_boxed_slice().into())
    }

    /// Compresses one message. `None` if it does not become shorter.
    fn message(&mut self, payload: &[u8]) -> Option<&[u8]> {
        // Room for a message that becomes longer too, so that the compressor always finishes.
        let room = payload.len() + payload.len() / 8 + 64;
        if self.out.len() < room {
            self.out.resize(room, 0);
        }
        self.state.reset();
        let result = self.state.compress(payload, &mut self.out[..room], FlushCompress::Sync);
        let len = self.state.total_out() as usize;
        // The flush is complete if there is room left.
        if result.is_err() || len == room || self.state.total_in() != payload.len() as u64 {
            // A reset of zlib-rs 0.6.8 in the middle of its work leaves a broken state, which later panics or compresses to
            // garbage.
            self.state = fresh(self.level);
            return None;
        }
        self.out[..len].strip_suffix(&TAIL).filter(|deflated| deflated.len() < payload.len())
    }
}

fn fresh(level: u8) -> Compress {
    Compress::new(Compression::new(level.into()), false)
}

//! Frames of a client: sent masked, received unmasked.

use std::io;

pub const TEXT: u8 = 0x1;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
/// A constant mask. Masking protects proxies, and there are none here.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked frame, made once and sent many times.
#[must_use]
pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![FIN | opcode];
    match payload.len() {
        len @ 0..=125 => frame.push(MASKED | len as u8),
        len @ 126..=0xffff => {
            frame.push(MASKED | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(MASKED | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A masked text frame.
#[must_use]
pub fn masked_text(text: &str) -> Vec<u8> {
    masked(TEXT, text.as_bytes())
}

/// Calls `each` for every whole frame and returns how many bytes they were.
pub fn read(bytes: &[u8], mut each: impl FnMut(u8, &[u8]) -> io::Result<()>) -> io::Result<usize> {
    let mut at = 0;
    while let Some([first, second]) = bytes.get(at..at + 2) {
        let (head, len) = match second {
            126 => match bytes.get(at + 2..at + 4) {
                Some(len) => (4, usize::from(len[0]) << 8 | usize::from(len[1])),
                None => break,
            },
            127 => match bytes.get(at + 2..at + 10).and_then(|len| len.try_into().ok()) {
                Some(len) => (10, usize::try_from(u64::from_be_bytes(len)).unwrap_or(usize::MAX)),
                None => break,
            },
            len => (2, usize::from(*len)),
        };
        let Some(payload) = bytes.get(at + head..).and_then(|rest| rest.get(..len)) else { break };
        if first & FIN == 0 || first & 0xf == 0 {
            return Err(io::Error::other("a fragmented message, which no bench server sends"));
        }
        each(first & 0xf, payload)?;
        at += head + len;
    }
    Ok(at)
}

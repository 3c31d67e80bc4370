//! Frames of the server (RFC 6455 5.2). They are never masked and never fragmented.

use bytes::Bytes;

use super::{CloseCode, OpCode};

/// Longest header of a server's frame: two bytes and a length of eight.
const MAX_HEADER: usize = 10;

/// Longest payload of a control frame (5.5).
const MAX_CONTROL: usize = 125;

/// A whole frame in one allocation, which all recipients share.
pub(crate) fn frame(opcode: OpCode, payload: &[u8]) -> Bytes {
    let (_, header_len) = header(opcode, payload.len());
    let mut frame = Vec::with_capacity(header_len + payload.len());
    write_frame(opcode, payload, &mut frame);
    Bytes::from(frame)
}

/// Appends a frame to `out`.
#[inline(always)]
pub(crate) fn write_frame(opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    debug_assert!(
        !opcode.is_control() || payload.len() <= MAX_CONTROL,
        "a control frame must have at most 125 bytes"
    );
    let (header, header_len) = header(opcode, payload.len());
    match header_len {
        // The usual case: a copy of constant length compiles without a call.
        2 => out.extend_from_slice(&header[..2]),
        len => out.extend_from_slice(&header[..len]),
    }
    out.extend_from_slice(payload);
}

/// The header of a frame with `len` bytes of payload, and its length in the array.
///
/// A caller can serialize after [`MAX_HEADER`] spare bytes and insert the header afterwards.
pub(crate) fn header(opcode: OpCode, len: usize) -> ([u8; MAX_HEADER], usize) {
    let mut header = [0; MAX_HEADER];
    header[0] = 0x80 | opcode as u8;
    let header_len = if len <= 125 {
        header[1] = len as u8;
        2
    } else if let Ok(len) = u16::try_from(len) {
        header[1] = 126;
        header[2..4].copy_from_slice(&len.to_be_bytes());
        4
    } else {
        header[1] = 127;
        header[2..].copy_from_slice(&(len as u64).to_be_bytes());
        MAX_HEADER
    };
    (header, header_len)
}

/// Takes a frame of this server off the front of `frames`. Returns the whole frame and its payload.
pub(crate) fn split_frame<'a>(frames: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (header_len, len) = match **frames {
        [_, 126, a, b, ..] => (4, u16::from_be_bytes([a, b]).into()),
        [_, 127, a, b, c, d, e, f, g, h, ..] => {
            (MAX_HEADER, u64::from_be_bytes([a, b, c, d, e, f, g, h]) as usize)
        }
        [_, len, ..] => (2, len.into()),
        _ => return None,
    };
    let frame = frames.split_off(..header_len + len)?;
    Some((frame, &frame[header_len..]))
}

/// Number of frames in `bytes`. `None` unless all frames are in this server's form: whole text or binary frames with the shortest
/// length encoding, text in UTF-8.
pub(crate) fn validate_frames(mut bytes: &[u8]) -> Option<usize> {
    let mut count = 0;
    while let [first, ..] = *bytes {
        let opcode = match first {
            0x81 => OpCode::Text,
            0x82 => OpCode::Binary,
            _ => return None,
        };
        let header_len = match bytes.get(1)? {
            ..=125 => 2,
            126 => 4,
            127 => MAX_HEADER,
            _ => return None,
        };
        let mut len = [0; 8];
        let digits = if header_len == 2 { bytes.get(1..2)? } else { bytes.get(2..header_len)? };
        len[8 - digits.len()..].copy_from_slice(digits);
        let len = usize::try_from(u64::from_be_bytes(len)).ok()?;
        let (shortest, shortest_len) = header(opcode, len);
        let frame = bytes.split_off(..header_len.checked_add(len)?)?;
        if shortest[..shortest_len] != frame[..header_len]
            || (opcode == OpCode::Text && simdutf8::basic::from_utf8(&frame[header_len..]).is_err())
        {
            return None;
        }
        count += 1;
    }
    Some(count)
}

/// A close frame. A reason that is too long is cut between two characters.
///
/// Codes for local reports must never be sent (7.4.1). For them the frame has no code.
pub(crate) fn close(code: CloseCode, reason: &str) -> Bytes {
    if !code.may_be_sent() {
        return frame(OpCode::Close, &[]);
    }
    let mut end = reason.len().min(MAX_CONTROL - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let reason = &reason[..end];
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.extend_from_slice(&u16::from(code).to_be_bytes());
    payload.extend_from_slice(reason.as_bytes());
    frame(OpCode::Close, &payload)
}

/// A ping of at most 125 bytes.
pub(crate) fn ping(payload: &[u8]) -> Bytes {
    frame(OpCode::Ping, payload)
}

/// A frame of a client, for the test kit. The masking key is zero, which leaves the payload as it is: masks protect proxies (10.3), and
/// there are none on the way.
#[cfg(feature = "testing")]
pub(crate) fn client_frame(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let (mut header, header_len) = header(opcode, payload.len());
    header[1] |= 0x80;
    [&header[..header_len], &[0; 4], payload].concat()
}

/// The pong to a ping, with the same payload.
pub(crate) fn pong(payload: &[u8]) -> Bytes {
    frame(OpCode::Pong, payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_takes_the_fewest_bytes() {
        for (len, expected) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (65535, &[0x82, 126, 0xff, 0xff]),
            (65536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let (bytes, header_len) = header(OpCode::Binary, len);
            assert_eq!(&bytes[..header_len], expected);

            let payload = vec![7; len];
            let frame = frame(OpCode::Binary, &payload);
            assert_eq!((&frame[..header_len], &frame[header_len..]), (expected, &payload[..]));
        }
    }

    #[test]
    fn frames_are_appended() {
        let mut out = b"before".to_vec();
        write_frame(OpCode::Text, b"Hello", &mut out);
        assert_eq!(out, b"before\x81\x05Hello");
    }

    #[test]
    fn control_frames() {
        assert_eq!(&ping(b"1")[..], b"\x89\x011");
        assert_eq!(&pong(b"")[..], b"\x8a\x00");
        assert_eq!(&close(CloseCode::NORMAL, "")[..], b"\x88\x02\x03\xe8");
        assert_eq!(&close(CloseCode::TOO_BIG, "big")[..], b"\x88\x05\x03\xf1big");
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        // 123 bytes are 41 euro signs of three bytes each. After one or two letters, one sign less fits.
        for (before, kept) in [("", 123), ("a", 121), ("ab", 122), ("abc", 123)] {
            let frame = close(CloseCode::POLICY, &format!("{before}{}", "€".repeat(50)));
            assert_eq!(usize::from(frame[1]), 2 + kept);
            assert_eq!(frame.len(), 4 + kept);
            assert!(std::str::from_utf8(&frame[4..]).unwrap().ends_with('€'));
        }
    }

    #[test]
    fn codes_for_reports_are_never_sent() {
        assert_eq!(&close(CloseCode::NO_STATUS, "x")[..], b"\x88\x00");
        assert_eq!(&close(CloseCode::ABNORMAL, "x")[..], b"\x88\x00");
    }
}

use flate2::{Decompress, FlushDecompress, Status};

use crate::websocket::{self, Decoder, Event, OpCode, Violation, inflate};

/// Limit for the output of the other inflater, in bytes.
const MOST: usize = 1 << 20;

/// Checks any bytes as a compressed message: the output never exceeds the limit, nothing is remembered between messages, and the
/// output equals that of another inflater, if that one accepts the message.
///
/// The first two bytes are the limit. The rest is the message.
pub fn inflater(data: &[u8]) {
    let Some((limit, message)) = data.split_first_chunk() else { return };
    let limit = usize::from(u16::from_be_bytes(*limit));

    let whole = ours(message, MOST);
    let limited = ours(message, limit);
    match &whole {
        Ok(bytes) if bytes.len() <= limit => assert_eq!(limited, whole),
        Ok(_) => assert_eq!(limited, Err(Violation::TooBig { limit })),
        Err(violation) => {
            assert!(
                matches!(limited, Err(Violation::TooBig { .. })) || limited == Err(*violation),
                "{limited:?}"
            );
        }
    }
    assert_eq!(ours(message, MOST), whole, "the same bytes, the second time");
    held(message, limit, &limited);

    let theirs = theirs(message);
    match (&whole, &theirs) {
        (Err(Violation::TooBig { .. }), _) => {}
        (Ok(ours), Some(theirs)) => assert!(ours == theirs, "{} bytes, they: {}", ours.len(), theirs.len()),
        // This inflater continues after a final block, and the other one ends there.
        (Ok(_), None) => {}
        (Err(violation), theirs) => assert!(theirs.is_none(), "{violation:?}, they: {theirs:?}"),
    }
}

fn ours(message: &[u8], limit: usize) -> Result<Vec<u8>, Violation> {
    let mut out = Vec::new();
    inflate(message, |piece| {
        if piece.len() > limit - out.len() {
            return Err(Violation::TooBig { limit });
        }
        out.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(out)
}

/// Checks that a client's frame with the message gives the same result, and that its memory does not exceed the limit.
fn held(message: &[u8], limit: usize, expected: &Result<Vec<u8>, Violation>) {
    let (mut header, len) = websocket::header(OpCode::Binary, message.len());
    // Compressed, and masked with zeros.
    header[0] |= 0x40;
    header[1] |= 0x80;
    let mut frame = [&header[..len], &[0; 4], message].concat();
    let mut decoder = Decoder::new(true);
    let result = match decoder.next(&mut &mut frame[..], limit) {
        Ok(Some(Event::Binary(bytes))) => Ok(bytes.to_vec()),
        Ok(other) => panic!("{other:?}"),
        Err(violation) => Err(violation),
    };
    assert!(decoder.capacity() <= limit, "{} bytes with the limit {limit}", decoder.capacity());
    // A message that is too long for the limit in any case is refused before it is inflated.
    assert!(
        result == *expected || result == Err(Violation::TooBig { limit }) && message.len() > limit,
        "{result:?}"
    );
}

/// Inflates a complete message of one stream by flate2 alone. The message ends with a final block, or with the tail that the sender
/// leaves out and a final block, which contain no data.
fn theirs(message: &[u8]) -> Option<Vec<u8>> {
    const END: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];
    let mut out = Vec::with_capacity(MOST + 1);
    let mut state = Decompress::new(false);
    let mut status = Status::Ok;
    if !message.is_empty() {
        status = state.decompress_vec(message, &mut out, FlushDecompress::Sync).ok()?;
    }
    let (read, len) = (state.total_in(), out.len());
    if status != Status::StreamEnd && len <= MOST {
        status = state.decompress_vec(&END, &mut out, FlushDecompress::Finish).ok()?;
        (status == Status::StreamEnd && state.total_in() == read + END.len() as u64).then_some(())?;
    }
    let whole =
        status == Status::StreamEnd && read == message.len() as u64 && out.len() == len && len <= MOST;
    (whole || message.is_empty()).then_some(out)
}

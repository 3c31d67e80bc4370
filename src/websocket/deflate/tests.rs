use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{compress, inflate};
use crate::websocket::{OpCode, Violation, frame, split_frame};

/// A message that a client compresses, by flate2 alone and without the tail.
pub(in crate::websocket) fn deflated(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * message.len() + 100);
    let mut state = Compress::new(Compression::new(6), false);
    state.compress_vec(message, &mut out, FlushCompress::Sync).unwrap();
    assert_eq!((state.total_in() as usize, out.len() < out.capacity()), (message.len(), true));
    assert!(out.ends_with(b"\0\0\xff\xff"));
    out.truncate(out.len() - 4);
    out
}

/// The same with a final block at the end, as in a file.
fn finished(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * message.len() + 100);
    let mut state = Compress::new(Compression::new(6), false);
    let status = state.compress_vec(message, &mut out, FlushCompress::Finish).unwrap();
    assert_eq!(status, Status::StreamEnd);
    out
}

/// The message that a client reads, by flate2 alone: adds the tail and inflates everything.
fn inflated(payload: &[u8], len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len + 100);
    let payload = [payload, b"\0\0\xff\xff"].concat();
    let mut state = Decompress::new(false);
    state.decompress_vec(&payload, &mut out, FlushDecompress::Sync).unwrap();
    assert_eq!(state.total_in() as usize, payload.len());
    out
}

fn ours(payload: &[u8]) -> Result<Vec<u8>, Violation> {
    let mut out = Vec::new();
    inflate(payload, |piece| {
        out.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(out)
}

/// Random bytes.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// The first byte and the payload of each frame.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let each = std::iter::from_fn(|| split_frame(&mut bytes));
    each.map(|(frame, payload)| (frame[0], payload.to_vec())).collect()
}

#[test]
fn the_examples_of_the_rfc() {
    for payload in [
        // One block, an uncompressed block, a final block, two blocks (RFC 7692 7.2.3).
        &b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..],
        b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
    ] {
        assert_eq!(ours(payload), Ok(b"Hello".to_vec()), "{payload:x?}");
    }
    assert_eq!(ours(b"\x00"), Ok(vec![]));
}

#[test]
fn a_final_block_may_end_a_message_or_stand_inside_of_it() {
    let (hello, world) = (finished(b"Hello "), finished(b"world"));
    for behind in [&b""[..], b"\x00"] {
        assert_eq!(ours(&[&hello, behind].concat()), Ok(b"Hello ".to_vec()));
        assert_eq!(ours(&[&hello, &world, behind].concat()), Ok(b"Hello world".to_vec()));
        // The last block is not final.
        let mixed = [&hello, &deflated(b"world")[..]].concat();
        assert_eq!(ours(&mixed), Ok(b"Hello world".to_vec()));
    }
    // The number of final blocks is limited, since each has two bytes and costs a restart.
    let empty = finished(b"");
    assert_eq!(empty.len(), 2);
    assert_eq!(ours(&empty.repeat(10)), Ok(vec![]));
    assert_eq!(ours(&empty.repeat(1000)), Err(Violation::Deflate));
}

#[test]
fn a_message_without_a_byte_is_empty() {
    assert_eq!(ours(b""), Ok(vec![]));
}

#[test]
fn what_is_cut_off_is_refused() {
    let text = "So much to say, so much to say, and so little time. ".repeat(5);
    // A block with its own codes may be cut off within them too.
    let codes = deflated((0..300).map(|n| format!("{n} ")).collect::<String>().as_bytes());
    assert_eq!(codes[0] >> 1 & 3, 2);
    for whole in [deflated(text.as_bytes()), deflated(&noise(300)), deflated(b"Hello"), codes] {
        assert!(ours(&whole).is_ok());
        for len in 1..whole.len() {
            // Incompressible data begins like an empty message.
            if whole[..len] == *b"\0" {
                continue;
            }
            assert_eq!(ours(&whole[..len]), Err(Violation::Deflate), "{len} of {}", whole.len());
        }
        // The tail must be left out.
        assert_eq!(ours(&[&whole, &b"\0\0\xff\xff"[..]].concat()), Err(Violation::Deflate));
    }
}

#[test]
fn what_is_no_deflate_is_refused() {
    for bad in [
        // An unknown block type, a wrong complement of a length, and uncompressed text.
        &b"\x06\x00"[..],
        b"\x00\x05\x00\x05\x00Hello\x00",
        b"{\"flag\":\"inform\"}",
        &[0xFF; 100],
    ] {
        assert_eq!(ours(bad), Err(Violation::Deflate), "{bad:x?}");
    }
    // Later messages are not affected.
    assert_eq!(ours(&deflated(b"fine")), Ok(b"fine".to_vec()));
}

/// The RFC's example of a message that refers to the previous message, which may be another client's.
#[test]
fn nothing_of_one_message_is_seen_by_the_next() {
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let same_again = b"\xf2\x00\x11\x00\x00";
    assert_eq!(ours(hello), Ok(b"Hello".to_vec()));
    assert_eq!(ours(same_again), Err(Violation::Deflate));
    // The same holds after a message that is cut off, and after a final block.
    assert!(ours(&deflated(&b"secret ".repeat(10_000))[..50]).is_err());
    assert_eq!(ours(same_again), Err(Violation::Deflate));
    assert_eq!(ours(&[&finished(b"Hello")[..], same_again].concat()), Err(Violation::Deflate));
}

#[test]
fn inflating_stops_when_it_is_told_to() {
    let bomb = deflated(&vec![0; 4 << 20]);
    assert!(bomb.len() < 5_000);
    let (mut seen, limit) = (0, 40_000);
    let result = inflate(&bomb, |piece| {
        seen += piece.len();
        if seen > limit { Err(Violation::TooBig { limit }) } else { Ok(()) }
    });
    assert_eq!(result, Err(Violation::TooBig { limit }));
    assert!(seen < limit + 32 * 1024, "{seen} bytes inflated");
}

#[test]
fn a_compressed_frame_says_so_and_is_shorter() {
    for (opcode, first) in [(OpCode::Text, 0xC1), (OpCode::Binary, 0xC2)] {
        for len in [200, 1000, 100_000] {
            let plain = b"all work and no play ".repeat(len / 20);
            let before = frame(opcode, &plain);
            let after = compress(&before, 100, 3).expect("shorter");
            assert!(after.len() < before.len() / 2);
            let [(byte, payload)] = &frames(&after)[..] else { panic!("one frame") };
            assert_eq!(*byte, first);
            assert_eq!(inflated(payload, plain.len()), plain);
            assert!(!payload.ends_with(b"\0\0\xff\xff"));
        }
    }
}

#[test]
fn what_gets_no_shorter_stays_as_it_is() {
    for payload in [&b""[..], b"a", b"abc", &noise(100), &noise(70_000)] {
        assert_eq!(compress(&frame(OpCode::Binary, payload), 0, 3), None, "{} bytes", payload.len());
    }
    assert_eq!(compress(b"", 0, 3), None);
    // Even if it contains the end of a flush, and on every attempt.
    for at in 0..296 {
        let mut payload = noise(300);
        payload[at..at + 4].copy_from_slice(b"\0\0\xff\xff");
        assert_eq!(compress(&frame(OpCode::Binary, &payload), 0, 3), None, "at {at}");
    }
    // Later messages are not affected.
    assert!(compress(&frame(OpCode::Text, &[b'a'; 100]), 0, 3).is_some());
}

#[test]
fn the_threshold_is_the_shortest_message_that_is_compressed() {
    let payload = [b'a'; 500];
    let plain = frame(OpCode::Text, &payload);
    assert_eq!(compress(&plain, 501, 3), None);
    assert!(compress(&plain, 500, 3).is_some());
}

#[test]
fn of_several_frames_each_is_compressed_or_left() {
    let long = [b'a'; 500];
    let plain = [
        frame(OpCode::Text, b"short"),
        frame(OpCode::Text, &long),
        frame(OpCode::Binary, &noise(500)),
        frame(OpCode::Binary, &long),
        frame(OpCode::Text, b""),
    ];
    let compressed = frames(&compress(&plain.concat(), 100, 3).expect("shorter"));
    let bits: Vec<u8> = compressed.iter().map(|(byte, _)| *byte).collect();
    assert_eq!(bits, [0x81, 0xC1, 0x82, 0xC2, 0x81]);
    let payloads: Vec<&[u8]> = compressed.iter().map(|(_, payload)| &payload[..]).collect();
    assert_eq!((payloads[0], payloads[2], payloads[4]), (&b"short"[..], &noise(500)[..], &b""[..]));
    // Each message on its own: the second does not refer to the first.
    assert_eq!(inflated(payloads[1], 500), long);
    assert_eq!(inflated(payloads[3], 500), long);
}

#[test]
fn a_level_is_used_as_it_is_asked_for() {
    let plain = frame(OpCode::Text, (0..5000).map(|n| format!("{n} ")).collect::<String>().as_bytes());
    let len = |level| compress(&plain, 0, level).expect("shorter").len();
    let (fast, small) = (len(1), len(9));
    assert!(small < fast, "{small} < {fast}");
    assert_eq!(len(1), fast);
}

/// Typical text of many lengths, repetitive and not.
fn message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..300),
        vec(select(&b"abc {}\":,01"[..]), 0..3000),
        (vec(any::<u8>(), 1..20), 0..5000_usize).prop_map(|(part, times)| part.repeat(times)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_we_compress_is_inflated_by_others(messages in vec(message(), 1..4), level in 1..=9_u8) {
        for message in messages {
            let plain = frame(OpCode::Binary, &message);
            if let Some(compressed) = compress(&plain, 0, level) {
                prop_assert!(compressed.len() < plain.len());
                let frames = frames(&compressed);
                prop_assert_eq!((frames.len(), frames[0].0), (1, 0xC2));
                prop_assert_eq!(inflated(&frames[0].1, message.len()), &message[..]);
                prop_assert_eq!(ours(&frames[0].1), Ok(message));
            }
        }
    }

    #[test]
    fn what_others_compress_is_inflated_by_us(messages in vec(message(), 1..4)) {
        for message in messages {
            prop_assert_eq!(ours(&deflated(&message)), Ok(message.clone()));
            prop_assert_eq!(ours(&finished(&message)), Ok(message));
        }
    }

    #[test]
    fn no_bytes_make_it_panic_or_last_for_ever(bytes in vec(any::<u8>(), 0..200)) {
        let _ = ours(&bytes);
    }
}

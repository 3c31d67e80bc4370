use super::*;
use crate::fuzz::Owned;
use crate::websocket::CloseCode;

pub(super) const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// A limit that no test reaches by accident.
const MAX: usize = 1 << 20;

fn text(text: &str) -> Owned {
    Owned::Text(text.to_owned())
}

/// A client's frame. `first` is the whole first byte. The length encoding is valid.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = payload.len();
    let mut frame = match len {
        0..=125 => vec![first, 0x80 | len as u8],
        126..=65535 => [&[first, 0x80 | 126][..], &(len as u16).to_be_bytes()].concat(),
        _ => [&[first, 0x80 | 127][..], &(len as u64).to_be_bytes()].concat(),
    };
    let key = [0x37, 0xfa, 0x21, 0x3d];
    frame.extend_from_slice(&key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// The results of a decoder for a sequence of reads, up to the first violation.
fn decode<'c>(
    reads: impl IntoIterator<Item = &'c [u8]>,
    max_message: usize,
) -> (Vec<Owned>, Option<Violation>) {
    decode_by(Decoder::default(), reads, max_message)
}

fn decode_by<'c>(
    mut decoder: Decoder,
    reads: impl IntoIterator<Item = &'c [u8]>,
    max_message: usize,
) -> (Vec<Owned>, Option<Violation>) {
    let mut events = Vec::new();
    for read in reads {
        let mut scratch = read.to_vec();
        let mut input = &mut scratch[..];
        loop {
            match decoder.next(&mut input, max_message) {
                Ok(Some(event)) => events.push(event.into()),
                Ok(None) => break,
                Err(violation) => return (events, Some(violation)),
            }
        }
        assert!(input.is_empty(), "more is asked for before all is used");
    }
    (events, None)
}

/// The results for all bytes in one read. Asserts that any other cut gives the same results.
fn decode_any_way(bytes: &[u8], max_message: usize) -> (Vec<Owned>, Option<Violation>) {
    any_way_by(Decoder::default, bytes, max_message)
}

fn any_way_by(
    decoder: impl Fn() -> Decoder,
    bytes: &[u8],
    max_message: usize,
) -> (Vec<Owned>, Option<Violation>) {
    let whole = decode_by(decoder(), [bytes], max_message);
    assert_eq!(decode_by(decoder(), bytes.chunks(1), max_message), whole, "byte by byte");
    for cut in 0..bytes.len().min(300) {
        let (front, back) = bytes.split_at(cut);
        assert_eq!(decode_by(decoder(), [front, back], max_message), whole, "cut at {cut}");
    }
    whole
}

fn refusal(bytes: &[u8]) -> Violation {
    let (events, violation) = decode_any_way(bytes, MAX);
    assert_eq!(events, []);
    violation.expect("this has to be refused")
}

#[test]
fn the_examples_of_the_rfc() {
    let hello = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(decode_any_way(hello, MAX), (vec![text("Hello")], None));
    let pong = b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(decode_any_way(pong, MAX), (vec![Owned::Pong(b"Hello".to_vec())], None));
}

#[test]
fn lengths_on_both_sides_of_each_encoding() {
    for len in [0, 1, 124, 125, 126, 127, 65535, 65536, 65537] {
        let payload: Vec<u8> = (0..len).map(|i| i as u8 % 0x80).collect();
        let expected = (vec![Owned::Binary(payload.clone())], None);
        assert_eq!(decode_any_way(&frame(FIN | BINARY, &payload), MAX), expected, "{len} bytes");
        let expected = (vec![Owned::Text(String::from_utf8(payload.clone()).unwrap())], None);
        assert_eq!(decode_any_way(&frame(FIN | TEXT, &payload), MAX), expected, "{len} bytes of text");
    }
}

#[test]
fn a_message_may_be_as_long_as_the_limit_and_no_longer() {
    let too_big = |limit| (vec![], Some(Violation::TooBig { limit }));
    for limit in [0, 10, 126, 65536] {
        let exact = vec![b'a'; limit];
        let over = vec![b'a'; limit + 1];
        let accepted = (vec![Owned::Binary(exact.clone())], None);
        assert_eq!(decode_any_way(&frame(FIN | BINARY, &exact), limit), accepted);
        assert_eq!(decode_any_way(&frame(FIN | BINARY, &over), limit), too_big(limit));

        // The limit applies to the sum of all fragments.
        let (front, back) = exact.split_at(limit / 2);
        let begin = frame(BINARY, front);
        let end = frame(FIN | CONTINUATION, back);
        assert_eq!(decode_any_way(&[&begin[..], &end].concat(), limit), accepted);
        let end = frame(FIN | CONTINUATION, &over[limit / 2..]);
        assert_eq!(decode_any_way(&[&begin[..], &end].concat(), limit), too_big(limit));
    }
    // An incomplete character counts with the bytes that have arrived.
    let cut = [frame(TEXT, b"\xf0\x9f"), frame(FIN, b"\x98\x80")].concat();
    assert_eq!(decode_any_way(&cut, 4), (vec![text("😀")], None));
    assert_eq!(decode_any_way(&cut, 3), too_big(3));
}

#[test]
fn the_limit_is_judged_by_the_header_alone() {
    for len in [11, 1 << 20, u64::MAX >> 1] {
        let mut header = frame(FIN | TEXT, &[0; 65536])[..14].to_vec();
        header[2..10].copy_from_slice(&len.to_be_bytes());
        if len < 65536 {
            header = frame(FIN | TEXT, &vec![0; len as usize])[..6].to_vec();
        }
        assert_eq!(decode([&header[..]], 10), (vec![], Some(Violation::TooBig { limit: 10 })), "{len}");
    }
}

#[test]
fn control_frames_come_between_the_fragments_of_a_message() {
    let bytes = [
        frame(TEXT, "Köl".as_bytes()),
        frame(FIN | PING, b"are you there"),
        frame(CONTINUATION, b""),
        frame(FIN | PONG, b""),
        frame(CONTINUATION, b"n \xe2"),
        frame(FIN | PING, &[1; 125]),
        frame(FIN | CONTINUATION, b"\x82\xac"),
        frame(FIN | BINARY, b"next"),
    ]
    .concat();
    let expected = vec![
        Owned::Ping(b"are you there".to_vec()),
        Owned::Pong(vec![]),
        Owned::Ping(vec![1; 125]),
        text("Köln €"),
        Owned::Binary(b"next".to_vec()),
    ];
    assert_eq!(decode_any_way(&bytes, MAX), (expected, None));
}

#[test]
fn many_frames_in_one_read() {
    let bytes: Vec<u8> = (0..100).flat_map(|i: u8| frame(FIN | BINARY, &[i])).collect();
    let expected = (0..100).map(|i| Owned::Binary(vec![i])).collect();
    assert_eq!(decode_any_way(&bytes, MAX), (expected, None));
}

#[test]
fn violations_of_a_header() {
    let key = [0; 4];
    assert_eq!(refusal(b"\x81\x05Hello"), Violation::Unmasked);
    assert_eq!(refusal(b"\x81\x00"), Violation::Unmasked);
    for bit in [0x40, 0x20, 0x10] {
        assert_eq!(refusal(&frame(FIN | bit | TEXT, b"x")), Violation::ReservedBits);
    }
    for opcode in [0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF] {
        assert_eq!(refusal(&frame(FIN | opcode, b"x")), Violation::ReservedOpCode(opcode));
    }
    for opcode in [CLOSE, PING, PONG] {
        assert_eq!(refusal(&frame(opcode, b"")), Violation::FragmentedControl);
        assert_eq!(refusal(&frame(FIN | opcode, &[b'x'; 126])), Violation::LongControl);
        assert_eq!(refusal(&frame(FIN | opcode, &[b'x'; 65536])), Violation::LongControl);
    }
    for (length, violation) in [
        (&[0xFE, 0, 0][..], Some(Violation::LengthNotMinimal)),
        (&[0xFE, 0, 125], Some(Violation::LengthNotMinimal)),
        (&[0xFE, 0, 126], None),
        (&[0xFF, 0, 0, 0, 0, 0, 0, 0, 0], Some(Violation::LengthNotMinimal)),
        (&[0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], Some(Violation::LengthNotMinimal)),
        (&[0xFF, 0, 0, 0, 0, 0, 1, 0, 0], None),
        (&[0xFF, 0x80, 0, 0, 0, 0, 0, 0, 1], Some(Violation::LengthTopBit)),
        (&[0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], Some(Violation::TooBig { limit: MAX })),
    ] {
        let header = [&[FIN | BINARY], length, &key].concat();
        assert_eq!(decode_any_way(&header, MAX), (vec![], violation), "{length:x?}");
    }
}

#[test]
fn a_header_is_refused_at_its_first_wrong_byte() {
    assert_eq!(refusal(b"\xc1"), Violation::ReservedBits);
    assert_eq!(refusal(b"\x83"), Violation::ReservedOpCode(3));
    assert_eq!(refusal(b"\x09"), Violation::FragmentedControl);
    assert_eq!(refusal(b"\x89\xfe"), Violation::LongControl);
    assert_eq!(refusal(b"\x81\x7e"), Violation::Unmasked);
}

#[test]
fn violations_of_the_sequence() {
    assert_eq!(refusal(&frame(CONTINUATION, b"x")), Violation::NothingToContinue);
    assert_eq!(refusal(&frame(FIN | CONTINUATION, b"")), Violation::NothingToContinue);
    for first in [TEXT, BINARY, FIN | TEXT, FIN | BINARY] {
        let bytes = [frame(BINARY, b""), frame(first, b"x")].concat();
        assert_eq!(refusal(&bytes), Violation::InterleavedMessage);
    }
    // A message that has ended cannot be continued, whether it was lent out or collected.
    let (events, violation) = decode_any_way(&[frame(FIN | TEXT, b"x"), frame(FIN, b"x")].concat(), MAX);
    assert_eq!((events.len(), violation), (1, Some(Violation::NothingToContinue)));
}

#[test]
fn close_frames() {
    let close = |code, reason: &str| (vec![Owned::Close(Some((code, reason.to_owned())))], None);
    assert_eq!(decode_any_way(&frame(FIN | CLOSE, b""), MAX), (vec![Owned::Close(None)], None));
    assert_eq!(decode_any_way(&frame(FIN | CLOSE, b"\x03\xe8"), MAX), close(1000, ""));
    assert_eq!(decode_any_way(&frame(FIN | CLOSE, b"\x0f\xa1bye"), MAX), close(4001, "bye"));
    let longest = "x".repeat(123);
    let payload = [b"\x03\xe9", longest.as_bytes()].concat();
    assert_eq!(decode_any_way(&frame(FIN | CLOSE, &payload), MAX), close(1001, &longest));

    assert_eq!(refusal(&frame(FIN | CLOSE, b"\x03")), Violation::ClosePayload);
    assert_eq!(refusal(&frame(FIN | CLOSE, b"\x03\xed")), Violation::CloseCode(1005));
    assert_eq!(refusal(&frame(FIN | CLOSE, b"\x03\xe8\xff")), Violation::Utf8);
}

#[test]
fn nothing_comes_after_a_close_frame() {
    let after = [frame(FIN | CLOSE, b"\x03\xe8"), frame(FIN | TEXT, b"late"), vec![0xFF; 20]].concat();
    assert_eq!(decode_any_way(&after, MAX), (vec![Owned::Close(Some((1000, String::new())))], None));
    // The same holds inside a fragmented message, and its memory is freed.
    let mut bytes = [frame(TEXT, b"begun"), frame(FIN | CLOSE, b""), frame(FIN, b"late")].concat();
    let (mut decoder, mut input) = (Decoder::default(), &mut bytes[..]);
    assert_eq!(decoder.next(&mut input, MAX), Ok(Some(Event::Close(None))));
    assert_eq!(decoder.next(&mut input, MAX), Ok(None));
    assert!(input.is_empty() && decoder.is_idle());
}

#[test]
fn nothing_comes_after_a_violation() {
    for bad in [b"\xc1".to_vec(), frame(FIN | TEXT, b"\xff"), frame(FIN | CLOSE, b"\x03")] {
        for split in [0, bad.len() / 2, bad.len() - 1] {
            let mut decoder = Decoder::default();
            let (mut front, back) = (bad[..split].to_vec(), &bad[split..]);
            assert_eq!(decoder.next(&mut &mut front[..], MAX), Ok(None));
            let mut rest = [back, &frame(FIN | TEXT, b"late")].concat();
            let mut input = &mut rest[..];
            assert!(decoder.next(&mut input, MAX).is_err());
            assert_eq!(decoder.next(&mut input, MAX), Ok(None));
            assert!(input.is_empty() && decoder.is_idle());
        }
    }
}

#[test]
fn violations_name_their_close_code() {
    assert_eq!(Violation::Utf8.close_code(), CloseCode::INVALID_DATA);
    assert_eq!(Violation::TooBig { limit: 1 }.close_code(), CloseCode::TOO_BIG);
    assert_eq!(Violation::Unmasked.close_code(), CloseCode::PROTOCOL_ERROR);
    assert_eq!(Violation::CloseCode(1005).close_code(), CloseCode::PROTOCOL_ERROR);
}

#[cfg(feature = "deflate")]
mod deflate;
mod memory;
mod text;

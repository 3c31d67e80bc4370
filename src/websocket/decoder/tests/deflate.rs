//! Compressed messages (RFC 7692).

use super::*;
use crate::websocket::deflate::tests::deflated;

const RSV1: u8 = 0x40;

fn deflating() -> Decoder {
    Decoder::new(true)
}

/// [`decode_any_way`] with permessage-deflate.
fn inflate_any_way(bytes: &[u8], max_message: usize) -> (Vec<Owned>, Option<Violation>) {
    any_way_by(deflating, bytes, max_message)
}

fn compressed(first: u8, message: &[u8]) -> Vec<u8> {
    frame(first | RSV1, &deflated(message))
}

#[test]
fn the_examples_of_the_rfc() {
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let whole = frame(FIN | RSV1 | TEXT, hello);
    assert_eq!(inflate_any_way(&whole, MAX), (vec![text("Hello")], None));
    let fragments = [frame(RSV1 | TEXT, &hello[..3]), frame(FIN, &hello[3..])].concat();
    assert_eq!(inflate_any_way(&fragments, MAX), (vec![text("Hello")], None));
    // A reference to the previous message is invalid, since no context takeover was negotiated.
    let again = frame(FIN | RSV1 | TEXT, b"\xf2\x00\x11\x00\x00");
    let expected = (vec![text("Hello")], Some(Violation::Deflate));
    assert_eq!(inflate_any_way(&[whole, again].concat(), MAX), expected);
}

#[test]
fn compressed_and_plain_messages_and_control_frames_as_they_come() {
    let long = "Köln ist am schönsten. ".repeat(30);
    let cut = deflated(long.as_bytes());
    let bytes = [
        compressed(FIN | TEXT, b"first"),
        frame(FIN | TEXT, b"second"),
        frame(RSV1 | TEXT, &cut[..5]),
        frame(FIN | PING, b"between"),
        frame(CONTINUATION, b""),
        frame(CONTINUATION, &cut[5..20]),
        frame(FIN | PONG, b""),
        frame(FIN | CONTINUATION, &cut[20..]),
        compressed(FIN | BINARY, &[0xff; 300]),
        compressed(FIN | TEXT, b""),
        frame(FIN | RSV1 | BINARY, b""),
        [frame(RSV1 | TEXT, b""), frame(FIN, &deflated(b"late"))].concat(),
        frame(FIN | CLOSE, b"\x03\xe8"),
    ]
    .concat();
    let expected = vec![
        text("first"),
        text("second"),
        Owned::Ping(b"between".to_vec()),
        Owned::Pong(vec![]),
        text(&long),
        Owned::Binary(vec![0xff; 300]),
        text(""),
        Owned::Binary(vec![]),
        text("late"),
        Owned::Close(Some((1000, String::new()))),
    ];
    assert_eq!(inflate_any_way(&bytes, MAX), (expected, None));
}

#[test]
fn messages_larger_than_what_is_inflated_at_once() {
    let message: String = (0..30_000).map(|n| format!("{n}€ ")).collect();
    let payload = deflated(message.as_bytes());
    let bytes = [frame(FIN | RSV1 | TEXT, &payload), frame(FIN | RSV1 | BINARY, &payload)].concat();
    let expected = vec![text(&message), Owned::Binary(message.into_bytes())];
    assert_eq!(decode_by(deflating(), [&bytes[..]], MAX), (expected.clone(), None));
    assert_eq!(decode_by(deflating(), bytes.chunks(1000), MAX), (expected, None));
}

#[test]
fn the_bit_stands_on_the_first_frame_of_a_message_and_only_where_it_was_negotiated() {
    assert_eq!(refusal(&compressed(FIN | TEXT, b"x")), Violation::ReservedBits);
    let refused = (vec![], Some(Violation::ReservedBits));
    for first in [FIN | PING, FIN | PONG, FIN | CLOSE, FIN | CONTINUATION, CONTINUATION, FIN | 0x3, FIN | 0xB]
    {
        assert_eq!(inflate_any_way(&frame(RSV1 | first, b""), MAX), refused, "{first:x}");
    }
    for bits in [0x20, 0x10, 0x60, 0x50, 0x70, 0x30] {
        assert_eq!(inflate_any_way(&frame(FIN | bits | TEXT, b""), MAX), refused, "{bits:x}");
    }
    // In the middle of a message, whether it is compressed or not.
    for begin in [frame(TEXT, b"x"), compressed(TEXT, b"x")] {
        let bytes = [begin, frame(FIN | RSV1 | CONTINUATION, b"x")].concat();
        assert_eq!(inflate_any_way(&bytes, MAX), refused);
    }
    let interleaved = [compressed(TEXT, b"x"), compressed(FIN | TEXT, b"x")].concat();
    assert_eq!(inflate_any_way(&interleaved, MAX), (vec![], Some(Violation::InterleavedMessage)));
    assert_eq!(decode_by(deflating(), [&b"\xc9"[..]], MAX), refused, "at the very first byte");
}

#[test]
fn a_message_may_be_inflated_to_the_limit_and_no_further() {
    for limit in [0, 10, 16 * 1024, 50_000] {
        for opcode in [TEXT, BINARY] {
            let exact = compressed(FIN | opcode, &vec![b'a'; limit]);
            let (events, violation) = inflate_any_way(&exact, limit);
            assert_eq!((events.len(), violation), (1, None), "{limit}");
            let over = compressed(FIN | opcode, &vec![b'a'; limit + 1]);
            assert_eq!(inflate_any_way(&over, limit), (vec![], Some(Violation::TooBig { limit })));
        }
    }
}

/// Compression makes random data longer, but the message is still within the limit.
#[test]
fn what_cannot_be_compressed_may_be_as_long_as_the_limit() {
    let mut noise = vec![0; 2000];
    let mut state = 1_u32;
    noise.fill_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let payload = deflated(&noise);
    assert!(payload.len() > noise.len());
    let expected = (vec![Owned::Binary(noise.clone())], None);
    assert_eq!(inflate_any_way(&frame(FIN | RSV1 | BINARY, &payload), noise.len()), expected);
    let fragments = [frame(RSV1 | BINARY, &payload[..1999]), frame(FIN, &payload[1999..])].concat();
    assert_eq!(inflate_any_way(&fragments, noise.len()), expected);
}

#[test]
fn the_compressed_length_has_a_limit_too() {
    let too_big = (vec![], Some(Violation::TooBig { limit: 1000 }));
    // The header alone exceeds the limit, since empty blocks inflate to nothing.
    let header = frame(FIN | RSV1 | TEXT, &[0; 1190])[..8].to_vec();
    assert_eq!(decode_by(deflating(), [&header[..]], 1000), too_big);
    let begin = frame(RSV1 | TEXT, &[0; 600]);
    let header = frame(CONTINUATION, &[0; 590])[..8].to_vec();
    assert_eq!(decode_by(deflating(), [&begin[..], &header], 1000), too_big);
    // An uncompressed message has no additional room.
    assert_eq!(inflate_any_way(&frame(FIN | TEXT, &[b'a'; 1001]), 1000), too_big);
}

#[test]
fn compressed_text_has_to_be_utf8() {
    let refused = (vec![], Some(Violation::Utf8));
    for bad in [&b"\xff"[..], b"fine \xe2\x82", b"\xed\xa0\x80", b"caf\xe9 au lait"] {
        assert_eq!(inflate_any_way(&compressed(FIN | TEXT, bad), MAX), refused);
        let expected = (vec![Owned::Binary(bad.to_vec())], None);
        assert_eq!(inflate_any_way(&compressed(FIN | BINARY, bad), MAX), expected);
    }
    // A character may be cut between two inflated pieces.
    for before in 0..4 {
        let message = format!("{}{}", "a".repeat(before), "€".repeat(20_000));
        let (events, violation) =
            decode_by(deflating(), [&compressed(FIN | TEXT, message.as_bytes())[..]], MAX);
        assert!(events == [text(&message)] && violation.is_none(), "{before} bytes before it");
    }
}

#[test]
fn what_cannot_be_inflated_is_refused_when_it_is_all_there() {
    let refused = (vec![], Some(Violation::Deflate));
    assert_eq!(inflate_any_way(&frame(FIN | RSV1 | TEXT, b"Hello"), MAX), refused);
    let payload = deflated(b"so much to say, so much to say");
    let cut = frame(FIN | RSV1 | TEXT, &payload[..payload.len() - 1]);
    assert_eq!(inflate_any_way(&cut, MAX), refused);
    let fragments = [frame(RSV1 | TEXT, &payload[..5]), frame(FIN, &payload[5..payload.len() - 1])].concat();
    assert_eq!(inflate_any_way(&fragments, MAX), refused);
    assert_eq!(Violation::Deflate.close_code(), CloseCode::INVALID_DATA);
}

#[test]
fn what_was_inflated_is_freed_with_the_next_call() {
    let whole = compressed(FIN | TEXT, b"Hello");
    let fragments =
        [frame(RSV1 | TEXT, &deflated(b"Hello")[..3]), frame(FIN, &deflated(b"Hello")[3..])].concat();
    for mut bytes in [whole, fragments] {
        let (mut decoder, mut input) = (deflating(), &mut bytes[..]);
        assert_eq!(decoder.next(&mut input, MAX), Ok(Some(Event::Text("Hello"))));
        assert!(!decoder.is_idle());
        assert_eq!(decoder.next(&mut input, MAX), Ok(None));
        assert!(decoder.is_idle());
    }
}

#[test]
fn nothing_comes_after_a_violation() {
    let (mut decoder, after) = (deflating(), compressed(FIN | TEXT, b"late"));
    let mut bytes = [frame(FIN | RSV1 | TEXT, b"Hello"), after].concat();
    let mut input = &mut bytes[..];
    assert_eq!(decoder.next(&mut input, MAX), Err(Violation::Deflate));
    assert_eq!(decoder.next(&mut input, MAX), Ok(None));
    assert!(input.is_empty() && decoder.is_idle());
}

#[test]
fn memory_follows_what_arrived_of_a_compressed_message() {
    let bytes = frame(RSV1 | BINARY, &[b'a'; 65536]);
    let mut decoder = deflating();
    decoder.swallow(&bytes[..14]);
    assert_eq!(decoder.capacity(), 0);
    let mut arrived = 0;
    for read in bytes[14..65000].chunks(1000) {
        decoder.swallow(read);
        arrived += read.len();
        assert!((arrived..=2 * arrived).contains(&decoder.capacity()), "{}", decoder.capacity());
    }
}

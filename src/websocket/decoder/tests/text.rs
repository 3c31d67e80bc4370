//! Invalid UTF-8 across frames and reads.

use super::*;

/// Autobahn 6.4: the connection ends at the invalid byte, although the message continues.
#[test]
fn text_is_refused_at_its_first_wrong_byte() {
    let valid = "κόσμε".as_bytes();
    // The last byte of each sequence is invalid: too large, a surrogate, overlong, no start of a character, cut off.
    for bad in [&b"\xf4\x90"[..], b"\xed\xa0", b"\xe0\x80", b"\xff", b"\xe2\x82a"] {
        let message = [valid, bad, b"\x80\x80edited"].concat();
        let wrong = valid.len() + bad.len() - 1;

        // In one incomplete frame, byte by byte.
        let bytes = frame(FIN | TEXT, &message);
        assert_eq!(decode(bytes[..6 + wrong].chunks(1), MAX), (vec![], None), "{bad:x?} too early");
        assert_eq!(decode(bytes[..=6 + wrong].chunks(1), MAX), (vec![], Some(Violation::Utf8)), "{bad:x?}");
        assert_eq!(
            decode([&bytes[..=6 + wrong]], MAX),
            (vec![], Some(Violation::Utf8)),
            "{bad:x?} in one read"
        );

        // In fragments, without the last one.
        for cut in 0..=wrong {
            let begin = frame(TEXT, &message[..cut]);
            let good = frame(CONTINUATION, &message[cut..wrong]);
            let over = frame(CONTINUATION, &message[wrong..=wrong]);
            assert_eq!(decode([&begin[..], &good], MAX), (vec![], None), "{bad:x?}, cut at {cut}");
            let refused = (vec![], Some(Violation::Utf8));
            assert_eq!(decode([&begin[..], &good, &over], MAX), refused, "{bad:x?}, cut at {cut}");
        }
    }
}

#[test]
fn text_must_not_end_inside_a_character() {
    for cut in [&b"\xe2"[..], b"\xe2\x82", b"\xf0\x9f\x98", b"fine \xc3"] {
        assert_eq!(refusal(&frame(FIN | TEXT, cut)), Violation::Utf8);
        assert_eq!(refusal(&[frame(TEXT, cut), frame(FIN, b"")].concat()), Violation::Utf8);
        assert_eq!(refusal(&[frame(TEXT, b""), frame(FIN, cut)].concat()), Violation::Utf8);
    }
    // Binary messages may contain any bytes.
    let bytes = [frame(BINARY, b"\xff"), frame(FIN, b"\xe2")].concat();
    assert_eq!(decode_any_way(&bytes, MAX), (vec![Owned::Binary(b"\xff\xe2".to_vec())], None));
}

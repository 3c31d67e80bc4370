use super::*;

fn append_all(pieces: &[&[u8]]) -> Result<(String, usize), Violation> {
    let (mut tail, mut text) = (Tail::default(), String::new());
    for piece in pieces {
        tail.append(piece, &mut text)?;
    }
    Ok((text, tail.len()))
}

#[test]
fn text_may_be_cut_anywhere() {
    let text = "κόσμε – a€😀\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}";
    let bytes = text.as_bytes();
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            assert_eq!(append_all(&pieces), Ok((text.to_owned(), 0)), "cut at {first} and {second}");
        }
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(append_all(&single), Ok((text.to_owned(), 0)));
}

#[test]
fn the_start_of_a_character_is_kept() {
    assert_eq!(append_all(&[b"a\xf0\x9f", b"", b"\x98"]), Ok(("a".to_owned(), 3)));
    assert_eq!(size_of::<Tail>(), 4);
}

/// Autobahn 6.6 to 6.23: each invalid sequence is refused at its last byte and not before.
#[test]
fn the_first_wrong_byte_is_refused() {
    for bytes in [
        &b"\x80"[..], // a continuation with nothing before it
        b"\xbf",
        b"\xc0", // overlong in any case
        b"\xc1",
        b"\xe0\x80", // overlong
        b"\xe0\x9f",
        b"\xf0\x80",
        b"\xf0\x8f",
        b"\xed\xa0", // a surrogate
        b"\xed\xbf",
        b"\xf4\x90", // above U+10FFFF
        b"\xf5",
        b"\xf8",
        b"\xfe",
        b"\xff",
        b"\xc3a", // cut off by another character
        b"\xe2\x82a",
        b"\xf0\x9f\x98a",
        b"\xf0\x9f\x98\xc3",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0",
    ] {
        let (good, bad) = bytes.split_at(bytes.len() - 1);
        assert!(append_all(&[good]).is_ok(), "{bytes:x?} is refused too early");
        assert_eq!(append_all(&[good, bad]), Err(Violation::Utf8), "{bytes:x?} in two");
        assert_eq!(append_all(&[bytes]), Err(Violation::Utf8), "{bytes:x?} at once");
        assert_eq!(
            append_all(&[b"a", bytes, b"and then good text"]),
            Err(Violation::Utf8),
            "{bytes:x?} within"
        );
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(append_all(&single), Err(Violation::Utf8), "{bytes:x?} in single bytes");
    }
}

/// All sequences of two bytes give the same result as the standard library.
#[test]
fn every_pair_of_bytes_is_judged_as_the_standard_library_does() {
    for pair in (0..=u16::MAX).map(u16::to_be_bytes) {
        let possible = match std::str::from_utf8(&pair) {
            Ok(_) => true,
            Err(error) => error.error_len().is_none(),
        };
        assert_eq!(append_all(&[&pair]).is_ok(), possible, "{pair:x?}");
        assert_eq!(append_all(&[&pair[..1], &pair[1..]]).is_ok(), possible, "{pair:x?} in two");
    }
}

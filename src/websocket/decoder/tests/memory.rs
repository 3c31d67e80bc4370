//! Memory of a connection, and the most that a client can cause.

use super::*;

impl Decoder {
    /// Gives the decoder one read that completes nothing.
    pub(super) fn swallow(&mut self, read: &[u8]) {
        assert_eq!(self.next(&mut &mut read.to_vec()[..], MAX), Ok(None));
    }
}

#[test]
fn an_idle_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 32, "{} bytes", size_of::<Decoder>());
}

#[test]
fn a_frame_that_lies_whole_in_the_input_is_lent_out_of_it() {
    let mut bytes = frame(FIN | TEXT, b"Hello");
    let range = bytes.as_ptr_range();
    let (mut decoder, mut input) = (Decoder::default(), &mut bytes[..]);
    let Ok(Some(Event::Text(text))) = decoder.next(&mut input, MAX) else { panic!("a text") };
    assert!(range.contains(&text.as_ptr()));
    assert!(decoder.is_idle());

    // Even if its header came in two reads.
    let mut bytes = frame(FIN | PING, b"Hello");
    let (front, mut input) = bytes.split_at_mut(5);
    let range = input.as_ptr_range();
    assert_eq!(decoder.next(&mut &mut *front, MAX), Ok(None));
    assert!(decoder.is_idle(), "a header costs nothing");
    let Ok(Some(Event::Ping(payload))) = decoder.next(&mut input, MAX) else { panic!("a ping") };
    assert!(range.contains(&payload.as_ptr()));
}

#[test]
fn what_was_collected_is_freed_with_the_next_call() {
    let fragmented = [frame(TEXT, b"Hel"), frame(FIN, b"lo")].concat();
    for bytes in
        [fragmented, frame(FIN | TEXT, b"Hello"), frame(FIN | BINARY, b"Hello"), frame(FIN | PING, b"Hello")]
    {
        let mut decoder = Decoder::default();
        let (front, back) = bytes.split_at(bytes.len() - 2);
        decoder.swallow(front);
        assert!(!decoder.is_idle());
        let mut back = back.to_vec();
        let mut input = &mut back[..];
        assert!(decoder.next(&mut input, MAX).unwrap().is_some());
        assert_eq!(decoder.next(&mut input, MAX), Ok(None));
        assert!(decoder.is_idle());
    }
}

#[test]
fn a_violation_frees_what_was_collected_at_once() {
    let mut decoder = Decoder::default();
    decoder.swallow(&frame(TEXT, &[b'a'; 1000]));
    assert!(decoder.next(&mut &mut b"\xff"[..].to_vec()[..], MAX).is_err());
    assert!(decoder.is_idle());
}

#[test]
fn a_wrong_close_frame_in_pieces_frees_what_was_collected_at_once() {
    let mut decoder = Decoder::default();
    decoder.swallow(&frame(TEXT, &[b'a'; 1000]));
    let close = frame(FIN | CLOSE, &1005_u16.to_be_bytes());
    decoder.swallow(&close[..7]);
    assert!(decoder.next(&mut &mut close[7..].to_vec()[..], MAX).is_err());
    assert!(decoder.is_idle());
}

#[test]
fn memory_follows_what_arrived_and_not_what_was_announced() {
    for first in [FIN | TEXT, FIN | BINARY, TEXT, BINARY] {
        let bytes = frame(first, &[b'a'; 65536]);
        let mut decoder = Decoder::default();
        decoder.swallow(&bytes[..14]);
        assert_eq!(decoder.capacity(), 0);
        let mut arrived = 0;
        for read in bytes[14..65000].chunks(1000) {
            decoder.swallow(read);
            arrived += read.len();
            assert!(
                (arrived..=2 * arrived).contains(&decoder.capacity()),
                "{} for {arrived}",
                decoder.capacity()
            );
        }
    }
    // The last doubling stops at the announced length.
    let bytes = frame(FIN | BINARY, &[b'a'; 65536]);
    let mut decoder = Decoder::default();
    decoder.swallow(&bytes[..40_000]);
    decoder.swallow(&bytes[40_000..40_001]);
    assert_eq!(decoder.capacity(), 65536);
}

#[test]
fn empty_fragments_cost_nothing() {
    for first in [TEXT, BINARY] {
        let mut decoder = Decoder::default();
        decoder.swallow(&frame(first, b""));
        let flood = frame(CONTINUATION, b"").repeat(10_000);
        decoder.swallow(&flood);
        assert_eq!(decoder.capacity(), 0);
    }
}

/// A megabyte in fragments of one byte. A buffer that grows to the exact size would copy 500 GB.
#[test]
fn tiny_fragments_are_collected_in_linear_time() {
    let mut decoder = Decoder::default();
    decoder.swallow(&frame(BINARY, b""));
    let fragments = frame(CONTINUATION, b"x").repeat(1000);
    let mut growths = 0;
    for _ in 0..1000 {
        let before = decoder.capacity();
        decoder.swallow(&fragments);
        growths += usize::from(decoder.capacity() != before);
    }
    assert!(growths <= 12, "{growths} growths");
    assert!(decoder.capacity() <= MAX);
}

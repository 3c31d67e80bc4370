//! Compares this decoder with tungstenite in the role of the server, on the same bytes with random cuts.
//!
//! [`fuzz::assert_alike`] checks what both must agree on. The fuzzer calls it too.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::tests::{FIN, frame};
use super::*;
use crate::fuzz::{self, End, MAX, Owned, decode, tungstenite::theirs};

/// Both sides of each limit of the codes that are allowed in a close frame.
const CLOSE_CODES: &[u16] =
    &[0, 999, 1000, 1001, 1004, 1005, 1006, 1007, 1013, 1014, 1015, 1016, 2999, 3000, 4999, 5000];

fn ours(reads: &[&[u8]]) -> (Vec<Owned>, End, Option<Violation>) {
    decode(reads, MAX)
}

fn assert_alike(reads: &[&[u8]]) -> End {
    fuzz::assert_alike(reads, theirs(reads))
}

/// A payload for text frames: valid or invalid, whole or cut inside a character.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "\\PC{0,12}".prop_map(String::into_bytes),
        2 => ("\\PC{1,12}", any::<Index>())
            .prop_map(|(text, at)| text.as_bytes()[..at.index(text.len())].to_vec()),
        2 => vec(any::<u8>(), 0..12),
        2 => select(&[124, 125, 126, 127, MAX - 1, MAX, MAX + 1, 65535, 65536][..])
            .prop_map(|len| vec![b'a'; len]),
        1 => (select(CLOSE_CODES), "\\PC{0,12}")
            .prop_map(|(code, reason)| [&code.to_be_bytes(), reason.as_bytes()].concat()),
    ]
}

/// One frame, valid or invalid.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => select(vec![0x81_u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A]),
        1 => select(vec![0x88_u8, 0x88, 0x08, 0x09]),
        1 => any::<u8>(),
    ];
    (first, payload()).prop_map(|(first, payload)| frame(first, &payload))
}

/// A valid sequence of a client: fragmented messages with control frames between the fragments.
fn good_frames() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let control = (select(vec![0x89_u8, 0x8A]), vec(any::<u8>(), 0..=125));
    let message = (any::<bool>(), "\\PC{0,60}", vec(any::<Index>(), 0..4), vec(prop::option::of(control), 4));
    let messages = message.prop_map(|(is_text, text, cuts, controls)| {
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(bytes.len());
        let (mut frames, mut start) = (Vec::new(), 0);
        for (i, &end) in cuts.iter().enumerate() {
            let opcode = if i > 0 {
                0x0
            } else if is_text {
                0x1
            } else {
                0x2
            };
            let fin = if i + 1 == cuts.len() { FIN } else { 0 };
            frames.push(frame(fin | opcode, &bytes[start..end]));
            start = end;
            if let Some(Some((first, payload))) = controls.get(i) {
                frames.push(frame(*first, payload));
            }
        }
        frames
    });
    vec(messages, 1..5).prop_map(|messages| messages.concat())
}

/// Cuts the bytes into reads at random places.
fn cut<'c>(bytes: &'c [u8], cuts: &[Index]) -> Vec<&'c [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(bytes.len());
    let mut start = 0;
    let mut reads = Vec::new();
    for end in cuts {
        // No read is longer than tungstenite's buffer.
        reads.extend(bytes[start..end].chunks(64));
        start = end;
    }
    reads
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn good_clients_are_understood_alike(frames in good_frames(), cuts in vec(any::<Index>(), 0..10)) {
        let bytes = frames.concat();
        prop_assert_eq!(assert_alike(&cut(&bytes, &cuts)), End::Open);
        prop_assert_eq!(ours(&[&bytes]), ours(&cut(&bytes, &cuts)));
    }

    #[test]
    fn good_clients_with_some_bytes_changed(
        frames in good_frames(),
        changes in vec((any::<Index>(), any::<u8>()), 1..3),
        cuts in vec(any::<Index>(), 0..10),
    ) {
        let mut bytes = frames.concat();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        assert_alike(&cut(&bytes, &cuts));
        prop_assert_eq!(ours(&[&bytes]), ours(&cut(&bytes, &cuts)));
    }

    #[test]
    fn any_frames_are_understood_or_refused_alike(
        frames in vec(any_frame(), 1..8),
        cuts in vec(any::<Index>(), 0..10),
    ) {
        let bytes = frames.concat();
        assert_alike(&cut(&bytes, &cuts));
        prop_assert_eq!(ours(&[&bytes]), ours(&cut(&bytes, &cuts)));
    }

    #[test]
    fn frames_that_are_all_there_are_refused_by_both(first in any::<u8>(), payload in payload()) {
        let (start, end) = (frame(0x01, b"begun"), frame(first, &payload));
        for bytes in [end.clone(), [start, end].concat()] {
            let (_, our_end, _) = ours(&[&bytes]);
            let reads: Vec<&[u8]> = bytes.chunks(64).collect();
            let (events, their_end) = theirs(&reads);
            if (our_end, their_end) != (End::Closed, End::Refused) {
                prop_assert_eq!(our_end, their_end, "{:?}", events);
            }
        }
    }
}

//! The same bytes, cut at random, for this decoder and for tungstenite in the role of the server.
//!
//! Both have to see the same events and to end alike. Where this decoder is stricter, or faster to refuse, is
//! written down in [`assert_alike`]; laxer it is nowhere, but for close code 1014, which tungstenite does not know.

use std::io::{self, Read, Write};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use super::tests::{FIN, Owned, decode, frame};
use super::*;

/// Small, so that messages of all sides of it are tried.
const MAX: usize = 300;

/// Both sides of each range that may stand in a close frame.
const CLOSE_CODES: &[u16] =
    &[0, 999, 1000, 1001, 1004, 1005, 1006, 1007, 1013, 1014, 1015, 1016, 2999, 3000, 4999, 5000];

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// It waits for more.
    Open,
    Closed,
    Refused,
}

fn ours(reads: &[&[u8]]) -> (Vec<Owned>, End, Option<Violation>) {
    let (events, violation) = decode(reads.iter().copied(), MAX);
    let end = match (violation, events.last()) {
        (Some(_), _) => End::Refused,
        (None, Some(Owned::Close(_))) => End::Closed,
        (None, _) => End::Open,
    };
    (events, end, violation)
}

fn theirs(reads: &[&[u8]]) -> (Vec<Owned>, End) {
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_message_size(Some(MAX))
        // Here a control frame is never too big, but always too long.
        .max_frame_size(Some(MAX));
    let mut socket = WebSocket::from_raw_socket(Reads(reads.iter()), Role::Server, Some(config));
    let mut events = Vec::new();
    let end = loop {
        match socket.read() {
            Ok(Message::Text(text)) => events.push(Owned::Text(text.to_string())),
            Ok(Message::Binary(bytes)) => events.push(Owned::Binary(bytes.into())),
            Ok(Message::Ping(bytes)) => events.push(Owned::Ping(bytes.into())),
            Ok(Message::Pong(bytes)) => events.push(Owned::Pong(bytes.into())),
            Ok(Message::Frame(_)) => unreachable!("never read"),
            // It reports a code that must not be sent as this close frame of the client's.
            Ok(Message::Close(Some(close))) if close.reason.as_str() == "Protocol violation" => {
                break End::Refused;
            }
            Ok(Message::Close(close)) => {
                events.push(Owned::Close(close.map(|close| (close.code.into(), close.reason.to_string()))));
                break End::Closed;
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break End::Open,
            Err(Error::Protocol(_) | Error::Capacity(_) | Error::Utf8(_)) => break End::Refused,
            Err(error) => panic!("{error:?}"),
        }
    };
    (events, end)
}

/// A socket that gives some reads and then has nothing more for now.
struct Reads<'c>(std::slice::Iter<'c, &'c [u8]>);

impl Read for Reads<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // No read at all would be the end of the stream.
        let Some(read) = self.0.find(|read| !read.is_empty()) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        buffer[..read.len()].copy_from_slice(read);
        Ok(read.len())
    }
}

impl Write for Reads<'_> {
    fn write(&mut self, answer: &[u8]) -> io::Result<usize> {
        Ok(answer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn assert_alike(reads: &[&[u8]]) -> Result<End, TestCaseError> {
    let (our_events, our_end, violation) = ours(reads);
    let (their_events, their_end) = theirs(reads);

    if let (Some(Owned::Close(Some((1014, _)))), End::Refused) = (our_events.last(), their_end) {
        prop_assert_eq!(&our_events[..our_events.len() - 1], their_events);
        return Ok(our_end);
    }
    // Stricter: tungstenite takes a length in more bytes than it needs, and so goes on.
    if violation == Some(Violation::LengthNotMinimal) {
        prop_assert!(their_events.starts_with(&our_events));
        return Ok(our_end);
    }
    prop_assert_eq!(&our_events, &their_events, "we: {:?} {:?}, they: {:?}", our_end, violation, their_end);
    // Faster: tungstenite judges a frame, but for its size and opcode, when it is all there.
    if (our_end, their_end) != (End::Refused, End::Open) {
        prop_assert_eq!(our_end, their_end, "{:?}", violation);
    }
    Ok(our_end)
}

/// A payload that text frames accept, or not; whole or cut inside a character.
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

/// One frame, right or wrong.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => select(vec![0x81_u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A]),
        1 => select(vec![0x88_u8, 0x88, 0x08, 0x09]),
        1 => any::<u8>(),
    ];
    (first, payload()).prop_map(|(first, payload)| frame(first, &payload))
}

/// What a good client sends: messages in fragments, control frames anywhere between them.
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

/// Cuts the bytes into reads at some places.
fn cut<'c>(bytes: &'c [u8], cuts: &[Index]) -> Vec<&'c [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(bytes.len());
    let mut start = 0;
    let mut reads = Vec::new();
    for end in cuts {
        // The reader of the other side has a buffer, so no read is longer than that.
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
        prop_assert_eq!(assert_alike(&cut(&bytes, &cuts))?, End::Open);
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
        assert_alike(&cut(&bytes, &cuts))?;
        prop_assert_eq!(ours(&[&bytes]), ours(&cut(&bytes, &cuts)));
    }

    #[test]
    fn any_frames_are_understood_or_refused_alike(
        frames in vec(any_frame(), 1..8),
        cuts in vec(any::<Index>(), 0..10),
    ) {
        let bytes = frames.concat();
        assert_alike(&cut(&bytes, &cuts))?;
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

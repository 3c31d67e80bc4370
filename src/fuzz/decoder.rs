use crate::websocket::{Decoder, Event, Violation};

/// Limit of a message. It is small, so that inputs below and above it occur.
pub const MAX: usize = 300;

/// Longest read for the other decoder.
const LONGEST_READ: usize = 64;

/// An [`Event`] that outlives the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owned {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Event<'_>> for Owned {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(bytes) => Self::Binary(bytes.to_owned()),
            Event::Ping(bytes) => Self::Ping(bytes.to_owned()),
            Event::Pong(bytes) => Self::Pong(bytes.to_owned()),
            Event::Close(frame) => {
                Self::Close(frame.map(|frame| (frame.code.into(), frame.reason.to_owned())))
            }
        }
    }
}

/// End of a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It waits for more bytes.
    Open,
    Closed,
    Refused,
}

/// Checks that the results do not depend on where reads are cut, that another decoder (`theirs`) has the same results, and that
/// memory stays bounded by the bytes that have arrived.
///
/// The first byte is the number of the next bytes that are lengths of reads, less one each. The lengths are repeated. The rest is
/// the input of the client.
pub fn decoder(data: &[u8], theirs: impl Fn(&[&[u8]]) -> (Vec<Owned>, End)) {
    let Some((&lengths, data)) = data.split_first() else { return };
    let (lengths, bytes) = data.split_at(data.len().min(usize::from(lengths % 16)));
    let reads = cut(bytes, lengths);

    for limit in [MAX, 0, usize::MAX] {
        let whole = decode(&[bytes], limit);
        assert_eq!(decode(&reads, limit), whole, "cut, with the limit {limit}");
        assert_eq!(decode(&bytes.chunks(1).collect::<Vec<_>>(), limit), whole, "byte by byte, limit {limit}");
    }
    assert_alike(&reads, theirs(&reads));
}

fn cut<'d>(mut bytes: &'d [u8], lengths: &[u8]) -> Vec<&'d [u8]> {
    let mut reads = Vec::new();
    let mut lengths = lengths.iter().map(|&length| usize::from(length) % LONGEST_READ + 1).cycle();
    while !bytes.is_empty() {
        let (read, rest) = bytes.split_at(bytes.len().min(lengths.next().unwrap_or(LONGEST_READ)));
        reads.push(read);
        bytes = rest;
    }
    reads
}

/// The results of this crate's decoder for a sequence of reads, up to the first violation.
pub(crate) fn decode(reads: &[&[u8]], max_message: usize) -> (Vec<Owned>, End, Option<Violation>) {
    let mut decoder = Decoder::default();
    let (mut events, mut arrived) = (Vec::new(), 0);
    for read in reads {
        let mut scratch = read.to_vec();
        let mut input = &mut scratch[..];
        arrived += read.len();
        loop {
            match decoder.next(&mut input, max_message) {
                Ok(Some(event)) => events.push(event.into()),
                Ok(None) => break,
                Err(violation) => {
                    assert_eq!(decoder.capacity(), 0, "what was collected is of no use any more");
                    return (events, End::Refused, Some(violation));
                }
            }
            assert_bounded(decoder.capacity(), arrived, max_message);
        }
        assert!(input.is_empty(), "more is asked for before all is used");
        assert_bounded(decoder.capacity(), arrived, max_message);
    }
    let end = if matches!(events.last(), Some(Owned::Close(_))) { End::Closed } else { End::Open };
    (events, end, None)
}

/// Checks that a buffer at most doubles, and that a message's buffer stops at the limit.
fn assert_bounded(capacity: usize, arrived: usize, max_message: usize) {
    const CONTROL: usize = 2 * 125;
    assert!(capacity <= 2 * arrived + 8, "{capacity} bytes for {arrived}");
    assert!(capacity <= max_message.saturating_add(CONTROL), "{capacity} bytes with the limit {max_message}");
}

/// Checks that both decoders return the same events and the same end. This function lists where this crate's decoder is stricter or
/// refuses earlier. It accepts more than tungstenite only for close code 1014, which tungstenite does not know.
pub(crate) fn assert_alike(reads: &[&[u8]], (their_events, their_end): (Vec<Owned>, End)) -> End {
    let (our_events, our_end, violation) = decode(reads, MAX);

    if let (Some(Owned::Close(Some((1014, _)))), End::Refused) = (our_events.last(), their_end) {
        assert_eq!(our_events[..our_events.len() - 1], their_events);
        return our_end;
    }
    // Stricter: tungstenite accepts a length in more bytes than necessary, even for a control frame, and continues.
    if matches!(violation, Some(Violation::LengthNotMinimal | Violation::LongControl)) {
        assert!(their_events.starts_with(&our_events), "{our_events:?}, they: {their_events:?}");
        return our_end;
    }
    assert_eq!(our_events, their_events, "we: {our_end:?} {violation:?}, they: {their_end:?}");
    // Earlier: tungstenite checks only the size and the opcode of a frame before it has arrived completely.
    if (our_end, their_end) != (End::Refused, End::Open) {
        assert_eq!(our_end, their_end, "{violation:?}");
    }
    our_end
}

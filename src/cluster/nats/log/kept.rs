use super::super::super::Topic;
use super::super::super::form::{self, Content};
use super::super::NatsError;
use super::super::headers::HeadersOut;
use super::super::jetstream::Stored;
use super::back;
use crate::delivery::{Entry, Order, Position};
use crate::text::Text;

/// An entry as it is in the stream. Its payload is the message between nodes, so the server announces it as it is.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) entry: Entry,
    pub(super) head: Head,
}

/// What the next entry of a key needs to know of the last one.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub(super) at: Position,
    /// Its number in the stream.
    pub(super) stream: u64,
    /// Bytes of all entries up to this one, also of those that were removed.
    pub(super) total: u64,
    back: Vec<u64>,
}

/// The header with `total` and `back`.
const HEADER: &str = "Keywire";

impl Kept {
    /// Reads an entry of the topic's key.
    pub(super) fn read(topic: &Topic, stored: &Stored) -> Result<Self, NatsError> {
        let numbers = || {
            let received = form::decode(topic, stored.payload.clone())?;
            let Content::Order { order: Order::Keep(entry), .. } = received.content else { return None };
            let mut numbers = stored.headers.get(HEADER)?.split(' ').map(|number| number.parse::<u64>().ok());
            let (total, back) = (numbers.next()??, numbers.collect::<Option<Vec<_>>>()?);
            Some(Self { head: Head { at: entry.at, stream: stored.seq, total, back }, entry: *entry })
        };
        numbers().ok_or(NatsError::Protocol("an entry of the log cannot be read"))
    }
}

impl Head {
    /// The entry after this one, without its number in the stream.
    pub(super) fn next(&self, push: &Text) -> Self {
        Self {
            at: self.at.next(push),
            stream: 0,
            total: self.total.saturating_add(push.len() as u64),
            back: back::after(self.at.seq(), self.stream, &self.back),
        }
    }

    /// The same entry, with its number in the stream.
    pub(super) fn stored(mut self, stream: u64) -> Self {
        self.stream = stream;
        self
    }

    /// The entry to look at on the way to an earlier one: its number, and its number in the stream.
    pub(super) fn step(&self, wanted: u64) -> Option<(u64, u64)> {
        back::step(self.at.seq(), &self.back, wanted)
    }

    pub(super) fn header(&self, headers: HeadersOut) -> HeadersOut {
        let numbers: Vec<_> = std::iter::once(&self.total).chain(&self.back).map(u64::to_string).collect();
        headers.with(HEADER, numbers.join(" "))
    }
}

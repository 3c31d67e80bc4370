use serde::{Deserialize, Serialize};

use crate::delivery::{Entry, Position};

/// Where [`Log::read`](super::Log::read) begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// After this position.
    After(Position),
    /// After the position that was [`seen`](super::Log::seen) last, on any device. The beginning if none was.
    Unread,
    /// With as many of the last entries as the limit allows.
    Latest,
    /// At the end: no entries, but the position.
    End,
}

/// How much [`Log::read`](super::Log::read) returns at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Number of entries.
    pub entries: usize,
    /// Bytes of the entries, as JSON. The first entry is always returned.
    pub bytes: usize,
}

/// A part of the log of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The position before the first entry: where the reader is without them. With a gap, where reading goes on.
    pub from: Position,
    /// The entries, in the order of the log.
    pub entries: Vec<Entry>,
    /// The position of the last entry of the log.
    pub end: Position,
    /// What is missing before the entries.
    pub gap: Option<GapKind>,
    /// There are more entries after these.
    pub more: bool,
}

impl Page {
    /// A page without entries, of a log that ends at `end`.
    #[must_use]
    pub fn new(from: Position, end: Position) -> Self {
        Self { from, entries: Vec::new(), end, gap: None, more: false }
    }

    /// The same page, of which the entries before it are missing.
    #[must_use]
    pub fn with_gap(mut self, gap: GapKind) -> Self {
        self.gap = Some(gap);
        self
    }

    /// The same page with the entries that follow, as many as the limit allows and one at least.
    #[must_use]
    pub fn filled(mut self, entries: impl IntoIterator<Item = Entry>, limit: Limit) -> Self {
        let mut left = limit.bytes;
        for entry in entries {
            let len = entry.push.len();
            if !self.entries.is_empty() && (self.entries.len() >= limit.entries || len > left) {
                self.more = true;
                break;
            }
            left = left.saturating_sub(len);
            self.entries.push(entry);
        }
        self
    }
}

/// Why entries that a page has not seen cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum GapKind {
    /// They were older or more than the log keeps.
    Trimmed,
    /// The log is not the one that the page has followed: it was emptied, restored or replaced, or the position was never
    /// given.
    Reset,
}

impl GapKind {
    /// The name on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::Reset => "reset",
        }
    }
}

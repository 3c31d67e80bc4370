use serde::{Deserialize, Serialize};

use crate::delivery::{Entry, Position};

/// Place at which [`Log::read`](super::Log::read) begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// After this position.
    After(Position),
    /// After the position that was last [`seen`](super::Log::seen) on any device. The beginning if there is none.
    Unread,
    /// At the last entries, as many as the limit allows.
    Latest,
    /// At the end: returns the position without entries.
    End,
}

/// Limits of a page from [`Log::read`](super::Log::read).
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
    /// The position before the first entry. After a gap, reading continues from here.
    pub from: Position,
    /// The entries, in the order of the log.
    pub entries: Vec<Entry>,
    /// The position of the last entry of the log.
    pub end: Position,
    /// The reason why entries before these are missing, if any are.
    pub gap: Option<GapKind>,
    /// Whether there are more entries after these.
    pub more: bool,
}

impl Page {
    /// An empty page of a log that ends at `end`.
    #[must_use]
    pub fn new(from: Position, end: Position) -> Self {
        Self { from, entries: Vec::new(), end, gap: None, more: false }
    }

    /// The same page with a gap before its entries.
    #[must_use]
    pub fn with_gap(mut self, gap: GapKind) -> Self {
        self.gap = Some(gap);
        self
    }

    /// The same page with the entries that follow: at least one, and as many as the limit allows.
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

/// Reason why entries that a page has not seen are no longer available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum GapKind {
    /// The log has removed them, since they were too old or too many.
    Trimmed,
    /// The log is not the one that the page has followed: it was emptied, restored or replaced, or it never issued the position.
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

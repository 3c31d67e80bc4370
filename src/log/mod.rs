//! Logs: the kept pushes of each key, for pages that were offline.

pub(crate) mod clock;
mod error;
mod locate;
mod memory;
mod page;
mod retention;
#[cfg(feature = "sqlite")]
mod sqlite;
pub(crate) mod trail;

use std::sync::Arc;

use async_trait::async_trait;

pub use self::error::LogError;
pub use self::memory::MemoryLog;
pub use self::page::{GapKind, Limit, Page, ReadFrom};
pub use self::retention::Retention;
#[cfg(feature = "sqlite")]
pub use self::sqlite::{Durability, Found, SqliteError, SqliteLog, SqliteOptions};
pub use crate::delivery::{Entry, InvalidPosition, Kept, Position};
use crate::key::Key;
use crate::message::KeptPush;
use crate::text::Text;

/// Log of the kept pushes of each key, in one order.
///
/// [`MemoryLog`] keeps them until the process ends, and `SqliteLog` keeps them in a file. Implement the trait to keep them
/// elsewhere. A complete log, which never removes anything:
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use std::time::SystemTime;
///
/// use keywire::log::{Appended, Draft, Entry, GapKind, Limit, Log, LogError, Page, Position, ReadFrom};
/// use keywire::{Key, async_trait};
///
/// #[derive(Default)]
/// struct VecLog(Mutex<HashMap<Key, Lines>>);
///
/// /// The log of one key.
/// #[derive(Default)]
/// struct Lines {
///     entries: Vec<Entry>,
///     once: HashMap<String, Position>,
///     seen: Position,
/// }
///
/// impl Lines {
///     fn end(&self) -> Position {
///         self.entries.last().map_or(Position::BEGINNING, |entry| entry.at)
///     }
///
///     /// The number of entries up to this position, if it holds.
///     fn count(&self, at: Position) -> Option<usize> {
///         let count = usize::try_from(at.seq()).ok()?;
///         let holds = match count.checked_sub(1) {
///             None => at == Position::BEGINNING,
///             Some(index) => self.entries.get(index)?.at == at,
///         };
///         holds.then_some(count)
///     }
/// }
///
/// #[async_trait]
/// impl Log for VecLog {
///     async fn append(&self, key: &Key, draft: &Draft) -> Result<Appended, LogError> {
///         let mut keys = self.0.lock().unwrap();
///         let lines = keys.entry(key.clone()).or_default();
///         if let Some(at) = draft.once().and_then(|once| lines.once.get(once)) {
///             return Ok(Appended::again(*at));
///         }
///         let prev = lines.end();
///         let at = prev.next(draft.push());
///         let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
///         let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
///         lines.entries.push(Entry { at, prev, time, push: draft.push().clone() });
///         lines.once.extend(draft.once().map(|once| (once.to_owned(), at)));
///         Ok(Appended::new(at, prev, time))
///     }
///
///     async fn read(&self, key: &Key, from: ReadFrom, limit: Limit) -> Result<Page, LogError> {
///         let mut keys = self.0.lock().unwrap();
///         let lines = keys.entry(key.clone()).or_default();
///         let end = lines.end();
///         let after = match from {
///             ReadFrom::After(after) => lines.count(after),
///             ReadFrom::Unread => lines.count(lines.seen),
///             ReadFrom::Latest => Some(lines.entries.len().saturating_sub(limit.entries)),
///             ReadFrom::End => Some(lines.entries.len()),
///         };
///         Ok(match after {
///             Some(after) => Page::new(after_entry(&lines.entries, after), end)
///                 .filled(lines.entries[after..].iter().cloned(), limit),
///             // A position that this log has never given.
///             None => Page::new(end, end).with_gap(GapKind::Reset),
///         })
///     }
///
///     async fn end(&self, key: &Key) -> Result<Position, LogError> {
///         Ok(self.0.lock().unwrap().get(key).map_or(Position::BEGINNING, Lines::end))
///     }
///
///     async fn seen(&self, key: &Key, at: Position) -> Result<(), LogError> {
///         if let Some(lines) = self.0.lock().unwrap().get_mut(key)
///             && lines.count(at) > lines.count(lines.seen)
///         {
///             lines.seen = at;
///         }
///         Ok(())
///     }
///
///     async fn forget(&self, key: &Key) -> Result<(), LogError> {
///         self.0.lock().unwrap().remove(key);
///         Ok(())
///     }
///
///     fn shared(&self) -> bool {
///         false
///     }
/// }
///
/// fn after_entry(entries: &[Entry], count: usize) -> Position {
///     count.checked_sub(1).map_or(Position::BEGINNING, |index| entries[index].at)
/// }
/// # #[cfg(feature = "testing")]
/// # tokio::runtime::Builder::new_current_thread().build().unwrap()
/// #     .block_on(keywire::testing::log::all(&VecLog::default()));
/// ```
///
/// # Contract
///
/// - Each key has one log. Entries are numbered from 1 without holes. Each entry has its own tag: draw it by [`Position::next`].
///   A log must not assume that a key belongs to a user.
/// - `append` is atomic, even for concurrent calls: either the entry is in the log with its position, its `prev` and its `once`, or
///   nothing is. Every later `read` finds the entry, on every node if the log is [`shared`](Self::shared).
/// - A second `append` with the same [`Draft::once`] adds nothing and returns the position of the first, as long as the log
///   remembers the id.
/// - `read` returns entries in the order of the log, without a hole: the first follows [`Page::from`], and each other follows the
///   previous one. It returns at least one entry if there is one, and more up to the limits.
/// - A position holds if the log has its tag at its number. `read` after a position that does not hold returns a gap. `Reset`: the
///   number is beyond the end or has another tag. The page begins at the end. `Trimmed`: the entries after the position are gone.
///   The page begins before the oldest entry. If no entries are missing there is no gap, so a log remembers the position of its
///   last entry longer than the entry itself.
/// - `seen` only moves forward, to a position that holds. Otherwise it does nothing. It never trims.
/// - Trimming removes the oldest entries first. `read` reports it by a gap.
///
/// # Failures
///
/// A call that panics, or that takes longer than [`Config::store_timeout`](crate::Config::store_timeout), is dropped and logged. It
/// counts as [`LogError::Unknown`]. Return [`LogError::Failed`] only if the entry is certainly not in the log.
///
/// # Cancel safety
///
/// keywire may drop any call before it completes. A dropped `append` may still add its entry, but must never add a part of it.
///
/// # Testing yours
///
/// `keywire::testing::log` has the checks that keywire's own logs are tested with.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Adds an entry to the log of a key.
    ///
    /// # Errors
    ///
    /// [`LogError::Failed`], [`LogError::TooLarge`]: the entry is not in the log. [`LogError::Unknown`]: it may be.
    async fn append(&self, key: &Key, draft: &Draft) -> Result<Appended, LogError>;

    /// Reads a part of the log of a key. A key without kept pushes has an empty log.
    ///
    /// # Errors
    ///
    /// If the log cannot be read now.
    async fn read(&self, key: &Key, from: ReadFrom, limit: Limit) -> Result<Page, LogError>;

    /// The position of the last entry. [`Position::BEGINNING`] if there never was an entry.
    ///
    /// # Errors
    ///
    /// If the log cannot be read now.
    async fn end(&self, key: &Key) -> Result<Position, LogError>;

    /// Records that the user has read everything up to this position, on any device.
    ///
    /// # Errors
    ///
    /// If the log cannot be written now.
    async fn seen(&self, key: &Key, at: Position) -> Result<(), LogError>;

    /// Removes everything about a key: entries, positions and ids. For a closed account. Pages that follow get the gap `Reset`.
    ///
    /// # Errors
    ///
    /// If the log cannot be written now.
    async fn forget(&self, key: &Key) -> Result<(), LogError>;

    /// Whether other nodes read and write the same log.
    fn shared(&self) -> bool;
}

/// An entry to append to a log.
#[derive(Debug, Clone)]
pub struct Draft {
    push: Text,
    once: Option<Box<str>>,
}

impl Draft {
    /// The JSON of the push.
    #[must_use]
    pub fn push(&self) -> &Text {
        &self.push
    }

    /// Id that prevents a retry from being added twice. At most 64 bytes.
    #[must_use]
    pub fn once(&self) -> Option<&str> {
        self.once.as_deref()
    }
}

impl From<KeptPush> for Draft {
    fn from(kept: KeptPush) -> Self {
        let (push, once) = kept.into_parts();
        Self { push: push.to_json().into(), once }
    }
}

/// Result of [`Log::append`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Appended {
    /// The position of the entry.
    pub at: Position,
    /// The position of the entry before it.
    pub prev: Position,
    /// The time of the entry, in milliseconds since 1970-01-01 UTC.
    pub time: u64,
    /// Whether an entry with the same [`Draft::once`] was already in the log. Then `at` is its position, and nothing was added.
    pub repeated: bool,
    /// Whether the log itself announces the entry to the other nodes.
    pub announced: bool,
}

impl Appended {
    /// A new entry.
    #[must_use]
    pub const fn new(at: Position, prev: Position, time: u64) -> Self {
        Self { at, prev, time, repeated: false, announced: false }
    }

    /// An entry with the same [`Draft::once`] is already in the log, at this position.
    #[must_use]
    pub const fn again(at: Position) -> Self {
        Self { at, prev: at, time: 0, repeated: true, announced: false }
    }
}

// Every method is forwarded: otherwise the trait's default would replace the log's own method.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<L: Log + ?Sized> Log for Arc<L> {
    async fn append(&self, key: &Key, draft: &Draft) -> Result<Appended, LogError> {
        (**self).append(key, draft).await
    }

    async fn read(&self, key: &Key, from: ReadFrom, limit: Limit) -> Result<Page, LogError> {
        (**self).read(key, from, limit).await
    }

    async fn end(&self, key: &Key) -> Result<Position, LogError> {
        (**self).end(key).await
    }

    async fn seen(&self, key: &Key, at: Position) -> Result<(), LogError> {
        (**self).seen(key, at).await
    }

    async fn forget(&self, key: &Key) -> Result<(), LogError> {
        (**self).forget(key).await
    }

    fn shared(&self) -> bool {
        (**self).shared()
    }
}

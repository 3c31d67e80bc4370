use std::time::Duration;

/// How much a log keeps of each key, and for how long. The oldest entries go first.
///
/// ```
/// use std::time::Duration;
/// use keywire::log::{MemoryLog, Retention};
///
/// let day = Duration::from_secs(24 * 60 * 60);
/// let log = MemoryLog::new().with_retention(Retention { age: day, entries: 100, ..Retention::default() });
/// # let _ = log;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Greatest age of an entry. Default: 7 days.
    pub age: Duration,
    /// Number of entries of a key. Default: 1,000.
    pub entries: usize,
    /// Bytes of the entries of a key, as JSON. Default: 1 MiB. A larger push is not kept.
    pub bytes: usize,
    /// How long the end of a log is remembered after its last entry, so that a page can be told that it missed nothing.
    /// Default: 30 days.
    pub mark: Duration,
    /// How long an id of [`KeptPush::once`](crate::message::KeptPush::once) is remembered. Default: 10 minutes.
    /// A [`MemoryLog`](super::MemoryLog) remembers the last 1,000 of a key.
    pub once: Duration,
    #[doc(hidden)]
    pub non_exhaustive: (),
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            age: Duration::from_secs(7 * DAY),
            entries: 1000,
            bytes: 1024 * 1024,
            mark: Duration::from_secs(30 * DAY),
            once: Duration::from_secs(10 * 60),
            non_exhaustive: (),
        }
    }
}

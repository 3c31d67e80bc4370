//! Metrics of the log of kept pushes.

use ::metrics::{Counter, Gauge, Histogram};

use super::handle::{counter, gauge, histogram};
use super::stopwatch::Stopwatch;
use super::table;
use crate::delivery::Kept;
use crate::log::GapKind;

/// The handles of a hub's log.
pub(crate) struct LogMetrics {
    appended: Counter,
    again: Counter,
    failed: Counter,
    unknown: Counter,
    bytes: Counter,
    append: Histogram,
    reads: Gauge,
    read: Histogram,
    replayed: Counter,
    trimmed: Counter,
    reset: Counter,
    followers: Gauge,
}

impl LogMetrics {
    pub(super) fn register() -> Self {
        let appends = |outcome| counter(&table::LOG_APPENDS, &[("outcome", outcome)]);
        let gaps = |kind: GapKind| counter(&table::LOG_GAPS, &[("kind", kind.as_str())]);
        Self {
            appended: appends("at"),
            again: appends("again"),
            failed: appends("failed"),
            unknown: appends("unknown"),
            bytes: counter(&table::LOG_BYTES, &[]),
            append: histogram(&table::LOG_APPEND),
            reads: gauge(&table::LOG_READS),
            read: histogram(&table::LOG_READ),
            replayed: counter(&table::LOG_REPLAYED, &[]),
            trimmed: gaps(GapKind::Trimmed),
            reset: gaps(GapKind::Reset),
            followers: gauge(&table::FOLLOWERS),
        }
    }

    /// Records an append of this many bytes that has ended.
    pub(crate) fn appended(&self, kept: Kept, bytes: usize, since: Stopwatch) {
        self.append.record(since.elapsed());
        match kept {
            Kept::No => {}
            Kept::At(_) => {
                self.appended.increment(1);
                self.bytes.increment(bytes as u64);
            }
            Kept::Again(_) => self.again.increment(1),
            Kept::Failed => self.failed.increment(1),
            Kept::Unknown => self.unknown.increment(1),
        }
    }

    /// Records the beginning of a read. Call [`LogMetrics::read`] once for it.
    pub(crate) fn reading(&self) {
        self.reads.increment(1);
    }

    /// Records the end of a read.
    pub(crate) fn read(&self, since: Stopwatch) {
        self.reads.decrement(1);
        self.read.record(since.elapsed());
    }

    /// Records entries that were read from the log and queued for a session.
    pub(crate) fn replayed(&self, entries: usize) {
        self.replayed.increment(entries as u64);
    }

    /// Records a gap that a follower is told of.
    pub(crate) fn gap(&self, kind: GapKind) {
        match kind {
            GapKind::Trimmed => self.trimmed.increment(1),
            GapKind::Reset => self.reset.increment(1),
        }
    }

    /// Records a session that begins to follow. Call [`LogMetrics::unfollowed`] once for it.
    pub(crate) fn followed(&self) {
        self.followers.increment(1);
    }

    /// Records the end of a session that followed.
    pub(crate) fn unfollowed(&self) {
        self.followers.decrement(1);
    }
}

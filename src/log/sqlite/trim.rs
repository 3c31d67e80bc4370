//! Removes entries that are too old or too many. It works in slices, so that no append waits long.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Row, params};

use super::super::Retention;
use super::super::clock::before;
use super::mark::position;
use crate::delivery::Position;

/// Number of rows in a slice. A slice takes a few milliseconds.
const SLICE: i64 = 256;

/// Time between two checks of ages.
const AGES: Duration = Duration::from_secs(60);

/// Time between two searches for keys without entries.
const MARKS: Duration = Duration::from_secs(60 * 60);

/// State of the trimming.
pub(super) struct Trimmer {
    retention: Retention,
    total_bytes: u64,
    /// The time of the next check of ages.
    ages: Instant,
    /// The time of the next search for idle keys, and the last key that was checked.
    marks: (Instant, i64),
    /// The time before which nothing is removed.
    rest: Instant,
}

/// Result of a slice.
#[derive(Default)]
pub(super) struct Slice {
    /// Bytes of entries.
    pub(super) bytes: u64,
    /// Whether there is more to remove.
    pub(super) more: bool,
}

impl Trimmer {
    pub(super) fn new(retention: Retention, total_bytes: u64) -> Self {
        let now = Instant::now();
        Self { retention, total_bytes, ages: now, marks: (now, 0), rest: now }
    }

    /// Whether there may be something to remove.
    pub(super) fn is_due(&self, total: u64) -> bool {
        let now = Instant::now();
        self.rest <= now && (self.is_over(total) || self.ages <= now || self.marks.0 <= now)
    }

    /// Whether there are more bytes than the limit allows.
    pub(super) fn is_over(&self, total: u64) -> bool {
        total > self.total_bytes
    }

    /// Removes nothing for a minute.
    pub(super) fn rest(&mut self) {
        self.rest = Instant::now() + AGES;
    }

    /// Removes a slice, within a transaction.
    pub(super) fn trim(&mut self, connection: &Connection, total: u64, now: u64) -> rusqlite::Result<Slice> {
        let mut slice = entries(connection, total.saturating_sub(self.total_bytes), now, &self.retention)?;
        let ids = connection
            .prepare_cached(
                "DELETE FROM once WHERE (key, id) IN (SELECT key, id FROM once WHERE time < ?1 LIMIT ?2)",
            )?
            .execute([before(now, self.retention.once).cast_signed(), SLICE])?;
        slice.more |= ids as i64 == SLICE;
        if self.marks.0 <= Instant::now() {
            self.marks.1 = marks(connection, self.marks.1, now, &self.retention)?;
            slice.more |= self.marks.1 > 0;
            if self.marks.1 == 0 {
                self.marks.0 = Instant::now() + MARKS;
            }
        }
        if !slice.more {
            self.ages = Instant::now() + AGES;
        }
        Ok(slice)
    }
}

/// Removes the oldest entries: those that are too old, and further ones up to `excess` bytes.
fn entries(connection: &Connection, excess: u64, now: u64, retention: &Retention) -> rusqlite::Result<Slice> {
    let oldest = before(now, retention.age).cast_signed();
    let mut select = connection.prepare_cached(
        "SELECT number, key, seq, tag, time, octet_length(push) FROM entries ORDER BY number LIMIT ?1",
    )?;
    let mut rows = select.query([SLICE])?;
    let (mut slice, mut last, mut count) = (Slice::default(), None, 0);
    // The new start and the number of removed bytes of each key.
    let mut keys = HashMap::<i64, (Position, u64)>::new();
    while let Some(row) = rows.next()? {
        let (number, key, at, time, bytes) = entry(row)?;
        if time >= oldest && slice.bytes >= excess {
            break;
        }
        slice.bytes += bytes;
        let gone = keys.entry(key).or_default();
        *gone = (at, gone.1 + bytes);
        last = Some(number);
        count += 1;
    }
    drop(rows);
    slice.more = count == SLICE;
    let Some(last) = last else { return Ok(slice) };
    connection.prepare_cached("DELETE FROM entries WHERE number <= ?1")?.execute([last])?;
    let mut update = connection
        .prepare_cached("UPDATE keys SET start_seq = ?2, start_tag = ?3, bytes = bytes - ?4 WHERE id = ?1")?;
    for (key, (start, bytes)) in keys {
        let (seq, tag) = (start.seq().cast_signed(), start.tag().cast_signed());
        update.execute(params![key, seq, tag, bytes.cast_signed()])?;
    }
    Ok(slice)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<(i64, i64, Position, i64, u64)> {
    let bytes = row.get::<_, i64>(5)?.cast_unsigned();
    Ok((row.get(0)?, row.get(1)?, position(row, 2)?, row.get(4)?, bytes))
}

/// Checks some keys after this one, and removes keys without entries whose last entry is too old. Returns the last key that was
/// checked, or 0 at the end.
fn marks(connection: &Connection, after: i64, now: u64, retention: &Retention) -> rusqlite::Result<i64> {
    let last: Option<i64> = connection
        .prepare_cached("SELECT max(id) FROM (SELECT id FROM keys WHERE id > ?1 ORDER BY id LIMIT ?2)")?
        .query_row([after, 10 * SLICE], |row| row.get(0))?;
    let Some(last) = last else { return Ok(0) };
    // The ids first, since SQLite reuses the number of a removed key.
    for delete in [
        "DELETE FROM once WHERE key IN (SELECT id FROM keys WHERE id > ?1 AND id <= ?2 AND start_seq = seq AND time < ?3)",
        "DELETE FROM keys WHERE id > ?1 AND id <= ?2 AND start_seq = seq AND time < ?3",
    ] {
        connection.prepare_cached(delete)?.execute([
            after,
            last,
            before(now, retention.mark).cast_signed(),
        ])?;
    }
    Ok(last)
}

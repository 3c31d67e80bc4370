//! Work of the writer for one call, within a transaction.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::super::clock::before;
use super::super::{Appended, Draft, Retention};
use super::mark::{Mark, position};
use crate::delivery::Position;
use crate::key::Key;

/// Appends an entry and removes the oldest entries of its key beyond the limits. Returns the change of the bytes of all entries.
pub(super) fn append(
    connection: &Connection,
    key: &Key,
    draft: &Draft,
    now: u64,
    retention: &Retention,
) -> rusqlite::Result<(Appended, i64)> {
    let mark = match Mark::find(connection, key)? {
        Some(mark) => mark,
        None => create(connection, key)?,
    };
    if let Some(once) = draft.once()
        && let Some(at) = appended_once(connection, &mark, once, before(now, retention.once))?
    {
        return Ok((Appended::again(at), 0));
    }
    let (push, time) = (draft.push(), now.cast_signed());
    let (prev, at) = (mark.end, mark.end.next(push));
    let (seq, tag) = (at.seq().cast_signed(), at.tag().cast_signed());
    connection
        .prepare_cached("INSERT INTO entries (key, seq, tag, time, push) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![mark.id, seq, tag, time, &**push])?;
    if let Some(once) = draft.once() {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO once (key, id, seq, tag, time) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![mark.id, once, seq, tag, time])?;
    }
    let mark = Mark { end: at, bytes: mark.bytes + push.len() as u64, ..mark };
    let (start, trimmed) = trim_key(connection, &mark, retention)?;
    let bytes = mark.bytes - trimmed;
    connection
        .prepare_cached(
            "UPDATE keys SET seq = ?2, tag = ?3, time = ?4, start_seq = ?5, start_tag = ?6, bytes = ?7 WHERE id = ?1",
        )?
        .execute(params![
            mark.id,
            seq,
            tag,
            time,
            start.seq().cast_signed(),
            start.tag().cast_signed(),
            bytes.cast_signed(),
        ])?;
    Ok((Appended::new(at, prev, now), push.len() as i64 - trimmed.cast_signed()))
}

/// Records that the user has seen everything up to this position, if the position holds and is later than before.
pub(super) fn seen(connection: &Connection, key: &Key, at: Position) -> rusqlite::Result<()> {
    if let Some(mark) = Mark::find(connection, key)?
        && at.seq() > mark.seen.seq()
        && mark.locate(connection, at)?.is_ok()
    {
        connection
            .prepare_cached("UPDATE keys SET seen_seq = ?2, seen_tag = ?3 WHERE id = ?1")?
            .execute(params![mark.id, at.seq().cast_signed(), at.tag().cast_signed()])?;
    }
    Ok(())
}

/// Removes everything about a key. Returns the change of the bytes of all entries.
pub(super) fn forget(connection: &Connection, key: &Key) -> rusqlite::Result<i64> {
    let Some(mark) = Mark::find(connection, key)? else { return Ok(0) };
    for delete in [
        "DELETE FROM entries WHERE key = ?1",
        "DELETE FROM once WHERE key = ?1",
        "DELETE FROM keys WHERE id = ?1",
    ] {
        connection.prepare_cached(delete)?.execute([mark.id])?;
    }
    Ok(-mark.bytes.cast_signed())
}

fn create(connection: &Connection, key: &Key) -> rusqlite::Result<Mark> {
    connection.prepare_cached("INSERT INTO keys (key) VALUES (?1)")?.execute([key.as_str()])?;
    let none = Position::BEGINNING;
    Ok(Mark { id: connection.last_insert_rowid(), start: none, end: none, bytes: 0, seen: none })
}

/// The position of the entry with this id, if it is not older than `since`.
fn appended_once(
    connection: &Connection,
    mark: &Mark,
    once: &str,
    since: u64,
) -> rusqlite::Result<Option<Position>> {
    connection
        .prepare_cached("SELECT seq, tag FROM once WHERE key = ?1 AND id = ?2 AND time >= ?3")?
        .query_row(params![mark.id, once, since.cast_signed()], |row| position(row, 0))
        .optional()
}

/// Removes the oldest entries of a key beyond the limits. Returns the position before the oldest remaining entry, and the number of
/// removed bytes.
fn trim_key(
    connection: &Connection,
    mark: &Mark,
    retention: &Retention,
) -> rusqlite::Result<(Position, u64)> {
    let mut count = mark.end.seq() - mark.start.seq();
    let (mut start, mut bytes) = (mark.start, mark.bytes);
    let is_over = |count: u64, bytes: u64| count > retention.entries as u64 || bytes > retention.bytes as u64;
    if !is_over(count, bytes) {
        return Ok((start, 0));
    }
    let mut oldest = connection
        .prepare_cached("SELECT seq, tag, octet_length(push) FROM entries WHERE key = ?1 ORDER BY seq")?;
    let mut rows = oldest.query([mark.id])?;
    while is_over(count, bytes)
        && let Some(row) = rows.next()?
    {
        start = position(row, 0)?;
        bytes -= row.get::<_, i64>(2)?.cast_unsigned();
        count -= 1;
    }
    connection
        .prepare_cached("DELETE FROM entries WHERE key = ?1 AND seq <= ?2")?
        .execute([mark.id, start.seq().cast_signed()])?;
    Ok((start, mark.bytes - bytes))
}

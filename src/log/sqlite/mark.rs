use rusqlite::{Connection, OptionalExtension as _, Row};

use super::super::GapKind;
use super::super::locate::locate;
use crate::delivery::Position;
use crate::key::Key;

/// The row of a key.
pub(super) struct Mark {
    pub(super) id: i64,
    /// The position before the oldest entry.
    pub(super) start: Position,
    /// The position of the last entry, which may already be removed.
    pub(super) end: Position,
    /// Bytes of the entries.
    pub(super) bytes: u64,
    pub(super) seen: Position,
}

impl Mark {
    /// The row of a key, if a push was ever kept for it.
    pub(super) fn find(connection: &Connection, key: &Key) -> rusqlite::Result<Option<Self>> {
        let mut find = connection.prepare_cached(
            "SELECT id, start_seq, start_tag, seq, tag, bytes, seen_seq, seen_tag FROM keys WHERE key = ?1",
        )?;
        let mark = |row: &Row<'_>| {
            Ok(Self {
                id: row.get(0)?,
                start: position(row, 1)?,
                end: position(row, 3)?,
                bytes: row.get::<_, i64>(5)?.cast_unsigned(),
                seen: position(row, 6)?,
            })
        };
        find.query_row([key.as_str()], mark).optional()
    }

    /// Whether the log holds a position, see [`locate`].
    pub(super) fn locate(
        &self,
        connection: &Connection,
        after: Position,
    ) -> rusqlite::Result<Result<(), GapKind>> {
        let mut failure = None;
        let located = locate(after, self.start, self.end, |seq| match self.tag_of(connection, seq) {
            Ok(tag) => tag,
            Err(error) => {
                failure = Some(error);
                None
            }
        });
        failure.map_or(Ok(located), Err)
    }

    /// The position of the entry with this number, which must be in the log or be the start.
    pub(super) fn position_of(&self, connection: &Connection, seq: u64) -> rusqlite::Result<Position> {
        if seq == self.start.seq() {
            return Ok(self.start);
        }
        let tag = self.tag_of(connection, seq)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        Ok(Position::new(seq, tag))
    }

    fn tag_of(&self, connection: &Connection, seq: u64) -> rusqlite::Result<Option<u64>> {
        let mut find = connection.prepare_cached("SELECT tag FROM entries WHERE key = ?1 AND seq = ?2")?;
        let tag = find.query_row([self.id, seq.cast_signed()], |row| row.get::<_, i64>(0)).optional()?;
        Ok(tag.map(i64::cast_unsigned))
    }
}

/// The position whose number is in this column and whose tag is in the next.
pub(super) fn position(row: &Row<'_>, column: usize) -> rusqlite::Result<Position> {
    let (seq, tag): (i64, i64) = (row.get(column)?, row.get(column + 1)?);
    Ok(Position::new(seq.cast_unsigned(), tag.cast_unsigned()))
}

use rusqlite::Connection;

use super::SqliteError;
use super::error::OrSqlite as _;

/// Content of a log when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// Number of keys.
    pub keys: u64,
    /// Number of entries.
    pub entries: u64,
    /// Bytes of the entries, as JSON.
    pub bytes: u64,
    /// Whether an earlier process did not close the log, and SQLite has finished its work.
    pub recovered: bool,
}

impl Found {
    pub(super) fn look(connection: &Connection, recovered: bool) -> Result<Self, SqliteError> {
        let sums = "SELECT count(*), ifnull(sum(seq - start_seq), 0), ifnull(sum(bytes), 0) FROM keys";
        let (keys, entries, bytes): (i64, i64, i64) =
            connection.query_row(sums, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).sqlite()?;
        let [keys, entries, bytes] = [keys, entries, bytes].map(i64::cast_unsigned);
        Ok(Self { keys, entries, bytes, recovered })
    }
}

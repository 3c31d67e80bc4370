use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{Durability, SqliteError, file};

/// Tells a log of keywire from other databases: "kwlg".
pub(super) const APPLICATION_ID: u32 = 0x6b77_6c67;

/// The version of the schema, `PRAGMA user_version`.
pub(super) const VERSION: u32 = 1;

/// What makes version n + 1 out of version n.
const MIGRATIONS: [&str; VERSION as usize] = [FIRST];

const FIRST: &str = "
-- Numbers and tags of positions are 64 bits, stored as signed integers. Times are milliseconds since 1970.

CREATE TABLE keys (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    -- The last entry, which may be gone, and when it was appended.
    seq INTEGER NOT NULL DEFAULT 0,
    tag INTEGER NOT NULL DEFAULT 0,
    time INTEGER NOT NULL DEFAULT 0,
    -- The position before the oldest entry.
    start_seq INTEGER NOT NULL DEFAULT 0,
    start_tag INTEGER NOT NULL DEFAULT 0,
    -- Of the entries.
    bytes INTEGER NOT NULL DEFAULT 0,
    seen_seq INTEGER NOT NULL DEFAULT 0,
    seen_tag INTEGER NOT NULL DEFAULT 0
) STRICT;

-- In the order in which they were appended, whatever their key: the oldest of all go first.
CREATE TABLE entries (
    number INTEGER PRIMARY KEY,
    key INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    tag INTEGER NOT NULL,
    time INTEGER NOT NULL,
    push TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX entries_of_key ON entries (key, seq);

CREATE TABLE once (
    key INTEGER NOT NULL,
    id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    tag INTEGER NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (key, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX once_by_time ON once (time);
";

/// Opens the database for writing, and brings it to the present version.
pub(super) fn open(path: &Path, durability: Durability) -> Result<Connection, SqliteError> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.set_prepared_statement_cache_capacity(64);
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Opens the database for reading.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, SqliteError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // A checkpoint may hold a reader up for a moment.
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), SqliteError> {
    let present: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if present == VERSION {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for migration in MIGRATIONS.iter().skip(present as usize) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    // Into the file itself, where the next process looks for it.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    file::sync_directory(path)?;
    Ok(())
}

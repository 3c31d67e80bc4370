use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::durability::Durability;
use super::error::OrSqlite as _;
use super::error::SqliteError;
use super::file;
use super::version::{APPLICATION_ID, VERSION};

/// Migrations: entry n turns version n into version n + 1.
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

/// Opens the database for writing and migrates it to the current version. Closing the connection changes nothing in the file until
/// it is [`trusted`](trust).
pub(super) fn open(path: &Path, durability: Durability) -> Result<Connection, SqliteError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).sqlite()?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).sqlite()?;
    // The header may have had an older version if the journal was not in the file yet.
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).sqlite()?;
    if version > VERSION {
        return Err(SqliteError::Newer { path: path.to_owned(), version, known: VERSION });
    }
    let id: u32 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).sqlite()?;
    if id != APPLICATION_ID {
        // First, so that a new file is recognised as keywire's even if its creation is interrupted.
        connection.pragma_update(None, "application_id", APPLICATION_ID).sqlite()?;
    }
    connection.pragma_update(None, "journal_mode", "WAL").sqlite()?;
    match durability {
        Durability::Full => {
            connection.pragma_update(None, "synchronous", "FULL").sqlite()?;
            // On macOS a sync alone does not reach the disk. Elsewhere these do nothing.
            connection.pragma_update(None, "fullfsync", true).sqlite()?;
            connection.pragma_update(None, "checkpoint_fullfsync", true).sqlite()?;
        }
        Durability::Normal => connection.pragma_update(None, "synchronous", "NORMAL").sqlite()?,
    }
    connection.set_prepared_statement_cache_capacity(64);
    if version < VERSION {
        migrate(&mut connection, path, version)?;
    }
    Ok(connection)
}

/// Marks the database as valid. From then on, closing the connection copies the journal into the file.
pub(super) fn trust(connection: &Connection) -> Result<(), SqliteError> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).sqlite()?;
    Ok(())
}

/// Opens the database for reading.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, SqliteError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).sqlite()?;
    // A checkpoint may delay a reader for a moment.
    connection.busy_timeout(std::time::Duration::from_secs(5)).sqlite()?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, path: &Path, version: u32) -> Result<(), SqliteError> {
    let transaction = connection.transaction().sqlite()?;
    for migration in MIGRATIONS.iter().skip(version as usize) {
        transaction.execute_batch(migration).sqlite()?;
    }
    transaction.pragma_update(None, "user_version", VERSION).sqlite()?;
    transaction.commit().sqlite()?;
    // Copies the journal into the file itself, where the next process checks the header.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).sqlite()?;
    file::sync_directory(path)?;
    Ok(())
}

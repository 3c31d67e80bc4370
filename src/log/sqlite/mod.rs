//! A log in an SQLite file.

mod append;
mod durability;
mod error;
mod file;
mod found;
mod mark;
#[cfg(test)]
mod model;
mod read;
mod schema;
mod trim;
mod version;
mod writer;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use rusqlite::Connection;

pub use self::durability::Durability;
pub use self::error::SqliteError;
pub use self::found::Found;
use self::read::Readers;
use self::writer::{Call, Writer};
use super::{Appended, Draft, Limit, Log, LogError, Page, ReadFrom, Retention};
use crate::delivery::Position;
use crate::key::Key;

/// A log in a file. Kept pushes survive a restart and, with [`Durability::Full`], a power cut.
///
/// ```no_run
/// use keywire::auth::RawKey;
/// use keywire::log::SqliteLog;
/// use keywire::Hub;
///
/// # async fn example() -> Result<(), keywire::log::SqliteError> {
/// let hub = Hub::builder(RawKey::from_path()).log(SqliteLog::open("keywire.db").await?).build();
/// # let _ = hub;
/// # Ok(())
/// # }
/// ```
///
/// One thread writes. It writes all waiting calls in one transaction, so throughput grows with the number of calls. Two threads
/// read.
///
/// # Files
///
/// SQLite adds the files `-wal` and `-shm`, which belong to the log, and keywire adds `-lock`. A process holds the lock as long as it
/// has the log open. A second process is refused, since it would not learn of the pushes of the first.
///
/// The text of messages is not encrypted. A new file has the mode 0600 on Unix.
///
/// # Failures
///
/// A full disk only fails the append. If the disk fails to make a commit durable, its content is unknown: the append returns
/// [`LogError::Unknown`], and the log stops writing until it is opened again. Reads continue.
///
/// # Drop
///
/// Dropping the log writes what was accepted and closes the file. It blocks the thread for that time.
#[derive(Debug)]
pub struct SqliteLog {
    // Dropped in this order: the writer checkpoints last, since readers would delay the checkpoint.
    readers: Readers,
    writer: Writer,
    found: Found,
    path: PathBuf,
}

/// Settings of a [`SqliteLog`].
#[derive(Debug, Clone)]
#[must_use]
pub struct SqliteOptions {
    retention: Retention,
    total_bytes: u64,
    durability: Durability,
}

/// Default limit for the bytes of all entries.
const TOTAL_BYTES: u64 = 10 * 1024 * 1024 * 1024;

impl SqliteLog {
    /// Opens a log, and creates the file if there is none. With default settings, see [`SqliteLog::options`].
    ///
    /// # Errors
    ///
    /// If another process has the log open, or if the file is not a log, is damaged, or is from a later version of keywire. Such a
    /// file is not changed.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, SqliteError> {
        Self::options().open(path).await
    }

    /// Settings for a log.
    ///
    /// ```no_run
    /// use keywire::log::{Durability, SqliteLog};
    ///
    /// # async fn example() -> Result<(), keywire::log::SqliteError> {
    /// let log = SqliteLog::options().durability(Durability::Normal).open("keywire.db").await?;
    /// println!("{} keys", log.found().keys);
    /// # Ok(())
    /// # }
    /// ```
    pub fn options() -> SqliteOptions {
        SqliteOptions {
            retention: Retention::default(),
            total_bytes: TOTAL_BYTES,
            durability: Durability::default(),
        }
    }

    /// The content of the file when it was opened.
    #[must_use]
    pub fn found(&self) -> Found {
        self.found
    }

    /// The absolute path of the file, without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl SqliteOptions {
    /// Limits for each key. Default: [`Retention::default`]. Ages are checked once a minute.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Limit for the entries of all keys, in bytes of JSON. Default: 10 GiB. Beyond the limit the oldest entries of all keys are
    /// removed. The file is larger than the limit by about 100 bytes for each entry and each key.
    pub fn total_bytes(mut self, bytes: u64) -> Self {
        self.total_bytes = bytes;
        self
    }

    /// Durability of kept pushes. Default: [`Durability::Full`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Opens the log, see [`SqliteLog::open`].
    ///
    /// # Errors
    ///
    /// As [`SqliteLog::open`].
    pub async fn open(self, path: impl AsRef<Path>) -> Result<SqliteLog, SqliteError> {
        let path = path.as_ref().to_owned();
        let (answer, opened) = tokio::sync::oneshot::channel();
        // Opening may read much of the file, so it must not block the runtime.
        std::thread::Builder::new()
            .name("keywire-log-open".into())
            .spawn(move || drop(answer.send(self.open_blocking(path))))?;
        opened.await.unwrap_or(Err(SqliteError::Closed))
    }

    fn open_blocking(self, path: PathBuf) -> Result<SqliteLog, SqliteError> {
        let path = file::resolve(&path)?;
        let lock = file::lock(&path)?;
        let recovered = file::check(&path)?;
        file::create(&path)?;
        let (connection, found) = self.look(&path, recovered).map_err(|error| error.of_file(&path))?;
        let readers = Readers::start(&path)?;
        let writer = Writer::start(connection, lock, self.retention, self.total_bytes, found.bytes)?;
        Ok(SqliteLog { readers, writer, found, path })
    }

    fn look(&self, path: &Path, recovered: bool) -> Result<(Connection, Found), SqliteError> {
        let connection = schema::open(path, self.durability)?;
        let found = Found::look(&connection, recovered)?;
        schema::trust(&connection)?;
        Ok((connection, found))
    }
}

#[async_trait]
impl Log for SqliteLog {
    async fn append(&self, key: &Key, draft: &Draft) -> Result<Appended, LogError> {
        self.writer.call(draft.push().len(), |answer| Call::Append(key.clone(), draft.clone(), answer)).await
    }

    async fn read(&self, key: &Key, from: ReadFrom, limit: Limit) -> Result<Page, LogError> {
        self.readers.read(key, from, limit).await
    }

    async fn end(&self, key: &Key) -> Result<Position, LogError> {
        let none = Limit { entries: 0, bytes: 0 };
        Ok(self.readers.read(key, ReadFrom::End, none).await?.end)
    }

    async fn seen(&self, key: &Key, at: Position) -> Result<(), LogError> {
        self.writer.call(0, |answer| Call::Seen(key.clone(), at, answer)).await
    }

    async fn forget(&self, key: &Key) -> Result<(), LogError> {
        self.writer.call(0, |answer| Call::Forget(key.clone(), answer)).await
    }

    fn shared(&self) -> bool {
        false
    }
}

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Reason why a [`SqliteLog`](super::SqliteLog) could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteError {
    /// Another process, or another part of this one, has the log open.
    #[error(
        "the log {0} is open elsewhere: one process writes a log, and a second one would not hear of its pushes"
    )]
    Locked(PathBuf),
    /// The file is not an SQLite database, or belongs to another application.
    #[error("{0} is not a log of keywire")]
    Foreign(PathBuf),
    /// The file is incomplete or damaged.
    #[error("the log {path} is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// A later version of keywire has written the file.
    #[error("the log {path} has version {version}, and this keywire reads up to {known}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of the file.
        version: u32,
        /// The latest version that this keywire reads.
        known: u32,
    },
    /// The file cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// SQLite has failed.
    #[error("SQLite: {0}")]
    Sqlite(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A thread of the log has ended.
    #[error("the log is closed")]
    Closed,
}

impl SqliteError {
    /// The same error, as [`SqliteError::Damaged`] if SQLite reports that the file is damaged.
    pub(super) fn of_file(self, path: &Path) -> Self {
        let code = match &self {
            Self::Sqlite(error) => error.downcast_ref().and_then(rusqlite::Error::sqlite_error_code),
            _ => None,
        };
        match code {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { path: path.to_owned(), why: self.to_string() }
            }
            _ => self,
        }
    }
}

/// Makes an error of SQLite ours. Not `From`, which would make rusqlite's version a part of the public API.
pub(super) trait OrSqlite<T> {
    fn sqlite(self) -> Result<T, SqliteError>;
}

impl<T> OrSqlite<T> for Result<T, rusqlite::Error> {
    fn sqlite(self) -> Result<T, SqliteError> {
        self.map_err(|error| SqliteError::Sqlite(Box::new(error)))
    }
}

//! Looks at the file before SQLite does, which would change it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::SqliteError;
use super::schema::{APPLICATION_ID, VERSION};

/// Takes the lock of the log, for as long as the file lives. Of its own, since closing a file gives up all locks that SQLite has
/// on it in this process (POSIX `fcntl`).
pub(super) fn lock(path: &Path) -> Result<File, SqliteError> {
    let lock =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(beside(path, "-lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(SqliteError::Locked(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Refuses a file that is no log, a damaged one and one of a later version. Returns whether a former process left work to
/// SQLite: a journal that is not in the file yet.
///
/// The header is that of "Database File Format", section 1.3, on sqlite.org.
pub(super) fn check(path: &Path) -> Result<bool, SqliteError> {
    let recovered = std::fs::metadata(beside(path, "-wal")).is_ok_and(|wal| wal.len() > 0);
    let mut header = [0; 100];
    let len = match File::open(path) {
        Ok(mut file) => {
            let len = file.metadata()?.len();
            // SQLite takes an empty file for a new database.
            if len == 0 {
                return Ok(recovered);
            }
            match file.read_exact(&mut header) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(SqliteError::Foreign(path.to_owned()));
                }
                read => read?,
            }
            len
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(recovered),
        Err(error) => return Err(error.into()),
    };
    let number = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().expect("4 bytes"));
    if !header.starts_with(b"SQLite format 3\0") || number(68) != APPLICATION_ID {
        return Err(SqliteError::Foreign(path.to_owned()));
    }
    let version = number(60);
    if version > VERSION {
        return Err(SqliteError::Newer { path: path.to_owned(), version, known: VERSION });
    }
    let page_size = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    let expected = page_size * u64::from(number(28));
    if len < expected {
        let why = format!("it has {len} bytes, and its header says {expected}");
        return Err(SqliteError::Damaged { path: path.to_owned(), why });
    }
    Ok(recovered)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes a new file's name durable: SQLite syncs the file.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

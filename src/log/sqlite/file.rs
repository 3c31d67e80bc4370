//! Checks the file before SQLite opens it, since SQLite would change it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::error::SqliteError;
use super::version::{APPLICATION_ID, VERSION};

/// The canonical path of a file: absolute and without symbolic links, since each link would have its own lock. SQLite always takes
/// an absolute path for a file, and never for `:memory:`.
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match path.canonicalize() {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            resolved => return resolved,
        }
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
        let directory = directory(&path).canonicalize()?;
        path = directory.join(name);
        match path.read_link() {
            // A link to a file that does not exist yet.
            Ok(target) => path = directory.join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(ErrorKind::InvalidInput.into())
}

/// Limit on the symbolic links that lead to a file.
const LINKS: usize = 40;

/// Takes the lock of the log as long as the returned file is open. The lock is a separate file, since closing a file releases all
/// locks that SQLite has on it in this process (POSIX `fcntl`).
pub(super) fn lock(path: &Path) -> Result<File, SqliteError> {
    let lock =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(beside(path, "-lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(SqliteError::Locked(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Refuses a file that is not a log, is damaged, or has a later version. Returns whether an earlier process left a journal that is
/// not in the file yet.
///
/// The header is that of "Database File Format", section 1.3, on sqlite.org.
pub(super) fn check(path: &Path) -> Result<bool, SqliteError> {
    let recovered = std::fs::metadata(beside(path, "-wal")).is_ok_and(|wal| wal.len() > 0);
    let mut header = [0; 100];
    let len = match File::open(path) {
        Ok(mut file) => {
            let len = file.metadata()?.len();
            // SQLite treats an empty file as a new database.
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
    // A kill while SQLite copies the journal leaves the new header in a file that has not grown so far. The journal has the rest.
    if len < expected && !recovered {
        let why = format!("it has {len} bytes, and its header says {expected}");
        return Err(SqliteError::Damaged { path: path.to_owned(), why });
    }
    Ok(recovered)
}

/// Creates the file if there is none, for its owner alone: it holds messages of users. SQLite gives its other files the same mode.
pub(super) fn create(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the name of a new file durable, since SQLite syncs only the file. Only Unix can open a directory.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(directory(path))?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_a_file_whatever_it_looks_like() {
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        for name in [":memory:", "file:log.db?mode=memory", "log.db", "./log.db", "src/../log.db"] {
            let resolved = resolve(Path::new(name)).unwrap();
            assert_eq!(resolved, here.join(name.rsplit('/').next().unwrap()), "{name}");
        }
        for none in ["", "no-such-directory/log.db"] {
            assert!(resolve(Path::new(none)).is_err(), "{none}");
        }
    }
}

//! What a log finds on the disk when it is opened: what another process left there, and names that lead to the same file.
#![cfg(feature = "sqlite")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use keywire::log::{Limit, Log, Position, ReadFrom, SqliteError, SqliteLog};
use keywire::{Key, Push};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use support::Directory;

/// Tells the child where to open a log.
const FILE: &str = "KEYWIRE_OPEN";

fn alice() -> Key {
    Key::new("alice").expect("a key")
}

async fn append(log: &SqliteLog, count: usize) {
    for number in 0..count {
        let draft = Push::message(format!("{number} {}", "a".repeat(500))).kept().into();
        log.append(&alice(), &draft).await.expect("an entry");
    }
}

async fn entries(log: &SqliteLog) -> usize {
    let all = Limit { entries: usize::MAX, bytes: usize::MAX };
    log.read(&alice(), ReadFrom::After(Position::BEGINNING), all).await.expect("a page").entries.len()
}

fn wal(path: &Path) -> PathBuf {
    path.with_extension("db-wal")
}

/// A connection whose end leaves the journal as it is, as a kill does.
fn killed(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("a connection");
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("a setting");
    connection
}

/// Not a test of its own: the process that is killed.
#[tokio::test]
#[ignore = "the child of another test"]
async fn child() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let _log = SqliteLog::open(path).await;
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_kill_while_the_file_is_made_leaves_one_that_can_be_opened() {
    for round in 0..24 {
        let directory = Directory::new("made");
        let path = directory.file();
        let mut child = Command::new(std::env::current_exe().expect("this program"));
        child.args(["child", "--exact", "--ignored"]).env(FILE, &path);
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a child");
        // The file is there, has its first page, has a journal. Each stays so, or the moment could be missed.
        let is_time = || match round % 3 {
            0 => path.exists(),
            1 => fs::metadata(&path).is_ok_and(|file| file.len() > 0),
            _ => wal(&path).exists(),
        };
        while !is_time() {
            assert!(child.try_wait().expect("a child").is_none(), "the child has ended");
            std::thread::yield_now();
        }
        child.kill().expect("a child that lives");
        child.wait().expect("an end");
        let log = SqliteLog::open(&path).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        append(&log, 1).await;
        assert_eq!(entries(&log).await, 1);
    }
}

#[tokio::test]
async fn a_kill_while_the_journal_goes_into_the_file_loses_nothing() {
    let directory = Directory::new("checkpoint");
    let path = directory.file();
    let log = SqliteLog::open(&path).await.unwrap();
    append(&log, 100).await;
    // As they are when the process is killed now.
    let before = [fs::read(&path).unwrap(), fs::read(wal(&path)).unwrap()];
    drop(log);
    let after = fs::read(&path).unwrap();
    assert!(after.len() > before[0].len(), "the file has grown");
    // SQLite writes the pages in their order: the first one says that there are more than there are yet.
    for pages in [1, 2, after.len() / 4096 - 1] {
        let mut torn = before[0].clone();
        torn.resize(torn.len().max(pages * 4096), 0);
        torn[..pages * 4096].copy_from_slice(&after[..pages * 4096]);
        fs::write(&path, torn).unwrap();
        fs::write(wal(&path), &before[1]).unwrap();
        let log = SqliteLog::open(&path).await.unwrap_or_else(|error| panic!("{pages} pages: {error}"));
        assert_eq!((entries(&log).await, log.found().recovered), (100, true));
        drop(log);
        assert!(!wal(&path).exists(), "an orderly end leaves no journal");
    }
}

#[tokio::test]
async fn a_later_version_that_is_still_in_the_journal_is_refused_and_left_alone() {
    let directory = Directory::new("later");
    let path = directory.file();
    drop(SqliteLog::open(&path).await.unwrap());
    killed(&path).pragma_update(None, "user_version", 2).unwrap();
    let before = [fs::read(&path).unwrap(), fs::read(wal(&path)).unwrap()];
    let refused = SqliteLog::open(&path).await.unwrap_err();
    assert!(matches!(refused, SqliteError::Newer { version: 2, known: 1, .. }), "{refused:?}");
    assert!([fs::read(&path).unwrap(), fs::read(wal(&path)).unwrap()] == before, "the log was changed");
}

#[tokio::test]
async fn a_file_whose_tables_are_damaged_is_refused_and_left_alone() {
    let directory = Directory::new("tables");
    let path = directory.file();
    let log = SqliteLog::open(&path).await.unwrap();
    append(&log, 100).await;
    drop(log);
    let mut bytes = fs::read(&path).unwrap();
    // All pages but the first, which has the header.
    bytes[4096..].fill(0xff);
    fs::write(&path, &bytes).unwrap();
    let refused = SqliteLog::open(&path).await.unwrap_err();
    assert!(matches!(refused, SqliteError::Damaged { .. }), "{refused:?}");
    assert!(refused.to_string().contains("log.db"), "{refused}");
    assert!(fs::read(&path).unwrap() == bytes, "the log was changed");
}

#[cfg(unix)]
#[tokio::test]
async fn another_name_of_an_open_log_is_refused() {
    let directory = Directory::new("names");
    let log = SqliteLog::open(directory.file()).await.unwrap();
    let link = directory.0.join("link.db");
    std::os::unix::fs::symlink(directory.file(), &link).unwrap();
    let refused = SqliteLog::open(&link).await.unwrap_err();
    assert!(matches!(refused, SqliteError::Locked(_)), "{refused:?}");
    drop(log);
    // Before there is a file, too.
    fs::remove_file(directory.file()).unwrap();
    let log = SqliteLog::open(&link).await.unwrap();
    append(&log, 1).await;
    let refused = SqliteLog::open(directory.file()).await.unwrap_err();
    assert!(matches!(refused, SqliteError::Locked(_)), "{refused:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_log_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = Directory::new("mode");
    let path = directory.file();
    let log = SqliteLog::open(&path).await.unwrap();
    append(&log, 1).await;
    for file in [&path, &wal(&path)] {
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", file.display());
    }
}

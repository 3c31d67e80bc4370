//! The contract of `Log`, on each log there is, and on one written from the trait's page.
#![cfg(feature = "testing")]

mod support;

use std::sync::Arc;

use keywire::log::{Log, MemoryLog, Retention};
use keywire::testing::log;

#[tokio::test]
async fn the_memory_log_keeps_the_contract() {
    log::all(&MemoryLog::new()).await;
    let retention = Retention { entries: 5, bytes: 1000, ..Retention::default() };
    let small = MemoryLog::new().with_retention(retention);
    log::trims_beyond(&small, 5).await;
    log::refuses_larger_than(&small, 1000).await;
}

#[tokio::test]
async fn a_shared_log_keeps_the_contract() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    log::all(&log).await;
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::fs;

    use keywire::log::{Durability, Limit, LogError, Page, Position, ReadFrom, SqliteError, SqliteLog};
    use keywire::{Key, Push};

    use super::support::Directory;
    use super::*;

    const ALL: Limit = Limit { entries: usize::MAX, bytes: usize::MAX };

    fn alice() -> Key {
        Key::new("alice").expect("a key")
    }

    async fn append(log: &dyn Log, msg: &str) -> Result<Position, LogError> {
        let draft = Push::message(msg.to_owned()).kept().into();
        log.append(&alice(), &draft).await.map(|appended| appended.at)
    }

    async fn read(log: &dyn Log, from: ReadFrom) -> Page {
        log.read(&alice(), from, ALL).await.expect("a page")
    }

    #[tokio::test]
    async fn it_keeps_the_contract() {
        let directory = Directory::new("contract");
        log::all(&SqliteLog::open(directory.file()).await.unwrap()).await;
        let retention = Retention { entries: 5, bytes: 1000, ..Retention::default() };
        let options = SqliteLog::options().retention(retention).durability(Durability::Normal);
        let small = options.open(directory.0.join("small.db")).await.unwrap();
        log::trims_beyond(&small, 5).await;
        log::refuses_larger_than(&small, 1000).await;
    }

    #[tokio::test]
    async fn a_restart_forgets_nothing() {
        let directory = Directory::new("restart");
        let log = SqliteLog::open(directory.file()).await.unwrap();
        assert_eq!((log.found().keys, log.found().recovered), (0, false));
        let once = Push::message("once").kept().once("1").into();
        let first = log.append(&alice(), &once).await.unwrap().at;
        let second = append(&log, "second").await.unwrap();
        log.seen(&alice(), first).await.unwrap();
        let before = read(&log, ReadFrom::After(Position::BEGINNING)).await;
        drop(log);
        let log = SqliteLog::open(directory.file()).await.unwrap();
        assert_eq!((log.found().keys, log.found().entries), (1, 2));
        assert_eq!(read(&log, ReadFrom::After(Position::BEGINNING)).await, before);
        assert_eq!(read(&log, ReadFrom::Unread).await.entries[0].at, second);
        let again = log.append(&alice(), &once).await.unwrap();
        assert_eq!((again.at, again.repeated), (first, true));
        assert_eq!(append(&log, "third").await.unwrap().seq(), 3);
    }

    #[tokio::test]
    async fn a_second_opening_is_refused() {
        let directory = Directory::new("locked");
        let log = SqliteLog::open(directory.file()).await.unwrap();
        let refused = SqliteLog::open(directory.file()).await.unwrap_err();
        assert!(matches!(refused, SqliteError::Locked(_)), "{refused}");
        append(&log, "still there").await.unwrap();
        drop(log);
        SqliteLog::open(directory.file()).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_log_is_refused_and_left_alone() {
        let directory = Directory::new("foreign");
        let log = SqliteLog::open(directory.file()).await.unwrap();
        for number in 0..200 {
            append(&log, &number.to_string()).await.unwrap();
        }
        drop(log);
        let whole = fs::read(directory.file()).unwrap();
        let changed = |at: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            bytes
        };
        for (what, bytes, kind) in [
            ("text", b"a text, and longer than the header of a database would be".repeat(4), "Foreign"),
            ("a short text", b"short".to_vec(), "Foreign"),
            ("another application's", changed(68, 0), "Foreign"),
            ("a later version's", changed(63, 2), "Newer"),
            ("torn", whole[..whole.len() / 2].to_vec(), "Damaged"),
        ] {
            fs::write(directory.file(), &bytes).unwrap();
            let refused = SqliteLog::open(directory.file()).await.unwrap_err();
            assert!(format!("{refused:?}").starts_with(kind), "{what}: {refused:?}");
            assert!(refused.to_string().contains("log.db"), "{refused}");
            assert!(fs::read(directory.file()).unwrap() == bytes, "{what} was changed");
        }
    }

    #[tokio::test]
    async fn the_oldest_of_all_keys_go_beyond_the_total() {
        let directory = Directory::new("total");
        let len = Push::message("a").to_json().len() as u64;
        let log = SqliteLog::options().total_bytes(10 * len).open(directory.file()).await.unwrap();
        let bob = Key::new("bob").unwrap();
        log.append(&bob, &Push::message("a").kept().into()).await.unwrap();
        for _ in 0..30 {
            append(&log, "a").await.unwrap();
        }
        support::until("the log to be trimmed", async || {
            let page = read(&log, ReadFrom::After(Position::BEGINNING)).await;
            if page.entries.len() == 10 { Ok(()) } else { Err(format!("{} entries", page.entries.len())) }
        })
        .await;
        let page = log.read(&bob, ReadFrom::After(Position::BEGINNING), ALL).await.unwrap();
        assert_eq!((page.entries.len(), page.end.seq()), (0, 1));
    }
}

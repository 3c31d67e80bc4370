use std::path::PathBuf;
use std::task::{Context, Waker};

use futures_util::FutureExt as _;

use super::super::{Durability, schema};
use super::*;
use crate::message::Push;

/// A log's file in a temporary directory, which is removed at the end.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("keywire-writer-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn work(&self, total_bytes: u64) -> Work {
        let retention = Retention::default();
        Work {
            connection: schema::open(&self.0.join("log.db"), Durability::Normal).unwrap(),
            retention,
            trimmer: Trimmer::new(retention, total_bytes),
            total: 0,
            written: 0,
            broken: None,
            _lock: File::create(self.0.join("log.db-lock")).unwrap(),
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn room() -> OwnedSemaphorePermit {
    Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap()
}

fn draft(text: &str) -> Draft {
    Push::message(text.to_owned()).kept().into()
}

/// A call to append, and its answer.
fn call(key: &str) -> ((Call, OwnedSemaphorePermit), oneshot::Receiver<Result<Appended, LogError>>) {
    let (answer, answered) = oneshot::channel();
    ((Call::Append(Key::new(key).unwrap(), draft("a"), answer), room()), answered)
}

fn append(work: &mut Work, key: &str) -> Result<Appended, LogError> {
    let (call, answered) = call(key);
    work.write(vec![call]);
    answered.now_or_never().expect("an answer").unwrap()
}

fn entries(work: &Work) -> u32 {
    work.connection.query_row("SELECT count(*) FROM entries", [], |row| row.get(0)).unwrap()
}

/// Makes every commit fail that does this to an entry, with an error other than a full disk.
fn let_commits_fail(work: &Work, after: &str) {
    let broken = format!(
        "PRAGMA foreign_keys = ON;
        CREATE TEMP TABLE parents (id INTEGER PRIMARY KEY);
        CREATE TEMP TABLE orphans (parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED);
        CREATE TEMP TRIGGER broken AFTER {after} ON main.entries BEGIN INSERT INTO orphans VALUES (1); END;"
    );
    work.connection.execute_batch(&broken).unwrap();
}

/// The reason of a call that had no effect.
fn failed(appended: Result<Appended, LogError>) -> String {
    match appended {
        Err(LogError::Failed(why)) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn after_a_commit_of_unknown_outcome_nothing_is_written() {
    let home = Home::new("commit");
    let mut work = home.work(u64::MAX);
    append(&mut work, "alice").unwrap();
    let_commits_fail(&work, "INSERT");
    let unknown = append(&mut work, "alice").unwrap_err();
    assert!(matches!(unknown, LogError::Unknown(_)), "{unknown:?}");
    work.connection.execute_batch("DROP TRIGGER broken").unwrap();
    for _ in 0..2 {
        assert!(failed(append(&mut work, "alice")).starts_with("the log stopped writing: "));
    }
    assert_eq!((entries(&work), work.is_due()), (1, false));
}

#[test]
fn after_a_trim_of_unknown_outcome_nothing_is_written() {
    let home = Home::new("trim");
    let mut work = home.work(0);
    append(&mut work, "alice").unwrap();
    let_commits_fail(&work, "DELETE");
    work.trim();
    assert!(failed(append(&mut work, "alice")).starts_with("the log stopped writing: "));
    assert_eq!((entries(&work), work.is_due()), (1, false));
}

#[test]
fn a_failure_of_one_call_fails_its_transaction_and_no_other() {
    let home = Home::new("failure");
    let mut work = home.work(u64::MAX);
    work.connection
        .execute_batch(
            "CREATE TEMP TRIGGER broken BEFORE INSERT ON main.entries
            WHEN NEW.key = 2 BEGIN SELECT RAISE(ABORT, 'no room'); END;",
        )
        .unwrap();
    let (calls, answers): (Vec<_>, Vec<_>) = ["alice", "bob", "carol"].map(call).into_iter().unzip();
    work.write(calls);
    for answer in answers {
        assert_eq!(failed(answer.now_or_never().unwrap().unwrap()), "no room");
    }
    assert_eq!((entries(&work), work.total), (0, 0));
    assert_eq!(append(&mut work, "alice").unwrap().at.seq(), 1);
}

#[test]
fn a_writer_that_is_never_idle_trims() {
    let home = Home::new("busy");
    let (calls, waiting) = channel();
    let answers: Vec<_> = (0..4000)
        .map(|number| {
            let (call, answer) = call(&format!("key{number}"));
            calls.send(call).unwrap();
            answer
        })
        .collect();
    drop(calls);
    home.work(1).run(&waiting);
    assert!(answers.into_iter().all(|answer| answer.now_or_never().unwrap().unwrap().is_ok()));
    let left = entries(&home.work(1));
    assert!(left <= BATCH as u32, "{left} entries are left");
}

#[test]
fn a_count_of_bytes_that_is_off_does_not_keep_the_writer_busy() {
    let home = Home::new("off");
    let mut work = home.work(10);
    work.total = 1000;
    for _ in 0..10 {
        work.trim();
    }
    assert_eq!((work.is_due(), work.total), (false, 0));
}

#[test]
fn what_waits_is_bounded_also_if_nobody_waits_for_it_any_more() {
    for (len, most) in [(0, QUEUE_BYTES / CALL_BYTES), (1024 * 1024, QUEUE_BYTES / (1024 * 1024))] {
        let (calls, waiting) = channel();
        let writer = Writer { calls: Some(calls), room: Arc::new(Semaphore::new(QUEUE_BYTES)), thread: None };
        let key = Key::new("alice").unwrap();
        for _ in 0..2 * most {
            let draft = draft("a");
            let mut call =
                Box::pin(writer.call(len, |answer| Call::Append(key.clone(), draft.clone(), answer)));
            // The caller gives up before the writer takes the call.
            assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert_eq!(waiting.try_iter().count(), most);
        // A call larger than the queue waits for the whole queue and gets it.
        let large =
            Box::pin(writer.call(2 * QUEUE_BYTES, |answer| Call::Append(key.clone(), draft("a"), answer)));
        assert!(large.now_or_never().is_none());
        assert_eq!(waiting.try_iter().count(), 1);
    }
}

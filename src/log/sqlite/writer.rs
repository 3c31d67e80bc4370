//! The one thread that writes. Whatever waits for it goes into one transaction.

use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::ffi::SQLITE_IOERR_WRITE;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::super::clock::now;
use super::super::{Appended, Draft, LogError, Retention};
use super::SqliteError;
use super::append::{append, forget, seen};
use super::trim::{Slice, Trimmer};
use crate::delivery::Position;
use crate::key::Key;

/// Number of calls that wait for the writer. Further ones wait to wait.
const QUEUE: usize = 4096;

/// Bounds of a transaction.
const BATCH: usize = 1024;
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// How long the writer sleeps if nothing is asked of it.
const REST: Duration = Duration::from_secs(10);

type Answer<T> = oneshot::Sender<Result<T, LogError>>;

/// What is asked of the writer.
#[derive(Debug)]
pub(super) enum Call {
    Append(Key, Draft, Answer<Appended>),
    Seen(Key, Position, Answer<()>),
    Forget(Key, Answer<()>),
}

/// The thread that writes.
#[derive(Debug)]
pub(super) struct Writer {
    /// `None` when it is to end.
    calls: Option<Sender<(Call, OwnedSemaphorePermit)>>,
    room: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        lock: File,
        retention: Retention,
        total_bytes: u64,
        total: u64,
    ) -> Result<Self, SqliteError> {
        let (calls, waiting) = channel();
        let trimmer = Trimmer::new(retention, total_bytes);
        let work = Work { connection, retention, trimmer, total, broken: None, _lock: lock };
        let thread = thread::Builder::new().name("keywire-log-write".into());
        let thread = thread.spawn(move || work.run(&waiting))?;
        Ok(Self { calls: Some(calls), room: Arc::new(Semaphore::new(QUEUE)), thread: Some(thread) })
    }

    /// Asks the writer. Waits for room in its queue first.
    pub(super) async fn call<T>(&self, call: impl FnOnce(Answer<T>) -> Call) -> Result<T, LogError> {
        let closed = || LogError::Failed(SqliteError::Closed.into());
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(|_| closed())?;
        let (answer, answered) = oneshot::channel();
        self.calls.as_ref().ok_or_else(closed)?.send((call(answer), room)).map_err(|_| closed())?;
        // The thread has ended in the middle of the call.
        answered.await.map_err(|_| LogError::Unknown(SqliteError::Closed.into()))?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.calls = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Work {
    connection: Connection,
    retention: Retention,
    trimmer: Trimmer,
    /// Bytes of all entries.
    total: u64,
    /// Why nothing is written any more.
    broken: Option<String>,
    /// Released last.
    _lock: File,
}

/// An answer that is given once the transaction is over.
enum Done {
    Appended(Answer<Appended>, Result<Appended, LogError>),
    Done(Answer<()>),
}

impl Work {
    fn run(mut self, waiting: &Receiver<(Call, OwnedSemaphorePermit)>) {
        loop {
            let first = match waiting.recv_timeout(if self.is_due() { Duration::ZERO } else { REST }) {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let Some(first) = first else {
                self.trim();
                continue;
            };
            let mut bytes = 0;
            let mut batch = vec![first];
            while batch.len() < BATCH
                && bytes < BATCH_BYTES
                && let Ok(next) = waiting.try_recv()
            {
                if let (Call::Append(_, draft, _), _) = &next {
                    bytes += draft.push().len();
                }
                batch.push(next);
            }
            self.write(batch);
        }
    }

    /// Writes all of these in one transaction, and answers.
    fn write(&mut self, batch: Vec<(Call, OwnedSemaphorePermit)>) {
        let mut done = Vec::with_capacity(batch.len());
        let mut outcome = match &self.broken {
            Some(why) => Err(Failure::Failed(why.clone())),
            None => self.connection.execute_batch("BEGIN IMMEDIATE").map_err(Failure::of),
        };
        let mut change = 0;
        for (call, _room) in batch {
            let result = match &outcome {
                Ok(()) => self.apply(call, &mut done, &mut change),
                Err(_) => {
                    done.push(call.unanswered());
                    continue;
                }
            };
            outcome = result.map_err(Failure::of);
        }
        let outcome = outcome.and_then(|()| self.commit());
        match &outcome {
            Ok(()) => self.total = self.total.saturating_add_signed(change),
            Err(_) if self.connection.is_autocommit() => {}
            // What was begun is undone, so that nothing of it is there.
            Err(_) => drop(self.connection.execute_batch("ROLLBACK")),
        }
        for done in done {
            done.answer(&outcome);
        }
    }

    fn apply(&self, call: Call, done: &mut Vec<Done>, change: &mut i64) -> rusqlite::Result<()> {
        match call {
            Call::Append(key, draft, answer) => {
                let (bytes, limit) = (draft.push().len(), self.retention.bytes);
                if bytes > limit {
                    done.push(Done::Appended(answer, Err(LogError::TooLarge { bytes, limit })));
                    return Ok(());
                }
                match append(&self.connection, &key, &draft, now(), &self.retention) {
                    Ok((appended, bytes)) => {
                        *change += bytes;
                        done.push(Done::Appended(answer, Ok(appended)));
                    }
                    Err(error) => {
                        done.push(Call::Append(key, draft, answer).unanswered());
                        return Err(error);
                    }
                }
            }
            Call::Seen(key, at, answer) => {
                done.push(Done::Done(answer));
                seen(&self.connection, &key, at)?;
            }
            Call::Forget(key, answer) => {
                done.push(Done::Done(answer));
                *change += forget(&self.connection, &key)?;
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Failure> {
        let Err(error) = self.connection.execute_batch("COMMIT") else { return Ok(()) };
        // The record that makes a transaction valid is written last, so a failed write leaves nothing of it. After anything
        // else, such as a failed fsync, nobody can tell what has reached the disk.
        let code = error.sqlite_error().map(|error| (error.code, error.extended_code));
        if matches!(code, Some((ErrorCode::DiskFull | ErrorCode::DatabaseBusy, _) | (_, SQLITE_IOERR_WRITE)))
        {
            return Err(Failure::of(error));
        }
        let why = format!("the log stopped writing: {error}");
        tracing::error!(%error, "the log of kept pushes stops writing: a commit failed");
        self.broken = Some(why.clone());
        Err(Failure::Unknown(why))
    }

    fn is_due(&self) -> bool {
        self.broken.is_none() && self.trimmer.is_due(self.total)
    }

    /// Removes a slice of what is too old or too much.
    fn trim(&mut self) {
        if !self.is_due() {
            return;
        }
        match self.trim_slice() {
            Ok(slice) => self.total = self.total.saturating_sub(slice.bytes),
            Err(error) => {
                tracing::error!(%error, "the log of kept pushes was not trimmed");
                // Not again at once.
                self.trimmer.rest();
            }
        }
    }

    fn trim_slice(&mut self) -> rusqlite::Result<Slice> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let slice = self.trimmer.trim(&transaction, self.total, now())?;
        transaction.commit()?;
        Ok(slice)
    }
}

/// Why a transaction did not succeed.
enum Failure {
    /// Nothing of it is there.
    Failed(String),
    /// It may be there.
    Unknown(String),
}

impl Failure {
    fn of(error: rusqlite::Error) -> Self {
        Self::Failed(error.to_string())
    }

    fn error(&self) -> LogError {
        match self {
            Self::Failed(why) => LogError::Failed(why.clone().into()),
            Self::Unknown(why) => LogError::Unknown(why.clone().into()),
        }
    }
}

impl Call {
    /// The same, to be answered with the transaction's failure.
    fn unanswered(self) -> Done {
        match self {
            Self::Append(_, _, answer) => {
                Done::Appended(answer, Err(LogError::Failed("not appended".into())))
            }
            Self::Seen(_, _, answer) | Self::Forget(_, answer) => Done::Done(answer),
        }
    }
}

impl Done {
    fn answer(self, outcome: &Result<(), Failure>) {
        // Nobody may wait for it any more.
        match self {
            Self::Appended(answer, too_large @ Err(LogError::TooLarge { .. })) => {
                let _ = answer.send(too_large);
            }
            Self::Appended(answer, appended) => {
                let _ = answer.send(outcome.as_ref().map_err(Failure::error).and(appended));
            }
            Self::Done(answer) => {
                let _ = answer.send(outcome.as_ref().map_err(Failure::error).copied());
            }
        }
    }
}

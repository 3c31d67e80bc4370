//! The single thread that writes. It writes all waiting calls in one transaction.

use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::ffi::SQLITE_IOERR_WRITE;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::super::clock::now;
use super::super::{Appended, Draft, LogError, Retention};
use super::SqliteError;
use super::append::{append, forget, seen};
use super::trim::{Slice, Trimmer};
use crate::delivery::Position;
use crate::key::Key;

/// Bytes of calls that may wait in the queue. Further callers wait for room in the queue.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// Lowest number of bytes that a call counts as, so that at most 4,096 calls wait.
const CALL_BYTES: usize = 4096;

/// Limits of a transaction.
const BATCH: usize = 1024;
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Number of calls after which a slice is trimmed even while calls wait. It is half of the rows of a slice, so that a busy log does
/// not grow.
const UNTRIMMED: usize = 128;

/// Longest sleep of the writer without calls.
const REST: Duration = Duration::from_secs(10);

type Answer<T> = oneshot::Sender<Result<T, LogError>>;

/// A call to the writer.
#[derive(Debug)]
pub(super) enum Call {
    Append(Key, Draft, Answer<Appended>),
    Seen(Key, Position, Answer<()>),
    Forget(Key, Answer<()>),
}

/// The thread that writes.
#[derive(Debug)]
pub(super) struct Writer {
    /// `None` when the thread must end.
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
        let work = Work { connection, retention, trimmer, total, written: 0, broken: None, _lock: lock };
        let thread = thread::Builder::new().name("keywire-log-write".into());
        let thread = thread.spawn(move || work.run(&waiting))?;
        Ok(Self { calls: Some(calls), room: Arc::new(Semaphore::new(QUEUE_BYTES)), thread: Some(thread) })
    }

    /// Calls the writer. First waits for room for this many bytes in its queue.
    pub(super) async fn call<T>(
        &self,
        bytes: usize,
        call: impl FnOnce(Answer<T>) -> Call,
    ) -> Result<T, LogError> {
        let closed = || LogError::Failed(SqliteError::Closed.into());
        let bytes = bytes.clamp(CALL_BYTES, QUEUE_BYTES) as u32;
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_| closed())?;
        let (answer, answered) = oneshot::channel();
        self.calls.as_ref().ok_or_else(closed)?.send((call(answer), room)).map_err(|_| closed())?;
        // The thread has ended during the call.
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
    /// Number of calls since the last slice was trimmed.
    written: usize,
    /// The reason why writing has stopped, if it has.
    broken: Option<String>,
    /// Dropped last.
    _lock: File,
}

/// An answer to give after the transaction.
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
                self.written = 0;
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
            self.written += batch.len();
            self.write(batch);
            while self.written >= UNTRIMMED {
                self.written -= UNTRIMMED;
                self.trim();
            }
        }
    }

    /// Writes all these calls in one transaction and answers them.
    fn write(&mut self, batch: Vec<(Call, OwnedSemaphorePermit)>) {
        let mut done = Vec::with_capacity(batch.len());
        let mut outcome = match &self.broken {
            Some(why) => Err(Failure::Failed(why.clone())),
            None => self.begin(),
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
            Err(_) => self.undo(),
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

    fn begin(&self) -> Result<(), Failure> {
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(Failure::of)
    }

    /// Rolls back the transaction.
    fn undo(&self) {
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    fn commit(&mut self) -> Result<(), Failure> {
        let Err(error) = self.connection.execute_batch("COMMIT") else { return Ok(()) };
        // The record that makes a transaction valid is written last, so a failed write has no effect. After any other failure, for
        // example of an fsync, the content of the disk is unknown.
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

    /// Removes a slice of entries that are too old or too many. Returns whether there may be more.
    fn trim(&mut self) -> bool {
        if !self.is_due() {
            return false;
        }
        match self.trim_slice() {
            // There are no entries, so the bytes were miscounted, for example after another program has changed the file.
            Ok(slice) if slice.bytes == 0 && self.trimmer.is_over(self.total) => self.total = 0,
            Ok(slice) => self.total = self.total.saturating_sub(slice.bytes),
            Err(failure) => {
                self.undo();
                // A commit that stopped the log has already logged it.
                if self.broken.is_none() {
                    tracing::error!(error = failure.why(), "the log of kept pushes was not trimmed");
                }
                // Prevents an immediate retry.
                self.trimmer.rest();
            }
        }
        self.is_due()
    }

    fn trim_slice(&mut self) -> Result<Slice, Failure> {
        self.begin()?;
        let slice = self.trimmer.trim(&self.connection, self.total, now()).map_err(Failure::of)?;
        self.commit()?;
        Ok(slice)
    }
}

/// Reason why a transaction failed.
enum Failure {
    /// The transaction had no effect.
    Failed(String),
    /// The transaction may have had its effect.
    Unknown(String),
}

impl Failure {
    fn of(error: rusqlite::Error) -> Self {
        Self::Failed(error.to_string())
    }

    fn why(&self) -> &str {
        let (Self::Failed(why) | Self::Unknown(why)) = self;
        why
    }

    fn error(&self) -> LogError {
        match self {
            Self::Failed(why) => LogError::Failed(why.clone().into()),
            Self::Unknown(why) => LogError::Unknown(why.clone().into()),
        }
    }
}

impl Call {
    /// The same answer with the failure of the transaction.
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
        // The caller may have given up.
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

#[cfg(test)]
mod tests;

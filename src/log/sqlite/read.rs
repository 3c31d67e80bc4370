//! Reads in separate threads, so that a slow disk never blocks the runtime.

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, Row, params};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::super::{GapKind, Limit, LogError, Page, ReadFrom};
use super::mark::{Mark, position};
use super::{SqliteError, schema};
use crate::delivery::{Entry, Position};
use crate::key::Key;
use crate::text::Text;

/// Number of threads that read.
const THREADS: usize = 2;

/// Number of reads that may wait in the queue. Further callers wait for room in the queue.
const QUEUE: usize = 1024;

/// The threads that read.
#[derive(Debug)]
pub(super) struct Readers {
    /// `None` when the threads must end.
    reads: Option<Sender<Read>>,
    room: Arc<Semaphore>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Read {
    key: Key,
    from: ReadFrom,
    limit: Limit,
    /// It is held until a thread takes the read, even if the caller has given up.
    _room: OwnedSemaphorePermit,
    answer: oneshot::Sender<Result<Page, LogError>>,
}

impl Readers {
    pub(super) fn start(path: &Path) -> Result<Self, SqliteError> {
        let (reads, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let start = |_| -> Result<_, SqliteError> {
            let (connection, waiting) = (schema::open_to_read(path)?, Arc::clone(&waiting));
            let thread = thread::Builder::new().name("keywire-log-read".into());
            let thread: io::Result<_> = thread.spawn(move || run(&connection, &waiting));
            Ok(thread?)
        };
        let threads = (0..THREADS).map(start).collect::<Result<_, _>>()?;
        Ok(Self { reads: Some(reads), room: Arc::new(Semaphore::new(QUEUE)), threads })
    }

    pub(super) async fn read(&self, key: &Key, from: ReadFrom, limit: Limit) -> Result<Page, LogError> {
        let closed = || LogError::Failed(SqliteError::Closed.into());
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(|_| closed())?;
        let (answer, page) = oneshot::channel();
        let read = Read { key: key.clone(), from, limit, _room: room, answer };
        self.reads.as_ref().ok_or_else(closed)?.send(read).map_err(|_| closed())?;
        page.await.map_err(|_| closed())?
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.reads = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, waiting: &Mutex<Receiver<Read>>) {
    loop {
        let read = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Read { key, from, limit, _room, answer }) = read else { return };
        // The caller may have given up meanwhile.
        if !answer.is_closed() {
            let page = page(connection, &key, from, limit);
            let _ = answer.send(page.map_err(|error| LogError::Failed(error.into())));
        }
    }
}

/// Reads a page from one snapshot of the log.
pub(super) fn page(
    connection: &Connection,
    key: &Key,
    from: ReadFrom,
    limit: Limit,
) -> rusqlite::Result<Page> {
    let transaction = connection.unchecked_transaction()?;
    let Some(mark) = Mark::find(&transaction, key)? else { return Ok(nothing(from)) };
    let after = match from {
        ReadFrom::After(after) => after,
        ReadFrom::Unread => mark.seen,
        ReadFrom::Latest => latest(&transaction, &mark, limit)?,
        ReadFrom::End => return Ok(Page::new(mark.end, mark.end)),
    };
    match mark.locate(&transaction, after)? {
        Ok(()) => entries(&transaction, &mark, after, limit),
        Err(GapKind::Trimmed) => {
            Ok(entries(&transaction, &mark, mark.start, limit)?.with_gap(GapKind::Trimmed))
        }
        Err(gap) => Ok(Page::new(mark.end, mark.end).with_gap(gap)),
    }
}

/// The page of a key without kept pushes.
fn nothing(from: ReadFrom) -> Page {
    let page = Page::new(Position::BEGINNING, Position::BEGINNING);
    match from {
        ReadFrom::After(after) if after != Position::BEGINNING => page.with_gap(GapKind::Reset),
        _ => page,
    }
}

fn entries(connection: &Connection, mark: &Mark, after: Position, limit: Limit) -> rusqlite::Result<Page> {
    let mut select = connection.prepare_cached(
        "SELECT seq, tag, time, push FROM entries WHERE key = ?1 AND seq > ?2 ORDER BY seq",
    )?;
    let mut prev = after;
    let entry = |row: &Row<'_>| {
        let at = position(row, 0)?;
        let time = row.get::<_, i64>(2)?.cast_unsigned();
        let push = Text::from(row.get_ref(3)?.as_str()?);
        Ok(Entry { at, prev: std::mem::replace(&mut prev, at), time, push })
    };
    let mut failure = None;
    let rows = select.query_map(params![mark.id, after.seq().cast_signed()], entry)?;
    let rows = rows.map_while(|row| row.map_err(|error| failure = Some(error)).ok());
    let page = Page::new(after, mark.end).filled(rows, limit);
    failure.map_or(Ok(page), Err)
}

/// The position before the last entries that fit into the limit.
fn latest(connection: &Connection, mark: &Mark, limit: Limit) -> rusqlite::Result<Position> {
    let mut select = connection
        .prepare_cached("SELECT octet_length(push) FROM entries WHERE key = ?1 ORDER BY seq DESC LIMIT ?2")?;
    let most = i64::try_from(limit.entries).unwrap_or(i64::MAX);
    let mut rows = select.query([mark.id, most])?;
    let (mut count, mut left) = (0, limit.bytes);
    while let Some(row) = rows.next()? {
        let len = usize::try_from(row.get::<_, i64>(0)?).unwrap_or(usize::MAX);
        if len > left && count > 0 {
            break;
        }
        left = left.saturating_sub(len);
        count += 1;
    }
    mark.position_of(connection, mark.end.seq() - count)
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn what_waits_is_bounded_also_if_nobody_waits_for_it_any_more() {
        let (reads, waiting) = channel();
        let readers =
            Readers { reads: Some(reads), room: Arc::new(Semaphore::new(QUEUE)), threads: Vec::new() };
        let key = Key::new("alice").unwrap();
        for _ in 0..2 * QUEUE {
            let mut read = Box::pin(readers.read(&key, ReadFrom::End, Limit { entries: 1, bytes: 1 }));
            assert!(read.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert_eq!(waiting.try_iter().count(), QUEUE);
    }
}

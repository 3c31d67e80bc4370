//! Writes out what was sent to sessions whose own tasks sleep.
//!
//! To wake a task costs more than the write that it would do. So whoever sends only notes the session, and
//! all that were noted are written to one after the other when the sender has had its turn: at the end of the
//! poll if it is a connection's task, in a task of their own if it is anybody else's. Until then more messages to
//! the same session join the first, and leave with it in one write.

use std::cell::RefCell;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;

use super::Flushed;
use crate::session::Session;

thread_local! {
    static NOTED: RefCell<Noted> = const { RefCell::new(Noted { turns: 0, sessions: Vec::new(), batch: None }) };
}

/// The sessions that were sent to on this thread.
struct Noted {
    /// How many connections are being polled on this thread, one inside the other. Nearly always 0 or 1.
    turns: usize,
    /// Those that will be written to at the end of the turn.
    sessions: Vec<Session>,
    /// Those that a task will write to which has been spawned already, outside of any turn.
    batch: Option<Batch>,
}

/// Emptied by the task that writes to them, which may run on another thread.
type Batch = Arc<Mutex<Option<Vec<Session>>>>;

/// How many writes a turn ends with, and how many a task does before others have theirs: under 2 ms.
const WRITES_PER_POLL: usize = 128;

/// How many sessions one task writes to.
const SHARE: usize = 1024;

/// Notes a session whose attention is now a flusher's.
pub(super) fn list(session: &Session) {
    if !NOTED.with_borrow_mut(|noted| noted.note(session)) {
        // A thread of the application's own: there are no tasks here that could come after it.
        session.outbox().hand_over();
    }
}

impl Noted {
    /// Whether somebody will come and write.
    fn note(&mut self, session: &Session) -> bool {
        if self.turns > 0 {
            self.sessions.push(session.clone());
            return true;
        }
        if let Some(batch) = &self.batch
            && let Some(sessions) = &mut *lock(batch)
        {
            sessions.push(session.clone());
            return true;
        }
        let Ok(runtime) = Handle::try_current() else { return false };
        let batch = Arc::new(Mutex::new(Some(vec![session.clone()])));
        self.batch = Some(batch.clone());
        runtime.spawn(async move {
            let sessions = lock(&batch).take().unwrap_or_default();
            if sessions.len() <= SHARE {
                write_all(sessions).await
            } else {
                spawn(&Handle::current(), sessions)
            }
        });
        true
    }
}

/// A connection's poll. What its handler sends is written when this is dropped.
pub(crate) struct Turn(());

impl Turn {
    pub(crate) fn begin() -> Self {
        NOTED.with_borrow_mut(|noted| noted.turns += 1);
        Self(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut sessions = NOTED.with_borrow_mut(|noted| {
            noted.turns -= 1;
            if noted.turns == 0 { mem::take(&mut noted.sessions) } else { Vec::new() }
        });
        if sessions.is_empty() {
            return;
        }
        let later = sessions.split_off(sessions.len().min(WRITES_PER_POLL));
        if !later.is_empty() {
            match Handle::try_current() {
                Ok(runtime) => spawn(&runtime, later),
                Err(_) => later.iter().for_each(|session| session.outbox().hand_over()),
            }
        }
        sessions.drain(..).for_each(|session| write(&session));
        // The list is kept for the next turn, if it is none of the rare long ones.
        NOTED.with_borrow_mut(|noted| {
            if noted.sessions.capacity() == 0 {
                noted.sessions = sessions;
            }
        });
    }
}

/// Shares the work out: workers without any take a share over.
fn spawn(runtime: &Handle, mut sessions: Vec<Session>) {
    while !sessions.is_empty() {
        let share = sessions.split_off(sessions.len().saturating_sub(SHARE));
        runtime.spawn(write_all(share));
    }
}

async fn write_all(sessions: Vec<Session>) {
    for some in sessions.chunks(WRITES_PER_POLL) {
        some.iter().for_each(write);
        tokio::task::yield_now().await;
    }
}

fn write(session: &Session) {
    if let Flushed::HandedOver(task) = session.outbox().flush() {
        super::wake(task);
    }
}

fn lock(batch: &Batch) -> std::sync::MutexGuard<'_, Option<Vec<Session>>> {
    batch.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Writes out what was sent to sessions whose own tasks sleep.
//!
//! To wake a task costs more than the write that it would do. So whoever sends only notes the session, and
//! all that were noted are written to one after the other when the sender has had its turn: at the end of the
//! poll if it is a connection's task, in a task of their own if it is anybody else's. Until then more messages to
//! the same session join the first, and leave with it in one write.

use std::cell::RefCell;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::runtime::{self, Handle};

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
    /// Those that a task will write to, spawned outside of any turn, and the runtime it was spawned on.
    batch: Option<(runtime::Id, Weak<Batch>)>,
}

/// What a task that has been spawned will take when it runs. Only the task owns it.
type Batch = Mutex<Option<Due>>;

/// How many writes a turn ends with, and how many a task does before others have theirs: under 2 ms.
const WRITES_PER_POLL: usize = 128;

/// How many sessions one task writes to.
const SHARE: usize = 1024;

/// Notes a session whose attention is now a flusher's, and whose connection lives on this runtime.
pub(super) fn list(session: &Session, home: runtime::Id) {
    if NOTED.with_borrow_mut(|noted| noted.join(session)) {
        return;
    }
    match Handle::try_current() {
        Ok(runtime) if runtime.id() == home => {
            let batch = Arc::new(Mutex::new(Some(Due(vec![session.clone()]))));
            NOTED.with_borrow_mut(|noted| noted.batch = Some((home, Arc::downgrade(&batch))));
            runtime.spawn(async move {
                let due = lock(&batch).take();
                if let Some(due) = due {
                    write_all(due).await;
                }
            });
        }
        // A thread of the application's own, or a runtime that may never turn again.
        _ => session.outbox().hand_over(),
    }
}

impl Noted {
    /// Notes the session where somebody will come and write anyway.
    fn join(&mut self, session: &Session) -> bool {
        if self.turns > 0 {
            self.sessions.push(session.clone());
            return true;
        }
        if let Some((home, batch)) = &self.batch
            && Handle::try_current().is_ok_and(|runtime| runtime.id() == *home)
            && let Some(batch) = batch.upgrade()
            && let Some(Due(sessions)) = &mut *lock(&batch)
        {
            sessions.push(session.clone());
            return true;
        }
        false
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
            let later = Due(later);
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(write_all(later));
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

/// Sessions to be written to. If it does not come to that, because a runtime is going away, the connections'
/// own tasks are called.
struct Due(Vec<Session>);

impl Drop for Due {
    fn drop(&mut self) {
        self.0.iter().for_each(|session| session.outbox().hand_over());
    }
}

async fn write_all(mut due: Due) {
    // Shared out, so that workers without work take a share over.
    while due.0.len() > SHARE {
        let share = Due(due.0.split_off(due.0.len() - SHARE));
        tokio::spawn(write_share(share));
    }
    write_share(due).await;
}

async fn write_share(mut due: Due) {
    while !due.0.is_empty() {
        let rest = due.0.len().saturating_sub(WRITES_PER_POLL);
        due.0.drain(rest..).for_each(|session| write(&session));
        tokio::task::yield_now().await;
    }
}

fn write(session: &Session) {
    if let Flushed::HandedOver(task) = session.outbox().flush() {
        super::wake(task);
    }
}

fn lock(batch: &Batch) -> MutexGuard<'_, Option<Due>> {
    batch.lock().unwrap_or_else(PoisonError::into_inner)
}

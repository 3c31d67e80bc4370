//! Writes out what was sent to sessions whose own tasks sleep.
//!
//! To wake a task costs more than the write that it would do. So a sender only notes the session on its thread's list,
//! and all that were noted are written to one after the other when the sender has had its turn: at the end of the poll if
//! it is a connection's task, in a task of their own for all other senders. Until then more messages to the same session
//! join the first, and leave with it in one write. A sender that does not come to the end of its turn is found by the
//! [`watchdog`].

use std::cell::{Cell, OnceCell};
use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::runtime::{self, Handle};

use super::watchdog::{self, Watched};
use super::{Flushed, Owned, Owner};

thread_local! {
    static LOCAL: Local = const {
        Local { turns: Cell::new(0), noted: Cell::new(false), list: OnceCell::new() }
    };
}

/// What a thread knows of itself.
struct Local {
    /// How many connections are being polled on this thread, one inside the other. Nearly always 0 or 1.
    turns: Cell<usize>,
    /// Whether a session was noted in the present turn.
    noted: Cell<bool>,
    list: OnceCell<Arc<List>>,
}

/// An outbox of any owner.
type AnyOwned = Arc<Owned<dyn Owner>>;

/// At most [`WRITES_PER_POLL`] of them.
type Portion = Vec<AnyOwned>;

/// The sessions that were sent to on one thread. A task, the thread's own turn and the watchdog may all take from it.
#[derive(Default)]
pub(super) struct List(Mutex<Noted>);

#[derive(Default)]
struct Noted {
    /// Full portions, the oldest first. So nothing is moved when one is taken: a broadcast notes thousands.
    full: VecDeque<Portion>,
    /// The newest portion.
    open: Portion,
    /// The runtime on which a task will look at the list.
    task: Option<runtime::Id>,
    /// How often something was taken. Wraps.
    takes: u32,
    /// What `takes` was when the watchdog found something waiting.
    suspected: Option<u32>,
}

/// How many writes a turn ends with, and how many a task does before others have theirs: under 2 ms.
const WRITES_PER_POLL: usize = 128;

/// For each this many portions a task writes, so that workers without work take a share over.
const SHARE: usize = 8;

/// Notes a session whose attention is now a flusher's, and whose connection lives on the runtime `home`.
pub(super) fn note<T: Owner>(session: &Arc<Owned<T>>, home: runtime::Id) {
    let any: AnyOwned = session.clone();
    let noted = LOCAL.try_with(|local| {
        if local.turns.get() > 0 {
            local.noted.set(true);
            local.list().lock().push(any);
            watchdog::wake();
            return true;
        }
        let Ok(runtime) = Handle::try_current() else { return false };
        if runtime.id() != home {
            return false;
        }
        let list = local.list();
        let mut noted = list.lock();
        noted.push(any);
        let begins = noted.begins_task(home);
        drop(noted);
        if begins {
            list.begin_task(&runtime);
        }
        watchdog::wake();
        true
    });
    // A thread of the application's own, or a runtime that may never turn again.
    if !noted.unwrap_or(false) {
        session.outbox.hand_over();
    }
}

impl Local {
    fn list(&self) -> &Arc<List> {
        self.list.get_or_init(|| {
            let list = Arc::<List>::default();
            let watched: Weak<List> = Arc::downgrade(&list);
            watchdog::register(watched);
            list
        })
    }
}

/// A connection's poll. What its handler sends is written when this is dropped.
pub(crate) struct Turn(());

impl Turn {
    pub(crate) fn begin() -> Self {
        LOCAL.with(|local| local.turns.set(local.turns.get() + 1));
        Self(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        LOCAL.with(|local| {
            let turns = local.turns.get() - 1;
            local.turns.set(turns);
            if turns == 0 && local.noted.take() {
                local.list().end_turn();
            }
        });
    }
}

impl List {
    fn end_turn(self: &Arc<Self>) {
        let mut noted = self.lock();
        let due = noted.take();
        let runtime = if noted.is_empty() { None } else { Handle::try_current().ok() };
        let runtime = runtime.filter(|runtime| noted.begins_task(runtime.id()));
        drop(noted);
        if let Some(runtime) = runtime {
            self.begin_task(&runtime);
        }
        self.write(due);
    }

    /// Begins the task that was promised. Not under the lock: a runtime that shuts down drops the task at once, which takes the
    /// lock again.
    fn begin_task(self: &Arc<Self>, runtime: &Handle) {
        runtime.spawn(write_all(Task(Some(self.clone()))));
    }

    /// Takes a poll's share, and ends the promise of the task when nothing is left: what is noted from then on gets a
    /// task of its own.
    fn take_for(&self, task: &mut Task) -> Due {
        let mut noted = self.lock();
        let due = noted.take();
        if noted.is_empty() {
            noted.task = None;
            task.0 = None;
        }
        due
    }

    /// Writes to the sessions, and keeps the buffer for the next.
    fn write(&self, mut due: Due) {
        due.write();
        let buffer = mem::take(&mut due.0);
        let mut noted = self.lock();
        if noted.open.capacity() == 0 {
            noted.open = buffer;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched for List {
    /// Writes what has waited since the last call.
    fn rescue(&self) -> bool {
        let mut noted = self.lock();
        let suspect = (!noted.is_empty()).then_some(noted.takes);
        let suspected = mem::replace(&mut noted.suspected, suspect);
        if suspect.is_none() || suspected != suspect {
            return suspect.is_some() || suspected.is_some();
        }
        let all = noted.take_all();
        drop(noted);
        all.into_iter().for_each(|due| self.write(due));
        true
    }
}

impl Noted {
    #[inline(always)]
    fn push(&mut self, session: AnyOwned) {
        self.open.push(session);
        if self.open.len() == WRITES_PER_POLL {
            self.full.push_back(mem::replace(&mut self.open, Vec::with_capacity(WRITES_PER_POLL)));
        }
    }

    /// Whether a task of this runtime must be begun. It counts as begun from now on.
    fn begins_task(&mut self, runtime: runtime::Id) -> bool {
        self.task.replace(runtime) != Some(runtime)
    }

    fn is_empty(&self) -> bool {
        self.open.is_empty() && self.full.is_empty()
    }

    /// Takes those that were noted first, as many as a poll writes.
    fn take(&mut self) -> Due {
        self.takes = self.takes.wrapping_add(1);
        Due(self.full.pop_front().unwrap_or_else(|| mem::take(&mut self.open)))
    }

    fn take_all(&mut self) -> Vec<Due> {
        self.takes = self.takes.wrapping_add(1);
        mem::take(&mut self.full).into_iter().chain([mem::take(&mut self.open)]).map(Due).collect()
    }
}

/// Sessions to be written to. If it does not come to that, the connections' own tasks are called.
struct Due(Portion);

impl Due {
    fn write(&mut self) {
        // One session gains nothing by it.
        if self.0.len() > 1 {
            self.0.iter().for_each(|session| session.outbox.touch());
        }
        for session in &self.0 {
            if let Flushed::HandedOver(task) = session.outbox.flush() {
                super::wake(task);
            }
        }
        self.0.clear();
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        self.0.iter().for_each(|session| session.outbox.hand_over());
    }
}

/// A task's promise to look at the list. If it does not come to that, because a runtime is going away, the connections'
/// own tasks are called.
struct Task(Option<Arc<List>>);

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(list) = self.0.take() {
            let mut noted = list.lock();
            noted.task = None;
            let left = noted.take_all();
            drop(noted);
            drop(left);
        }
    }
}

async fn write_all(mut task: Task) {
    let Some(list) = task.0.clone() else { return };
    let shares = list.lock().full.len() / SHARE;
    for _ in 0..shares {
        tokio::spawn(write_share(list.clone()));
    }
    loop {
        list.write(list.take_for(&mut task));
        if task.0.is_none() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Helps another task with a long list.
async fn write_share(list: Arc<List>) {
    loop {
        let due = list.lock().take();
        if due.0.is_empty() {
            return;
        }
        list.write(due);
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::limits::Config;
    use crate::metrics::Metrics;

    struct Nobody(Config, Metrics);

    impl Owner for Nobody {
        fn config(&self) -> &Config {
            &self.0
        }

        fn metrics(&self) -> &Metrics {
            &self.1
        }
    }

    #[test]
    fn a_runtime_that_shuts_down_holds_no_sender_up() {
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let handle = runtime.handle().clone();
            drop(runtime);
            let _entered = handle.enter();
            let owned = Arc::new(Owned::new(Nobody(Config::default(), Metrics::register())));
            note(&owned, handle.id());
            // The same at the end of a turn that leaves something for a task.
            let turn = Turn::begin();
            (0..2 * WRITES_PER_POLL).for_each(|_| note(&owned, handle.id()));
            drop(turn);
            tell.send(()).unwrap();
        });
        told.recv_timeout(Duration::from_secs(30)).expect("a sender that is not held up");
    }
}

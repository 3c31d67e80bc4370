//! The clock of a runtime: a task that rings the timers of its connections.

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use tokio::runtime::{self, Handle};
use tokio::time::{Instant, Sleep, sleep_until};

use super::wheel::{Id, Wheel};
use crate::deadline::{long_millis, moment_of};

/// The timers of one runtime, and the task that waits for the first of them.
///
/// No waker is dropped under the lock: it may be the last to hold its task, which takes the lock when it gives its own timers back.
pub(super) struct Clock(Mutex<State>);

struct State {
    wheel: Wheel,
    task: Task,
}

/// The task that waits. It ends when no timer is set.
enum Task {
    Absent,
    /// It looks at the wheel soon.
    Awake,
    Asleep {
        until: u64,
        waker: Waker,
    },
}

/// A runtime's clock, while a timer has it.
type Known = (runtime::Id, Weak<Clock>);

static CLOCKS: Mutex<Vec<Known>> = Mutex::new(Vec::new());

impl Clock {
    /// The clock of the runtime that this is called on.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub(super) fn current() -> Arc<Self> {
        let runtime = Handle::current().id();
        let mut clocks = CLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, clock)) = clocks.iter().find(|(id, _)| *id == runtime)
            && let Some(clock) = clock.upgrade()
        {
            return clock;
        }
        let wheel = Wheel::new(long_millis(Instant::now()));
        let clock = Arc::new(Self(Mutex::new(State { wheel, task: Task::Absent })));
        clocks.retain(|(_, clock)| clock.strong_count() > 0);
        clocks.push((runtime, Arc::downgrade(&clock)));
        clock
    }

    pub(super) fn allocate(&self) -> Id {
        self.lock().wheel.allocate()
    }

    pub(super) fn free(&self, id: Id) {
        let waker = self.lock().wheel.free(id);
        drop(waker);
    }

    pub(super) fn remove(&self, id: Id) {
        let waker = self.lock().wheel.remove(id);
        drop(waker);
    }

    pub(super) fn set(self: &Arc<Self>, id: Id, at: Instant, waker: Waker) {
        // Not before the moment.
        let when = long_millis(at) + 1;
        let mut state = self.lock();
        let former = state.wheel.set(id, when, waker);
        let task = match &state.task {
            Task::Asleep { until, .. } if *until <= when => Task::Awake,
            _ => mem::replace(&mut state.task, Task::Awake),
        };
        // A runtime that shuts down drops the task at once, which takes the lock again.
        drop(state);
        drop(former);
        match task {
            Task::Awake => {}
            Task::Asleep { waker, .. } => waker.wake(),
            Task::Absent => self.begin(),
        }
    }

    fn begin(self: &Arc<Self>) {
        let mut running = Running(Some(self.clone()));
        // Made here, where a runtime without timers panics in the connection and not in a task that nobody looks at.
        let mut sleep = Box::pin(sleep_until(Instant::now()));
        tokio::spawn(async move { poll_fn(|cx| running.poll(cx, sleep.as_mut())).await });
    }

    /// Rings what is due, and sleeps until the next. Ready when no timer is set.
    fn poll(&self, cx: &mut Context<'_>, mut sleep: Pin<&mut Sleep>) -> Poll<()> {
        let mut due = Vec::new();
        loop {
            let next = {
                let mut state = self.lock();
                state.wheel.advance(long_millis(Instant::now()), &mut due);
                let next = state.wheel.next();
                state.task = match next {
                    Some(until) => Task::Asleep { until, waker: cx.waker().clone() },
                    None => Task::Absent,
                };
                next
            };
            due.drain(..).for_each(Waker::wake);
            let Some(next) = next else { return Poll::Ready(()) };
            sleep.as_mut().reset(moment_of(next));
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task. If its runtime goes away, a timer that is set afterwards begins another.
struct Running(Option<Arc<Clock>>);

impl Running {
    fn poll(&mut self, cx: &mut Context<'_>, sleep: Pin<&mut Sleep>) -> Poll<()> {
        let done = self.0.as_ref().map_or(Poll::Ready(()), |clock| clock.poll(cx, sleep));
        if done.is_ready() {
            // Another may have begun by now.
            self.0 = None;
        }
        done
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(clock) = &self.0 {
            clock.lock().task = Task::Absent;
        }
    }
}

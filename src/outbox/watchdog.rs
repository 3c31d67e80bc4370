//! Finds what a sender has noted and does not come round to writing, because its thread is blocked or computes.
//!
//! One thread for the whole process, which sleeps while nothing is sent.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

/// What the watchdog looks at.
pub(super) trait Watched: Send + Sync {
    /// Does what has waited since the last call. Returns whether there was anything to do since then.
    fn rescue(&self) -> bool;
}

/// What waits for one to two of these is written by the watchdog. Most turns take microseconds.
const TICK: Duration = Duration::from_millis(4);

/// After this many ticks without anything noted the thread sleeps until it is woken. Waking it is a system call.
const QUIET: u32 = 25;

/// Whether the thread looks at the lists by itself. A sender reads this after it has held its list's lock, and the
/// thread looks at all lists once more after it has written it, so nothing noted is overlooked.
static AWAKE: AtomicBool = AtomicBool::new(false);
static LISTS: Mutex<Vec<Weak<dyn Watched>>> = Mutex::new(Vec::new());
static THREAD: OnceLock<Option<Thread>> = OnceLock::new();

/// From now on the watchdog looks at this list, as long as there is one.
pub(super) fn register(list: Weak<dyn Watched>) {
    LISTS.lock().unwrap_or_else(PoisonError::into_inner).push(list);
}

/// Sees to it that the watchdog looks at the lists. For whoever has noted something.
#[inline]
pub(super) fn wake() {
    if !AWAKE.load(Ordering::Relaxed) {
        start();
    }
}

#[cold]
fn start() {
    if AWAKE.swap(true, Ordering::SeqCst) {
        return;
    }
    let thread = THREAD.get_or_init(|| {
        let thread = thread::Builder::new().name("keywire-watchdog".into()).spawn(watch);
        let error = thread.as_ref().err();
        if let Some(error) = error {
            tracing::error!(%error, "no thread for the watchdog: a handler that blocks delays what it has sent");
        }
        thread.ok().map(|thread| thread.thread().clone())
    });
    if let Some(thread) = thread {
        thread.unpark();
    }
}

fn watch() {
    let mut quiet = 0;
    loop {
        thread::sleep(TICK);
        quiet = if look() { 0 } else { quiet + 1 };
        if quiet < QUIET {
            continue;
        }
        AWAKE.store(false, Ordering::SeqCst);
        if look() {
            AWAKE.store(true, Ordering::SeqCst);
        } else {
            while !AWAKE.load(Ordering::SeqCst) {
                thread::park();
            }
        }
        quiet = 0;
    }
}

/// Returns whether any list was in use since it last looked.
fn look() -> bool {
    let mut lists = Vec::new();
    LISTS.lock().unwrap_or_else(PoisonError::into_inner).retain(|list| match list.upgrade() {
        Some(list) => {
            lists.push(list);
            true
        }
        None => false,
    });
    let mut busy = false;
    for list in &lists {
        // A session that is dropped here may be the last to hold what belongs to the application.
        busy |= catch_unwind(AssertUnwindSafe(|| list.rescue())).unwrap_or(true);
    }
    busy
}

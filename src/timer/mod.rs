//! The timer of a connection.
//!
//! Every idle session waits for its next ping. A timer of tokio's takes 128 bytes for that; one of these takes 32, in a wheel that the
//! connections of a runtime share.

mod clock;
mod wheel;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use tokio::time::Instant;

use self::clock::Clock;

/// Wakes a task at a moment, up to a millisecond late. It belongs to the runtime on which it is first set.
#[derive(Default)]
pub(crate) struct Timer {
    clock: OnceLock<Arc<Clock>>,
    /// There if the clock is.
    id: AtomicU32,
}

impl Timer {
    /// Sets the timer, in place of what it was set to. For one task at a time.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime that has timers.
    pub(crate) fn set(&self, at: Instant, waker: &Waker) {
        let clock = self.clock.get_or_init(|| {
            let clock = Clock::current();
            self.id.store(clock.allocate(), Ordering::Relaxed);
            clock
        });
        clock.set(self.id.load(Ordering::Relaxed), at, waker.clone());
    }

    /// Stops the timer, which keeps its task no longer.
    pub(crate) fn stop(&self) {
        if let Some(clock) = self.clock.get() {
            clock.remove(self.id.load(Ordering::Relaxed));
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(clock) = self.clock.get() {
            clock.free(self.id.load(Ordering::Relaxed));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::Duration;

    use super::*;

    /// Waits for the timer alone.
    async fn ring(timer: &Timer, at: Instant) {
        let mut is_set = false;
        poll_fn(|cx| {
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            assert!(!is_set, "rung too early, or by something else");
            is_set = true;
            timer.set(at, cx.waker());
            Poll::Pending
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn rings_at_its_moment_and_at_most_a_millisecond_late() {
        let timer = Timer::default();
        let start = Instant::now();
        for millis in [1, 63, 64, 65, 4_095, 4_096, 30_000, 3_600_000, 86_400_000] {
            let at = Instant::now() + Duration::from_millis(millis) + Duration::from_micros(300);
            ring(&timer, at).await;
            assert!(Instant::now() - at <= Duration::from_millis(2), "{millis}");
        }
        assert!(start.elapsed() > Duration::from_secs(24 * 3600));
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_timer_wakes_the_clock() {
        let (late, early) = (Timer::default(), Timer::default());
        let start = Instant::now();
        late.set(start + Duration::from_secs(60), Waker::noop());
        // The clock sleeps for a minute by now.
        tokio::time::sleep(Duration::from_millis(1)).await;
        ring(&early, start + Duration::from_secs(1)).await;
        assert!(start.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_is_stopped_or_dropped_does_not_ring() {
        let (stopped, dropped, kept) = (Timer::default(), Timer::default(), Timer::default());
        let waker = futures_util::task::noop_waker();
        let held = Arc::new(());
        struct Holds(#[expect(dead_code, reason = "held")] Arc<()>);
        impl std::task::Wake for Holds {
            fn wake(self: Arc<Self>) {
                panic!("rung");
            }
        }
        let holding = Waker::from(Arc::new(Holds(held.clone())));
        let soon = Instant::now() + Duration::from_secs(1);
        stopped.set(soon, &holding);
        dropped.set(soon, &holding);
        kept.set(soon, &waker);
        drop(holding);
        stopped.stop();
        drop(dropped);
        assert_eq!(Arc::strong_count(&held), 1, "the wakers are gone");
        tokio::time::sleep(Duration::from_secs(2)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_waker_may_be_the_last_to_hold_a_timer() {
        /// As in an executor whose tasks belong to their wakers.
        struct Task(#[expect(dead_code, reason = "held")] Timer);
        impl std::task::Wake for Task {
            fn wake(self: Arc<Self>) {}
        }
        let (stopped, dropped) = (Timer::default(), Timer::default());
        let soon = Instant::now() + Duration::from_secs(1);
        for timer in [&stopped, &stopped, &dropped] {
            let last = Timer::default();
            last.set(soon, Waker::noop());
            timer.set(soon, &Waker::from(Arc::new(Task(last))));
        }
        stopped.stop();
        drop(dropped);
    }

    #[test]
    fn without_timers_of_the_runtime_each_connection_panics() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // The first keeps the clock.
        for timer in &[Timer::default(), Timer::default()] {
            let set = || runtime.block_on(async { timer.set(Instant::now(), Waker::noop()) });
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(set)).is_err());
        }
    }

    #[test]
    fn a_runtime_that_is_gone_takes_no_timer_of_another_with_it() {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let timer = Timer::default();
            runtime.block_on(ring(&timer, Instant::now() + Duration::from_millis(5)));
            runtime.block_on(ring(&timer, Instant::now() + Duration::from_millis(5)));
            // Set, and left behind.
            runtime.block_on(async { timer.set(Instant::now() + Duration::from_secs(60), Waker::noop()) });
            drop(runtime);
            timer
        };
        drop([run(), run()]);
    }
}

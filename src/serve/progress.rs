use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::config::ServeConfig;

/// Limits the time that the server waits for a client. A timeout limits each pause, and a lowest rate limits the total.
///
/// It is a bucket of time: waiting drains it, and each byte adds the time that one byte may take. It has a timer only while it
/// waits, and reads the clock only after it has waited.
#[derive(Debug)]
pub(super) struct ProgressTimeout {
    full: Duration,
    bytes_per_second: Option<NonZeroU32>,
    left: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

/// The client was too slow.
#[derive(Debug, thiserror::Error)]
#[error("the client has stalled")]
pub(super) struct Stalled;

impl ProgressTimeout {
    pub(super) fn new(config: &ServeConfig) -> Self {
        let full = config.stall_timeout;
        let bytes_per_second = config.min_bytes_per_second.and_then(NonZeroU32::new);
        Self { full, bytes_per_second, left: full, waiting: None }
    }

    /// Passes `polled` on, or returns [`Stalled`] if the wait for the client was too long. `bytes` returns the progress of a result,
    /// in bytes.
    pub(super) fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<T>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Poll<Result<T, Stalled>> {
        match polled {
            Poll::Ready(progress) => {
                if let Some((since, _)) = self.waiting.take() {
                    self.left = self.left.saturating_sub(since.elapsed());
                }
                if self.left < self.full {
                    self.refill(bytes(&progress));
                }
                Poll::Ready(Ok(progress))
            }
            Poll::Pending => {
                let left = self.left;
                let begin = || (Instant::now(), Box::pin(tokio::time::sleep(left)));
                let (_, timer) = self.waiting.get_or_insert_with(begin);
                timer.as_mut().poll(cx).map(|()| Err(Stalled))
            }
        }
    }

    fn refill(&mut self, bytes: usize) {
        let earned = match self.bytes_per_second {
            None => self.full,
            Some(rate) => {
                Duration::from_micros((bytes as u64).saturating_mul(1_000_000) / u64::from(rate.get()))
            }
        };
        self.left = self.left.saturating_add(earned).min(self.full);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// How long the server waits for a client that makes `bytes` of progress every `pause`, at most a day.
    async fn lasts(
        stall_timeout: Duration,
        rate: impl Into<Option<u32>>,
        bytes: usize,
        pause: Duration,
    ) -> Duration {
        let config =
            ServeConfig { stall_timeout, min_bytes_per_second: rate.into(), ..ServeConfig::default() };
        let mut progress = ProgressTimeout::new(&config);
        let start = Instant::now();
        let mut cx = Context::from_waker(Waker::noop());
        while start.elapsed() < Duration::from_secs(24 * 60 * 60) {
            for part in 0..=10 {
                if progress.watch(&mut cx, Poll::<()>::Pending, |()| 0).is_ready() {
                    return start.elapsed();
                }
                if part < 10 {
                    tokio::time::advance(pause / 10).await;
                }
            }
            assert!(progress.watch(&mut cx, Poll::Ready(()), |()| bytes).is_ready());
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_and_the_whole_are_bounded() {
        let secs = Duration::from_secs;
        let day = secs(24 * 60 * 60);
        assert_eq!(lasts(secs(30), 500, 1, secs(60)).await, secs(30), "a pause");
        assert!(lasts(secs(30), 500, 1, secs(1)).await < secs(32), "a byte now and then");
        assert!(lasts(secs(30), 500, 4_900, secs(10)).await < day / 20, "slightly too slow");
        assert!(lasts(secs(30), 500, 5_000, secs(10)).await >= day, "fast enough");
        assert!(lasts(secs(30), None, 1, secs(29)).await >= day, "any rate");
        assert!(lasts(secs(30), 0, 1, secs(29)).await >= day, "the lowest rate");
        assert!(lasts(Duration::MAX, 500, 1, secs(3600)).await >= day, "no limit");
        assert_eq!(lasts(Duration::ZERO, 500, 1, secs(10)).await, Duration::ZERO, "no time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_beginning_is_no_credit() {
        let mut progress = ProgressTimeout::new(&ServeConfig::default());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(progress.watch(&mut cx, Poll::Ready(()), |()| usize::MAX).is_ready());
        assert!(progress.watch(&mut cx, Poll::<()>::Pending, |()| 0).is_pending());
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(progress.watch(&mut cx, Poll::<()>::Pending, |()| 0).is_ready());
    }
}

//! Deadlines, as instants and in four bytes.

use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A deadline in milliseconds. It takes four bytes instead of sixteen, since every idle session has some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline(NonZeroU32);

/// The milliseconds wrap around after 49 days. Half of the range is the future.
const FUTURE: Duration = Duration::from_secs(60 * 60 * 24 * 24);

/// Longest wait. `Instant::now() + Duration::MAX` would overflow.
const LONGEST: Duration = Duration::from_secs(60 * 60 * 24 * 365);

impl Deadline {
    /// The deadline of a timeout that starts `now`. `None`: no deadline, since the timeout is too long.
    pub(crate) fn after(now: Instant, timeout: Duration) -> Option<Self> {
        (timeout < FUTURE).then(|| Self(NonZeroU32::MIN | millis(now + timeout)))
    }

    /// A deadline that does not pass before the timeout has, but up to a millisecond later. One that is further away than can be told
    /// passes earlier, for another look.
    pub(crate) fn not_before(now: Instant, timeout: Duration) -> Self {
        let timeout = timeout.saturating_add(Duration::from_millis(1)).min(FUTURE);
        Self(NonZeroU32::MIN | millis(now + timeout))
    }

    /// The time until the deadline. Zero if it has passed.
    pub(crate) fn left(self, now: Instant) -> Duration {
        Duration::from_millis(u64::try_from(self.millis_left(now)).unwrap_or(0))
    }

    /// Whether the deadline has not passed.
    #[inline]
    pub(crate) fn is_ahead(self, now: Instant) -> bool {
        self.millis_left(now) > 0
    }

    #[inline(always)]
    fn millis_left(self, now: Instant) -> i32 {
        // Half of the range is the past.
        self.0.get().wrapping_sub(millis(now)).cast_signed()
    }
}

/// The time of day, by which credentials expire. With the feature `testing` it is ahead of the system's by as much as tokio's clock is, so
/// that credentials expire on a paused clock as well.
pub(crate) fn time_of_day() -> SystemTime {
    let now = SystemTime::now();
    #[cfg(feature = "testing")]
    let now = now + Instant::now().into_std().saturating_duration_since(std::time::Instant::now());
    now
}

/// `moment + timeout`, where the timeout may be `Duration::MAX`.
pub(crate) fn after(moment: Instant, timeout: Duration) -> Instant {
    moment + finite(timeout)
}

/// A timeout that tokio can wait for, in place of one that may be `Duration::MAX`.
pub(crate) fn finite(timeout: Duration) -> Duration {
    timeout.min(LONGEST)
}

/// Milliseconds since some moment of this process. They wrap around after 49 days.
#[inline]
pub(crate) fn millis(moment: Instant) -> u32 {
    match moment.checked_duration_since(*START) {
        // Not by way of 128 bits: each read of a connection asks.
        Some(time) => (time.as_secs() as u32).wrapping_mul(1000).wrapping_add(time.subsec_millis()),
        None => early_millis(moment) as u32,
    }
}

/// The same, which do not wrap around.
pub(crate) fn long_millis(moment: Instant) -> u64 {
    match moment.checked_duration_since(*START) {
        Some(time) => BEFORE + time.as_millis() as u64,
        None => BEFORE.wrapping_add_signed(early_millis(moment)),
    }
}

/// The moment at which these milliseconds begin.
pub(crate) fn moment_of(long_millis: u64) -> Instant {
    match long_millis.checked_sub(BEFORE) {
        Some(after) => *START + Duration::from_millis(after),
        None => START.checked_sub(Duration::from_millis(BEFORE - long_millis)).unwrap_or(*START),
    }
}

// The system's clock, since a test may have moved tokio's.
static START: LazyLock<Instant> = LazyLock::new(|| Instant::from_std(std::time::Instant::now()));

/// Room for moments before the start, in milliseconds.
const BEFORE: u64 = 1 << 32;

/// A paused clock may stand before the start. Time between two moments is the same there as after it, or timers would be lost.
#[cold]
fn early_millis(moment: Instant) -> i64 {
    let before = START.saturating_duration_since(moment);
    -(before.as_micros().div_ceil(1000) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_down_to_zero_and_stays_there() {
        let now = Instant::now();
        let deadline = Deadline::after(now, Duration::from_secs(30)).expect("a deadline");
        let (least, most) = (Duration::from_millis(9_998), Duration::from_millis(10_002));
        assert!((least..=most).contains(&deadline.left(now + Duration::from_secs(20))));
        assert_eq!(deadline.left(now + Duration::from_millis(30_002)), Duration::ZERO);
        assert_eq!(deadline.left(now + Duration::from_secs(60 * 60 * 24 * 20)), Duration::ZERO);
    }

    #[test]
    fn the_milliseconds_may_wrap_around_on_the_way() {
        let turn = Instant::now() + Duration::from_millis(u64::from(u32::MAX));
        for early in [0, 1_000, 5_000] {
            let now = turn - Duration::from_millis(early);
            let left = Deadline::after(now, Duration::from_secs(10)).expect("a deadline").left(now);
            assert!(left.abs_diff(Duration::from_secs(10)) <= Duration::from_millis(2), "{left:?}");
        }
    }

    #[test]
    fn time_before_the_start_passes_like_time_after_it() {
        let start = *START;
        for early in [1, 999, 1_000, 1_001, 5_500, 3_000_000].map(Duration::from_micros) {
            let Some(now) = start.checked_sub(early) else { continue };
            for wait in [0, 1, 5, 30_000] {
                let later = now + Duration::from_millis(wait);
                assert_eq!(millis(later).wrapping_sub(millis(now)), wait as u32, "{early:?} {wait}");
                assert_eq!(long_millis(later) - long_millis(now), wait, "{early:?} {wait}");
                let deadline = Deadline::not_before(now, Duration::from_millis(wait));
                assert_eq!(deadline.left(now + deadline.left(now)), Duration::ZERO);
            }
        }
    }

    #[test]
    fn a_moment_before_the_start_is_found_again() {
        for early in [1, 999, 1_000, 1_001, 5_500, 3_000_000].map(Duration::from_micros) {
            let Some(moment) = START.checked_sub(early) else { continue };
            let found = moment_of(long_millis(moment));
            assert!(found <= moment && moment < found + Duration::from_millis(1), "{early:?}");
        }
    }

    #[test]
    fn the_longest_timeout_is_no_deadline() {
        assert_eq!(Deadline::after(Instant::now(), Duration::MAX), None);
        assert!(after(Instant::now(), Duration::MAX) > Instant::now());
    }
}

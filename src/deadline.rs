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

    /// A deadline that does not pass before the timeout has, but up to a millisecond later.
    pub(crate) fn not_before(now: Instant, timeout: Duration) -> Option<Self> {
        Self::after(now, timeout.saturating_add(Duration::from_millis(1)))
    }

    /// The time until the deadline. Zero if it has passed.
    pub(crate) fn left(self, now: Instant) -> Duration {
        // Half of the range is the past.
        let left = self.0.get().wrapping_sub(millis(now)).cast_signed();
        Duration::from_millis(u64::try_from(left).unwrap_or(0))
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

/// Milliseconds since the first call in this process. They wrap around after 49 days.
pub(crate) fn millis(moment: Instant) -> u32 {
    let time = since_start(moment);
    // Not by way of 128 bits: each read of a connection asks.
    (time.as_secs() as u32).wrapping_mul(1000).wrapping_add(time.subsec_millis())
}

// The system's clock, since a test may have moved tokio's.
static START: LazyLock<Instant> = LazyLock::new(|| Instant::from_std(std::time::Instant::now()));

/// The time since the first call in this process.
pub(crate) fn since_start(moment: Instant) -> Duration {
    moment.saturating_duration_since(*START)
}

/// The moment that is so long after the start.
pub(crate) fn moment_of(since_start: Duration) -> Instant {
    *START + since_start
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
    fn the_longest_timeout_is_no_deadline() {
        assert_eq!(Deadline::after(Instant::now(), Duration::MAX), None);
        assert!(after(Instant::now(), Duration::MAX) > Instant::now());
    }
}

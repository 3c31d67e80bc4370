use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

/// A moment to come, to the millisecond, in four bytes instead of sixteen: there is room for it in every idle session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tick(NonZeroU32);

/// The milliseconds begin again at 0 after 49 days. Half of them are to come.
const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 24);

impl Tick {
    /// `patience` from `now` on; `None` is never.
    pub(super) fn after(now: Instant, patience: Duration) -> Option<Self> {
        (patience < FAR).then(|| Self(NonZeroU32::MIN | millis(now + patience)))
    }

    /// How long it is until then. Zero if that was.
    pub(super) fn left(self, now: Instant) -> Duration {
        // Up to half of them are past.
        let left = self.0.get().wrapping_sub(millis(now)).cast_signed();
        Duration::from_millis(u64::try_from(left).unwrap_or(0))
    }
}

/// Milliseconds since the process first asked. They begin again at 0 after 49 days.
pub(super) fn millis(moment: Instant) -> u32 {
    // Not tokio's clock, which a test may have moved.
    static START: LazyLock<Instant> = LazyLock::new(|| Instant::from_std(std::time::Instant::now()));
    moment.saturating_duration_since(*START).as_millis() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_down_to_its_moment_and_no_further() {
        let now = Instant::now();
        let tick = Tick::after(now, Duration::from_secs(30)).expect("a moment");
        let (least, most) = (Duration::from_millis(9_998), Duration::from_millis(10_002));
        assert!((least..=most).contains(&tick.left(now + Duration::from_secs(20))));
        assert_eq!(tick.left(now + Duration::from_millis(30_002)), Duration::ZERO);
        assert_eq!(tick.left(now + Duration::from_secs(60 * 60 * 24 * 20)), Duration::ZERO);
    }

    #[test]
    fn the_milliseconds_may_begin_anew_on_the_way() {
        let turn = Instant::now() + Duration::from_millis(u64::from(u32::MAX));
        for early in [0, 1_000, 5_000] {
            let now = turn - Duration::from_millis(early);
            let left = Tick::after(now, Duration::from_secs(10)).expect("a moment").left(now);
            assert!(left.abs_diff(Duration::from_secs(10)) <= Duration::from_millis(2), "{left:?}");
        }
    }

    #[test]
    fn for_ever_is_never() {
        assert_eq!(Tick::after(Instant::now(), Duration::MAX), None);
    }
}

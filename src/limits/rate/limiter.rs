use super::Rate;
use crate::deadline::finite;

/// The generic cell rate algorithm (GCRA), as arithmetic without a clock and without state.
///
/// Each event costs one interval of time, and time that passes pays the cost off. What is not paid off yet is the debt. Callers
/// store the debt, or the moment at which it is paid off, in the unit that the constructor names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RateLimiter {
    /// The largest debt that is allowed: the period of the rate.
    burst: u64,
    /// What one event costs.
    interval: u64,
}

/// What a debt means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Within the rate.
    Allowed,
    /// Over the rate.
    Limited,
    /// Over the rate by more than a whole burst.
    Flood,
}

impl RateLimiter {
    /// Debts in microseconds. A period of more than half an hour counts as half an hour, so that debts fit into a `u32`.
    #[inline]
    pub(crate) fn in_micros(rate: Rate) -> Self {
        Self { burst: rate.micros.into(), interval: (rate.micros / rate.times).into() }
    }

    /// Debts in milliseconds.
    pub(crate) fn in_millis(rate: Rate) -> Self {
        let burst = finite(rate.per).as_millis() as u64;
        Self { burst, interval: burst / u64::from(rate.times) }
    }

    /// Debts in nanoseconds.
    pub(crate) fn in_nanos(rate: Rate) -> Self {
        // A year of nanoseconds fits.
        let burst = finite(rate.per).as_nanos() as u64;
        Self { burst, interval: burst / u64::from(rate.times) }
    }

    /// A limiter with `factor` times as many events in the same period.
    pub(crate) fn times(self, factor: u64) -> Self {
        Self { interval: self.interval / factor, ..self }
    }

    /// The debt after this many more events, whether or not they are allowed.
    #[inline]
    pub(crate) fn charge(self, debt: u64, events: u32) -> u64 {
        debt.saturating_add(self.interval.saturating_mul(events.into()))
    }

    #[inline]
    pub(crate) fn verdict(self, debt: u64) -> Verdict {
        match debt {
            debt if debt <= self.burst => Verdict::Allowed,
            debt if debt <= 2 * self.burst => Verdict::Limited,
            _ => Verdict::Flood,
        }
    }

    /// The debt after one more event, or `None` if the event is not allowed and costs nothing.
    pub(crate) fn allow(self, debt: u64) -> Option<u64> {
        let debt = self.charge(debt, 1);
        (self.verdict(debt) == Verdict::Allowed).then_some(debt)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_then_one_for_each_interval() {
        let rate = Rate::new(3, Duration::from_secs(3));
        for (limiter, second) in [
            (RateLimiter::in_millis(rate), 1_000),
            (RateLimiter::in_micros(rate), 1_000_000),
            (RateLimiter::in_nanos(rate), 1_000_000_000),
        ] {
            let mut debt = 0;
            for _ in 0..3 {
                debt = limiter.allow(debt).expect("a burst");
            }
            assert_eq!(debt, 3 * second);
            assert_eq!(limiter.allow(debt), None);
            assert_eq!(limiter.allow(debt - second + 1), None);
            assert_eq!(limiter.allow(debt - second), Some(debt));
        }
    }

    #[test]
    fn events_beyond_the_rate_are_limited_and_then_a_flood() {
        use Verdict::{Allowed, Flood, Limited};
        let limiter = RateLimiter::in_micros(Rate::new(2, Duration::from_secs(2)));
        let verdicts = [1, 2, 3, 4, 5].map(|events| limiter.verdict(limiter.charge(0, events)));
        assert_eq!(verdicts, [Allowed, Allowed, Limited, Limited, Flood]);
    }

    #[test]
    fn a_network_of_many_addresses_has_as_many_bursts() {
        let limiter = RateLimiter::in_nanos(Rate::new(3, Duration::from_secs(3))).times(16);
        let allowed = std::iter::successors(Some(0), |debt| limiter.allow(*debt)).count() - 1;
        assert_eq!(allowed, 3 * 16);
    }

    #[test]
    fn no_rate_overflows() {
        for rate in [Rate::new(1, Duration::MAX), Rate::new(u32::MAX, Duration::MAX)] {
            for limiter in
                [RateLimiter::in_millis(rate), RateLimiter::in_micros(rate), RateLimiter::in_nanos(rate)]
            {
                assert!(limiter.allow(0).is_some());
                let debt = limiter.charge(limiter.charge(u64::MAX, u32::MAX), u32::MAX);
                assert!(limiter.interval == 0 || limiter.verdict(debt) == Verdict::Flood);
            }
        }
    }
}

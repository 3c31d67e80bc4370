//! Rate limits: what is allowed ([`Rate`]), the arithmetic ([`RateLimiter`]) and a table by address ([`AddressRates`]).

mod addresses;
mod limiter;

use std::time::Duration;

pub(crate) use addresses::AddressRates;
pub(crate) use limiter::{RateLimiter, Verdict};

/// A rate limit: a number of events in a period.
///
/// All of them may come at once. After that one more is allowed each time that its share of the period has passed.
///
/// ```
/// use std::time::Duration;
///
/// use keywire::limits::Rate;
///
/// // Bursts of 20, 2/s sustained.
/// let rate = Rate::new(20, Duration::from_secs(10));
/// # let _ = rate;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    times: u32,
    per: Duration,
    /// `per` in microseconds, at most half an hour, so that twice as much fits into a `u32`.
    micros: u32,
}

impl Rate {
    /// `times` events in each `per`.
    ///
    /// # Panics
    ///
    /// If `times` is 0, or `per` is shorter than `times` nanoseconds.
    #[must_use]
    pub const fn new(times: u32, per: Duration) -> Self {
        assert!(
            times > 0 && per.as_nanos() >= times as u128,
            "`times` must be at least 1, and `per` at least `times` nanoseconds"
        );
        const MAX: u32 = 30 * 60 * 1_000_000;
        let micros = if per.as_micros() < MAX as u128 { per.as_micros() as u32 } else { MAX };
        Self { times, per, micros }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "`times` must be at least 1")]
    fn a_rate_of_zero_panics() {
        let _ = Rate::new(0, Duration::from_secs(1));
    }
}

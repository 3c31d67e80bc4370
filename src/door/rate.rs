use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::address::Address;

/// How often something may happen: a number of times in a time.
///
/// All of them may happen at once; then one more each time that its share of the time is over.
///
/// ```
/// use std::time::Duration;
///
/// use keywire::Rate;
///
/// // Twenty at once, and from then on one each half second.
/// let rate = Rate::new(20, Duration::from_secs(10));
/// # let _ = rate;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    times: u32,
    per: Duration,
    /// `per` in microseconds, or half an hour.
    micros: u32,
}

impl Rate {
    /// `times` in each `per`.
    ///
    /// # Panics
    ///
    /// When `times` is 0, or `per` is too short to be divided by it.
    #[must_use]
    pub const fn new(times: u32, per: Duration) -> Self {
        assert!(times > 0 && per.as_nanos() >= times as u128, "a rate is a number of times in a time");
        const MOST: u32 = 30 * 60 * 1_000_000;
        let micros = if per.as_micros() < MOST as u128 { per.as_micros() as u32 } else { MOST };
        Self { times, per, micros }
    }

    /// The time in microseconds, at most half an hour: where it is kept for each session. Twice as much is a `u32` too.
    pub(crate) fn micros(self) -> u32 {
        self.micros
    }

    /// The share of one of that.
    pub(crate) fn interval_micros(self) -> u32 {
        self.micros / self.times
    }

    /// The share of one.
    fn interval(self) -> Duration {
        self.per / self.times
    }
}

/// A rate for each address.
///
/// Of each address one moment is kept: when it would have used up all that it has used, at its rate (the generic
/// cell rate algorithm). An address whose moment is past is as good as one that never came, so it is forgotten.
#[derive(Debug)]
pub(super) struct Rates {
    rate: Rate,
    busy: Mutex<Busy>,
}

#[derive(Debug)]
struct Busy {
    until: HashMap<Address, Instant>,
    /// At this number the past ones are swept out. It follows the number of those that stay, so that sweeping
    /// costs each newcomer the same.
    sweep_at: usize,
}

/// What is kept takes about 4 MiB then.
const MOST: usize = 1 << 16;
const FEW: usize = 1 << 10;

impl Rates {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, busy: Mutex::new(Busy { until: HashMap::new(), sweep_at: FEW }) }
    }

    /// Whether once more is within the rate; if so, it counts.
    pub(super) fn allow(&self, address: Address) -> bool {
        let now = Instant::now();
        // Nothing in here panics half way through a change.
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let until = busy.until.get(&address).copied().unwrap_or(now).max(now);
        if until + self.rate.interval() > now + self.rate.per {
            return false;
        }
        if busy.until.len() >= busy.sweep_at {
            busy.sweep(now);
        }
        busy.until.insert(address, until + self.rate.interval());
        true
    }
}

impl Busy {
    fn sweep(&mut self, now: Instant) {
        self.until.retain(|_, until| *until > now);
        if self.until.len() >= MOST {
            // So many at the same time are an attack that no limit for an address can stop. To refuse newcomers
            // would help it, and to let them in uncounted would be a way around the limit.
            tracing::warn!(addresses = self.until.len(), "too many addresses to remember, begins anew");
            self.until.clear();
        }
        self.until.shrink_to(FEW);
        self.sweep_at = (self.until.len() * 2).clamp(FEW, MOST);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;

    fn address(number: u32) -> Address {
        SocketAddr::from((Ipv4Addr::from_bits(number), 0)).into()
    }

    fn kept(rates: &Rates) -> usize {
        rates.busy.lock().unwrap().until.len()
    }

    #[tokio::test(start_paused = true)]
    async fn all_at_once_then_one_by_one() {
        let rates = Rates::new(Rate::new(3, Duration::from_secs(3)));
        let allowed = |number| (0..10).filter(|_| rates.allow(address(number))).count();
        assert_eq!((allowed(1), allowed(2)), (3, 3));
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(allowed(1), 0);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(allowed(1), 1);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!((allowed(1), allowed(2)), (2, 3));
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(allowed(1), 3, "nothing is saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn the_past_is_swept_out_when_others_come() {
        let rates = Rates::new(Rate::new(1, Duration::from_secs(1)));
        for round in 0..50 {
            for number in 0..FEW as u32 {
                assert!(rates.allow(address(round * FEW as u32 + number)));
            }
            assert!(kept(&rates) <= FEW, "{}", kept(&rates));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(rates.busy.lock().unwrap().until.capacity() <= 4 * FEW);
    }

    #[tokio::test(start_paused = true)]
    async fn many_addresses_at_once_do_not_grow_it_without_end() {
        let rates = Rates::new(Rate::new(1, Duration::from_secs(1)));
        for number in 0..3 * MOST as u32 {
            assert!(rates.allow(address(number)));
        }
        assert!(kept(&rates) <= MOST, "{}", kept(&rates));
        // Whoever came last is still known.
        assert!(!rates.allow(address(3 * MOST as u32 - 1)));
    }

    #[test]
    #[should_panic(expected = "a number of times in a time")]
    fn never_is_no_rate() {
        let _ = Rate::new(0, Duration::from_secs(1));
    }
}

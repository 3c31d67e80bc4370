use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::address::{Address, Network};
use super::crowd;
use crate::moment::after;

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
}

/// A rate for each address, and for the networks that it is in.
///
/// Of each network one moment is kept: when it would have used up all that it has used, at its rate (the generic
/// cell rate algorithm). A network whose moment is past is as good as one that never came, so it is forgotten.
#[derive(Debug)]
pub(super) struct Rates {
    rate: Rate,
    busy: Mutex<Busy>,
}

#[derive(Debug)]
struct Busy {
    until: HashMap<Network, Instant>,
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
        let latest = after(now, self.rate.per);
        let interval = (latest - now) / self.rate.times;
        // A network that counts as several addresses uses up its time as many times more slowly.
        let uses = || address.networks().map(|(network, addresses)| (network, interval / addresses as u32));
        // Nothing in here panics half way through a change.
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if uses().any(|(network, interval)| busy.until(network, now) + interval > latest) {
            return false;
        }
        if busy.until.len() >= busy.sweep_at {
            busy.sweep(now);
        }
        for (network, interval) in uses() {
            let until = busy.until(network, now) + interval;
            busy.until.insert(network, until);
        }
        true
    }
}

impl Busy {
    fn until(&self, network: Network, now: Instant) -> Instant {
        self.until.get(&network).map_or(now, |until| now.max(*until))
    }

    fn sweep(&mut self, now: Instant) {
        self.until.retain(|_, until| *until > now);
        // A quarter is left free at least, or the next newcomers would each cost a sweep.
        if self.until.len() > MOST / 4 * 3 {
            tracing::warn!(
                networks = self.until.len(),
                "too many addresses to remember, forgets some of the most crowded networks"
            );
            let entries = mem::take(&mut self.until).into_iter().collect();
            self.until = crowd::thin(entries, MOST / 2).into_iter().collect();
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

    fn v6(provider: u32, customer: u16, network: u16) -> Address {
        let bits = u128::from(provider) << 96 | u128::from(customer) << 80 | u128::from(network) << 64 | 1;
        SocketAddr::from((std::net::Ipv6Addr::from_bits(bits), 0)).into()
    }

    /// What clients elsewhere have used up stays used up, and others still get in.
    async fn who_attacks_makes_nobody_forget(attack: impl FnOnce(&Rates)) {
        let rates = Rates::new(Rate::new(3, Duration::from_secs(86_400)));
        let users = [address(1), v6(0x2001_0db9, 1, 1)];
        for user in users {
            assert_eq!((0..9).filter(|_| rates.allow(user)).count(), 3);
        }
        // Debts that are larger, since they are newer.
        tokio::time::advance(Duration::from_secs(60)).await;
        attack(&rates);
        assert!(kept(&rates) <= MOST + 2, "{}", kept(&rates));
        assert!(users.iter().all(|user| !rates.allow(*user)), "forgotten");
        for newcomer in [address(2), v6(0x2001_0db9, 2, 1)] {
            assert_eq!((0..9).filter(|_| rates.allow(newcomer)).count(), 3);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_a_48_makes_nobody_forget() {
        who_attacks_makes_nobody_forget(|rates| {
            let attacks = (0..2).flat_map(|_| 0..=u16::MAX).map(|network| v6(0x2001_0db8, 7, network));
            let allowed = attacks.filter(|address| rates.allow(*address)).count();
            assert_eq!(allowed, 256 * 3, "a /48 counts as 256 addresses");
            // Nor has one of its neighbours.
            assert!(rates.allow(v6(0x2001_0db8, 8, 1)));
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_a_56_counts_as_16_addresses() {
        who_attacks_makes_nobody_forget(|rates| {
            let attacks = (0..=0xff).map(|network| v6(0x2001_0db8, 7, network));
            assert_eq!(attacks.filter(|address| rates.allow(*address)).count(), 16 * 3);
            assert!(rates.allow(v6(0x2001_0db8, 7, 0x100)));
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_a_32_makes_nobody_forget() {
        who_attacks_makes_nobody_forget(|rates| {
            for customer in 0..=u16::MAX {
                // All that the address may.
                while rates.allow(v6(0x2001_0db8, customer, customer)) {}
            }
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn whose_address_is_not_known_counts_as_one() {
        let rates = Rates::new(Rate::new(3, Duration::from_secs(3)));
        assert_eq!((0..9).filter(|_| rates.allow(Address::UNKNOWN)).count(), 3);
        assert!(rates.allow(address(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn any_time_is_good() {
        for (times, per) in [(2, Duration::MAX), (2, Duration::from_nanos(2)), (u32::MAX, Duration::MAX)] {
            let rates = Rates::new(Rate::new(times, per));
            for address in [address(1), v6(1, 1, 1)] {
                assert!(rates.allow(address) && rates.allow(address));
                assert_eq!(rates.allow(address), times > 2, "{times} in {per:?}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "a number of times in a time")]
    fn never_is_no_rate() {
        let _ = Rate::new(0, Duration::from_secs(1));
    }
}

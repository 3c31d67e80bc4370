//! Choice of the connections that end when all permits are in use.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use tokio::time::Instant;

use super::activity::Waits;
use crate::limits::Address;

/// A connection that holds a permit.
pub(super) struct Holder {
    pub(super) address: Option<Address>,
    pub(super) waits: Waits,
    pub(super) since: Instant,
}

/// Chooses the holders that end for new connections from these addresses. Returns their indices.
///
/// Idle holders end first: those without a request so far, then the longest idle. After them, a newcomer replaces the request that
/// has waited longest for its client, of the address with the most permits, if that address holds more than the newcomer's would. The
/// same is then done by network.
pub(super) fn choose(holders: &[Holder], newcomers: &[Option<Address>], settled: Instant) -> Vec<usize> {
    let mut chosen = idle(holders, settled);
    chosen.truncate(newcomers.len());
    let mut rest = newcomers[chosen.len()..].to_vec();
    for group in [|address: Address| address, Address::network] {
        let mut shares = Shares::new(holders, &chosen, group);
        rest.retain(|newcomer| match shares.yield_to(newcomer.map(group)) {
            Some(index) => {
                chosen.push(index);
                false
            }
            None => true,
        });
    }
    chosen
}

/// The holders that have been idle since `settled` or longer, in the order in which they end.
pub(super) fn idle(holders: &[Holder], settled: Instant) -> Vec<usize> {
    let mut idle: Vec<_> = holders
        .iter()
        .enumerate()
        .filter(|(_, holder)| holder.since <= settled)
        .filter_map(|(index, holder)| match holder.waits {
            Waits::Idle { is_fresh } => Some((!is_fresh, holder.since, index)),
            Waits::Client | Waits::Service => None,
        })
        .collect();
    idle.sort_unstable();
    idle.into_iter().map(|(.., index)| index).collect()
}

/// Permits of each address or network.
struct Shares(HashMap<Option<Address>, Share>);

#[derive(Default)]
struct Share {
    held: usize,
    /// Requests that wait for their client. The longest wait is last.
    waiting: Vec<(Reverse<Instant>, usize)>,
}

impl Shares {
    fn new(holders: &[Holder], chosen: &[usize], group: fn(Address) -> Address) -> Self {
        let gone: HashSet<_> = chosen.iter().copied().collect();
        let mut shares = HashMap::<_, Share>::new();
        for (index, holder) in holders.iter().enumerate().filter(|(index, _)| !gone.contains(index)) {
            let share = shares.entry(holder.address.map(group)).or_default();
            share.held += 1;
            if holder.waits == Waits::Client {
                share.waiting.push((Reverse(holder.since), index));
            }
        }
        for share in shares.values_mut() {
            share.waiting.sort_unstable();
        }
        Self(shares)
    }

    /// The holder that ends for a new connection. Its address must hold more permits than the new connection's address would.
    fn yield_to(&mut self, newcomer: Option<Address>) -> Option<usize> {
        let own = self.0.get(&newcomer).map_or(0, |share| share.held);
        let more = self.0.values_mut().filter(|share| share.held > own + 1 && !share.waiting.is_empty());
        let largest = more.max_by_key(|share| share.held)?;
        let (_, index) = largest.waiting.pop()?;
        largest.held -= 1;
        self.0.entry(newcomer).or_default().held += 1;
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;

    const SERVICE: Waits = Waits::Service;
    const CLIENT: Waits = Waits::Client;
    const KEPT: Waits = Waits::Idle { is_fresh: false };
    const FRESH: Waits = Waits::Idle { is_fresh: true };

    const NOBODY: [usize; 0] = [];

    fn address(text: &str) -> Option<Address> {
        (!text.is_empty()).then(|| Address::from(SocketAddr::new(text.parse().unwrap(), 1)))
    }

    /// Chooses among holders that have been in their state for a number of seconds. A state is settled after 2 s.
    fn chosen(holders: &[(&str, Waits, u64)], newcomers: &[&str]) -> Vec<usize> {
        let now = Instant::now() + Duration::from_secs(1000);
        let holders: Vec<_> = holders
            .iter()
            .map(|&(text, waits, secs)| Holder {
                address: address(text),
                waits,
                since: now - Duration::from_secs(secs),
            })
            .collect();
        let newcomers: Vec<_> = newcomers.iter().map(|text| address(text)).collect();
        choose(&holders, &newcomers, now - Duration::from_secs(2))
    }

    #[test]
    fn the_longest_idle_gives_way_to_anybody() {
        let holders =
            [("10.0.0.1", KEPT, 5), ("10.0.0.2", KEPT, 9), ("10.0.0.3", SERVICE, 99), ("", KEPT, 7)];
        assert_eq!(chosen(&holders, &["10.0.0.1"]), [1]);
        assert_eq!(chosen(&holders, &["10.0.0.1", "10.0.0.9"]), [1, 3]);
        assert_eq!(chosen(&holders, &["", "", "", ""]), [1, 3, 0]);
        assert_eq!(chosen(&holders, &[]), NOBODY);
    }

    #[test]
    fn a_silent_connection_gives_way_first_but_has_a_moment_to_speak() {
        assert_eq!(chosen(&[("", KEPT, 9), ("", FRESH, 3)], &[""]), [1]);
        assert_eq!(chosen(&[("", KEPT, 1), ("", FRESH, 1)], &[""]), NOBODY);
    }

    #[test]
    fn who_holds_more_gives_way_with_what_waits_for_it() {
        let much = "192.0.2.1";
        let holders = [(much, CLIENT, 1), (much, CLIENT, 8), (much, SERVICE, 99), ("10.0.0.2", CLIENT, 50)];
        assert_eq!(chosen(&holders, &["10.0.0.9"]), [1]);
        assert_eq!(chosen(&holders, &["10.0.0.2"]), [1]);
        assert_eq!(chosen(&holders, &["10.0.0.2", "10.0.0.2"]), [1]);
        assert_eq!(chosen(&holders, &["10.0.0.8", "10.0.0.9", "10.0.0.10"]), [1, 0]);
        assert_eq!(chosen(&holders, &[much]), NOBODY, "not to itself");
        assert_eq!(chosen(&[(much, SERVICE, 99); 4], &["10.0.0.9"]), NOBODY, "work is not cut");
        assert_eq!(chosen(&[("", CLIENT, 99); 4], &[""]), NOBODY, "where there are no addresses");
    }

    #[test]
    fn an_ipv6_address_is_a_network_and_many_networks_are_one_too() {
        let same = [("2001:db8:0:1::1", CLIENT, 3), ("2001:db8:0:1::2", CLIENT, 4)];
        assert_eq!(chosen(&same, &["2001:db8:0:1::3"]), NOBODY);
        assert_eq!(chosen(&same, &["2001:db8:9:1::3"]), [1]);
        let spread = [("2001:db8:0:1::1", CLIENT, 3), ("2001:db8:0:2::1", CLIENT, 4)];
        assert_eq!(chosen(&spread, &["2001:db8:9:1::3"]), [1]);
        let spread = [("192.0.2.1", CLIENT, 3), ("192.0.2.2", CLIENT, 4)];
        assert_eq!(chosen(&spread, &["198.51.100.1", "198.51.100.2"]), [1]);
    }
}

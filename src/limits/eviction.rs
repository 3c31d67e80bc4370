//! Eviction from the table of address rates when it is full.

use std::cmp::Reverse;

use tokio::time::Instant;

use super::address::Network;

/// Reduces the entries to this number.
///
/// Each provider's network keeps an equal share, and within it each customer's network does. A network with fewer entries keeps
/// all, and the others divide the rest of its share. So an attacker that fills the table from its own networks evicts its own
/// entries. Within a network the entries with the greatest debt stay.
pub(super) fn evict(mut entries: Vec<(Network, Instant)>, most: usize) -> Vec<(Network, Instant)> {
    // Makes the networks of every length neighbours.
    entries.sort_unstable_by_key(|(network, _)| *network);
    let mut kept = Vec::with_capacity(most);
    keep(&mut entries, most, &[Network::of_provider, Network::of_customer], &mut kept);
    kept
}

fn keep(
    entries: &mut [(Network, Instant)],
    most: usize,
    levels: &[fn(Network) -> u128],
    kept: &mut Vec<(Network, Instant)>,
) {
    if entries.len() <= most {
        return kept.extend_from_slice(entries);
    }
    let mut groups: Vec<_> = match levels.first() {
        Some(level) => entries.chunk_by_mut(|(a, _), (b, _)| level(*a) == level(*b)).collect(),
        None => Vec::new(),
    };
    // A share of less than one entry cannot be divided.
    if groups.is_empty() || groups.len() > most {
        entries.sort_unstable_by_key(|(_, until)| Reverse(*until));
        return kept.extend_from_slice(&entries[..most]);
    }
    groups.sort_unstable_by_key(|group| group.len());
    let end = kept.len() + most;
    let number = groups.len();
    for (before, group) in groups.into_iter().enumerate() {
        let share = (end - kept.len()) / (number - before);
        keep(group, share, &levels[1..], kept);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::super::address::Address;
    use super::*;

    fn entry(address: &str, debt: u64) -> (Network, Instant) {
        let address = Address::from(address.parse::<SocketAddr>().unwrap());
        (address.networks().next().unwrap().0, Instant::now() + Duration::from_secs(debt))
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_evicts_itself() {
        let crowd = |count: u64| (0..count).map(|n| entry(&format!("[2001:db8:{n:x}::1]:1"), 9));
        let others = [
            entry("192.0.2.1:1", 1),
            entry("[2001:db9::1]:1", 1),
            // A customer of the same provider as the crowd.
            entry("[2001:db8:ffff:1::1]:1", 1),
        ];
        let kept = evict(crowd(100).chain(others).collect(), 30);
        assert_eq!(kept.len(), 30);
        assert!(kept.contains(&others[0]) && kept.contains(&others[1]));

        // A customer with many networks has no more than another.
        let crowd = (0..100).map(|n| entry(&format!("[2001:db8:1:{n:x}::1]:1"), 9));
        let kept = evict(crowd.chain(others).collect(), 30);
        assert!(others.iter().all(|other| kept.contains(other)));
        assert_eq!(kept.len(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn the_greatest_debts_stay() {
        let entries: Vec<_> = (0..50).map(|n| entry(&format!("192.0.2.{n}:1"), n)).collect();
        let kept = evict(entries.clone(), 20);
        assert_eq!(kept.len(), 20);
        assert!(entries[30..].iter().all(|entry| kept.contains(entry)));
        assert_eq!(evict(entries, 60).len(), 50);
        // More networks than may stay.
        let entries: Vec<_> = (0..50).map(|n| entry(&format!("{n}.0.2.1:1"), n)).collect();
        let kept = evict(entries.clone(), 20);
        assert!(entries[30..].iter().all(|entry| kept.contains(entry)) && kept.len() == 20);
    }
}

use std::net::{Ipv4Addr, SocketAddr};

use super::*;

fn address(number: u32) -> Address {
    SocketAddr::from((Ipv4Addr::from_bits(number), 0)).into()
}

fn kept(rates: &AddressRates) -> usize {
    rates.debts.lock().unwrap().paid_off.len()
}

#[tokio::test(start_paused = true)]
async fn all_at_once_then_one_by_one() {
    let rates = AddressRates::new(Rate::new(3, Duration::from_secs(3)));
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
    let rates = AddressRates::new(Rate::new(1, Duration::from_secs(1)));
    for round in 0..50 {
        for number in 0..MIN as u32 {
            assert!(rates.allow(address(round * MIN as u32 + number)));
        }
        assert!(kept(&rates) <= MIN, "{}", kept(&rates));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!(rates.debts.lock().unwrap().paid_off.capacity() <= 4 * MIN);
}

#[tokio::test(start_paused = true)]
async fn many_addresses_at_once_do_not_grow_it_without_end() {
    let rates = AddressRates::new(Rate::new(1, Duration::from_secs(1)));
    for number in 0..3 * MAX as u32 {
        assert!(rates.allow(address(number)));
    }
    assert!(kept(&rates) <= MAX, "{}", kept(&rates));
    // Whoever came last is still known.
    assert!(!rates.allow(address(3 * MAX as u32 - 1)));
}

fn v6(provider: u32, customer: u16, network: u16) -> Address {
    let bits = u128::from(provider) << 96 | u128::from(customer) << 80 | u128::from(network) << 64 | 1;
    SocketAddr::from((std::net::Ipv6Addr::from_bits(bits), 0)).into()
}

/// What clients elsewhere have used up stays used up, and others still get in.
async fn who_attacks_makes_nobody_forget(attack: impl FnOnce(&AddressRates)) {
    let rates = AddressRates::new(Rate::new(3, Duration::from_secs(86_400)));
    let users = [address(1), v6(0x2001_0db9, 1, 1)];
    for user in users {
        assert_eq!((0..9).filter(|_| rates.allow(user)).count(), 3);
    }
    // Debts that are larger, since they are newer.
    tokio::time::advance(Duration::from_secs(60)).await;
    attack(&rates);
    assert!(kept(&rates) <= MAX + 2, "{}", kept(&rates));
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
    let rates = AddressRates::new(Rate::new(3, Duration::from_secs(3)));
    assert_eq!((0..9).filter(|_| rates.allow(Address::UNKNOWN)).count(), 3);
    assert!(rates.allow(address(1)));
}

#[tokio::test(start_paused = true)]
async fn any_time_is_good() {
    for (times, per) in [(2, Duration::MAX), (2, Duration::from_nanos(2)), (u32::MAX, Duration::MAX)] {
        let rates = AddressRates::new(Rate::new(times, per));
        for address in [address(1), v6(1, 1, 1)] {
            assert!(rates.allow(address) && rates.allow(address));
            assert_eq!(rates.allow(address), times > 2, "{times} in {per:?}");
        }
    }
}

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The address of one client, as the limits count it: an IPv4 address, or the /64 of an IPv6 address.
///
/// A provider gives a customer at least a /64, so a client with one IPv6 address has 2^64 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address(u128);

/// An [`Address`], or a larger IPv6 network around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Network(u128);

/// The prefix lengths of the counted networks, and how many addresses each network counts as.
///
/// Some providers give a /56 or a /48 to one customer, others put 256 or 65,536 customers into one. So a larger network
/// counts as the square root of the number of its /64s.
const NETWORKS: [(u32, u32); 3] = [(64, 1), (56, 16), (48, 256)];

impl Address {
    /// The one address of all clients whose address a proxy hides.
    pub(super) const UNKNOWN: Self = Self(u128::MAX);

    /// The networks around the address, smallest first, and how many addresses each counts as.
    pub(super) fn networks(self) -> impl Iterator<Item = (Network, usize)> {
        let counted = if self.is_v6() { &NETWORKS[..] } else { &NETWORKS[..1] };
        // The bits after the /64 are free, and hold the number of the prefix length.
        let networks = counted.iter().zip(0u128..);
        networks.map(move |(&(length, addresses), number)| {
            let bits = if self.is_v6() { self.0 & prefix(length) | number } else { self.0 };
            (Network(bits), addresses as usize)
        })
    }

    fn is_v6(self) -> bool {
        self.0 & !prefix(64) == 0
    }
}

impl From<SocketAddr> for Address {
    fn from(peer: SocketAddr) -> Self {
        // A dual-stack socket shows IPv4 as IPv4-mapped IPv6, all of it in one /64.
        match peer.ip().to_canonical() {
            IpAddr::V4(v4) => Self(v4.to_ipv6_mapped().to_bits()),
            IpAddr::V6(v6) => Self(Ipv6Addr::to_bits(v6) & prefix(64)),
        }
    }
}

impl Network {
    /// The network of a provider around this one: a /32, for IPv4 a /16.
    pub(super) fn of_provider(self) -> u128 {
        self.0 & prefix(if self.is_v4() { 96 + 16 } else { 32 })
    }

    /// The network of the largest customer around this one: a /48, for IPv4 a /24.
    pub(super) fn of_customer(self) -> u128 {
        self.0 & prefix(if self.is_v4() { 96 + 24 } else { 48 })
    }

    fn is_v4(self) -> bool {
        self.0 >> 32 == 0xffff
    }
}

/// A mask of the first `length` bits.
const fn prefix(length: u32) -> u128 {
    !0 << (128 - length)
}

#[cfg(feature = "serve")]
impl Address {
    /// The network of a site around the address: a /24 of IPv4, or a /48 of IPv6.
    pub(crate) fn network(self) -> Self {
        let is_v4 = Ipv6Addr::from_bits(self.0).to_ipv4_mapped().is_some();
        Self(self.0 & if is_v4 { !0 << 8 } else { !0 << 80 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::from(text.parse::<SocketAddr>().unwrap())
    }

    #[test]
    fn which_addresses_count_as_one() {
        for (one, other, same) in [
            ("192.0.2.1:1", "192.0.2.1:2", true),
            ("192.0.2.1:1", "192.0.2.2:1", false),
            ("192.0.2.1:1", "[::ffff:192.0.2.1]:9", true),
            ("192.0.2.1:1", "[::ffff:192.0.2.2]:1", false),
            ("[2001:db8:0:1::1]:1", "[2001:db8:0:1:ffff:ffff:ffff:ffff]:2", true),
            ("[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:1", false),
            ("[::1]:1", "0.0.0.1:1", false),
        ] {
            assert_eq!(address(one) == address(other), same, "{one} {other}");
        }
    }

    #[test]
    fn larger_networks_count_as_several_addresses() {
        let shared = |one: &str, other: &str| -> Vec<_> {
            let others: Vec<_> = address(other).networks().collect();
            address(one)
                .networks()
                .filter(|network| others.contains(network))
                .map(|(_, count)| count)
                .collect()
        };
        for (one, other, counts) in [
            ("[2001:db8:1:203::1]:1", "[2001:db8:1:203::2]:1", &[1, 16, 256][..]),
            ("[2001:db8:1:203::1]:1", "[2001:db8:1:2ff::1]:1", &[16, 256]),
            ("[2001:db8:1:203::1]:1", "[2001:db8:1:303::1]:1", &[256]),
            ("[2001:db8:1:203::1]:1", "[2001:db8:2:203::1]:1", &[]),
            ("192.0.2.1:1", "192.0.2.1:2", &[1]),
            ("192.0.2.1:1", "192.0.2.2:1", &[]),
            ("[::1]:1", "0.0.0.1:1", &[]),
        ] {
            assert_eq!(shared(one, other), counts, "{one} {other}");
        }
        assert_eq!(Address::UNKNOWN.networks().count(), 1);
        // A network is never taken for one of another length.
        let zero = address("[::1]:1").networks().map(|(network, _)| network);
        assert_eq!(zero.collect::<std::collections::HashSet<_>>().len(), 3);
    }

    #[test]
    fn networks_around_an_address() {
        let networks = |text: &str| {
            let (network, _) = address(text).networks().next().unwrap();
            [network.of_provider(), network.of_customer()].map(|bits| Ipv6Addr::from_bits(bits).to_string())
        };
        assert_eq!(networks("[2001:db8:1:2::3]:1"), ["2001:db8::", "2001:db8:1::"]);
        assert_eq!(networks("192.0.2.1:1"), ["::ffff:192.0.0.0", "::ffff:192.0.2.0"]);
    }
}

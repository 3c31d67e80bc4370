use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Whom a limit counts as one: an IPv4 address, or the network of an IPv6 address.
///
/// The least that a provider gives to a customer is a /64, so whoever has one IPv6 address has 2^64 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Address(u128);

const NETWORK: u128 = !0 << 64;

impl From<SocketAddr> for Address {
    fn from(peer: SocketAddr) -> Self {
        // A socket for both versions shows IPv4 as a part of IPv6, all of it in one /64.
        match peer.ip().to_canonical() {
            IpAddr::V4(v4) => Self(v4.to_ipv6_mapped().to_bits()),
            IpAddr::V6(v6) => Self(Ipv6Addr::to_bits(v6) & NETWORK),
        }
    }
}

#[cfg(feature = "serve")]
impl Address {
    /// The network that it is a part of: a /24 of IPv4, or a /48 of IPv6, which is what a site gets.
    pub(crate) fn network(self) -> Self {
        let is_v4 = Ipv6Addr::from_bits(self.0).to_ipv4_mapped().is_some();
        Self(self.0 & if is_v4 { !0 << 8 } else { !0 << 80 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_counts_as_one() {
        let address = |text: &str| Address::from(text.parse::<SocketAddr>().unwrap());
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
}

use std::net::{IpAddr, SocketAddr};

/// Where a request comes from, as an extension of it.
///
/// `keywire::serve` gives it to each request, and keywire's adapters look for it. In filters and handlers of your own it
/// is `warp::ext::optional::<keywire::adapter::PeerAddr>()`, where `warp::addr::remote()` knows only of warp's own server, or
/// `Option<axum::Extension<keywire::adapter::PeerAddr>>`. A server of your own may set it as well.
///
/// It is the address of the socket, so of the proxy if there is one. [`Session::peer`](crate::Session::peer) is past
/// the proxies that are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

/// An address in 20 bytes, for what each session keeps. Leaves out the scope and the flow of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CompactPeer {
    ip: Ip,
    port: u16,
}

/// Unlike [`IpAddr`] it is not aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ip {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl From<SocketAddr> for CompactPeer {
    fn from(peer: SocketAddr) -> Self {
        let ip = match peer.ip() {
            IpAddr::V4(ip) => Ip::V4(ip.octets()),
            IpAddr::V6(ip) => Ip::V6(ip.octets()),
        };
        Self { ip, port: peer.port() }
    }
}

impl From<CompactPeer> for SocketAddr {
    fn from(CompactPeer { ip, port }: CompactPeer) -> Self {
        match ip {
            Ip::V4(octets) => (octets, port).into(),
            Ip::V6(octets) => (octets, port).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stays_the_same() {
        for peer in ["127.0.0.1:8090", "[2001:db8::1]:443", "[::ffff:10.0.0.1]:1"] {
            let peer: SocketAddr = peer.parse().unwrap();
            assert_eq!(SocketAddr::from(CompactPeer::from(peer)), peer);
        }
        assert_eq!(size_of::<Option<CompactPeer>>(), 20);
    }
}

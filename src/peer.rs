use std::net::{IpAddr, SocketAddr};

/// The address of the socket that a request came from, as an extension of the request.
///
/// `keywire::serve` adds it to each request, and keywire's adapters read it. Your own warp filters read it by
/// `warp::ext::optional::<keywire::adapter::PeerAddr>()` (`warp::addr::remote()` works only in warp's own server), and axum handlers
/// by `Option<axum::Extension<keywire::adapter::PeerAddr>>`. Another server may add it too.
///
/// Behind a proxy it is the proxy's address. [`Session::peer`](crate::Session::peer) is the client's, behind trusted proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

/// An address in 20 bytes, since each session stores one. It omits the scope and the flow of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CompactPeer {
    ip: Ip,
    port: u16,
}

/// An [`IpAddr`] without alignment.
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

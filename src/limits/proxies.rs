use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};
use ipnet::{IpNet, Ipv4Net};

use super::forwarded;

/// Proxies whose header tells the client's address.
///
/// A server behind a proxy sees the proxy's address. The proxy appends the client's address to a header, after whatever the
/// header contains already, which may be forged by the client. So the header is read from its end. While an address is that of
/// a trusted proxy, the address before it is trusted too. The first address that is not a trusted proxy's is the client's, see
/// [`Session::peer`](crate::Session::peer). An unreadable address never makes another address the client's:
///
/// | the header | the peer |
/// |---|---|
/// | contains an address that is not a trusted proxy's | that address, whatever precedes it |
/// | contains something else in that place: `unknown`, a hidden name, no address | `None` |
/// | contains only addresses of trusted proxies | the first of them: the client is in a trusted network |
/// | is empty | `None` |
/// | is missing | the address of the connection: the request comes from the proxy's machine itself |
///
/// List the addresses of the proxies, not a network that contains clients: every client in it could forge its address. Make
/// sure that each proxy writes the header, or all its clients have its address.
///
/// Clients whose peer is `None` count as one address for [`Limits`](crate::limits::Limits). Empty elements of the list are ignored
/// (RFC 9110, section 5.6.1.2), several lines are one list, and an IPv4-mapped IPv6 address is an IPv4 address.
///
/// Only the header that the proxies write is read. The other header would come from the client alone. A proxy often writes no
/// port; the port is 0 then.
///
/// ```
/// use keywire::limits::TrustedProxies;
///
/// // nginx on this machine, with `proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`
/// let proxies = TrustedProxies::x_forwarded_for(["127.0.0.1", "::1"])?;
/// # let _ = proxies;
/// # Ok::<(), keywire::limits::InvalidNetwork>(())
/// ```
#[derive(Debug, Clone)]
pub struct TrustedProxies {
    header: Header,
    networks: Vec<IpNet>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    Forwarded,
    XForwardedFor,
}

/// A string that is neither an address nor a network such as `10.0.0.0/8`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address nor a network")]
pub struct InvalidNetwork(Box<str>);

impl TrustedProxies {
    /// No trusted proxies: the peer is the address of the connection. The default.
    #[must_use]
    pub fn none() -> Self {
        Self { header: Header::Forwarded, networks: Vec::new() }
    }

    /// Proxies that write the header `Forwarded` (RFC 7239), with these addresses or in these networks.
    ///
    /// # Errors
    ///
    /// If a string is neither an address nor a network, or is an IPv4-mapped network larger than all of IPv4.
    pub fn forwarded<T: AsRef<str>>(networks: impl IntoIterator<Item = T>) -> Result<Self, InvalidNetwork> {
        Self::new(Header::Forwarded, networks)
    }

    /// Proxies that write the header `X-Forwarded-For`, with these addresses or in these networks.
    ///
    /// # Errors
    ///
    /// If a string is neither an address nor a network, or is an IPv4-mapped network larger than all of IPv4.
    pub fn x_forwarded_for<T: AsRef<str>>(
        networks: impl IntoIterator<Item = T>,
    ) -> Result<Self, InvalidNetwork> {
        Self::new(Header::XForwardedFor, networks)
    }

    fn new<T: AsRef<str>>(
        header: Header,
        networks: impl IntoIterator<Item = T>,
    ) -> Result<Self, InvalidNetwork> {
        let networks = networks.into_iter().map(|text| network(text.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { header, networks })
    }

    /// The client of a request that arrived from `peer`. `None` if a trusted proxy does not tell it.
    pub(crate) fn resolve(&self, peer: SocketAddr, headers: &HeaderMap) -> Option<SocketAddr> {
        let peer = canonical(peer);
        if !self.trust(peer) {
            return Some(peer);
        }
        let (name, read) = self.header.reader();
        let mut client = if headers.contains_key(&name) { None } else { Some(peer) };
        for hop in headers.get_all(name).into_iter().rev().flat_map(|line| read(line.as_bytes())) {
            client = hop;
            if !hop.is_some_and(|hop| self.trust(hop)) {
                break;
            }
        }
        if client.is_none() {
            tracing::debug!(proxy = %peer, "a proxy does not tell the client's address");
        }
        client
    }

    /// Whether any proxy is trusted.
    pub(super) fn are_named(&self) -> bool {
        !self.networks.is_empty()
    }

    fn trust(&self, address: SocketAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address.ip()))
    }
}

/// Reads the addresses in one line, last first, with `None` in place of an unreadable one.
type Reader = fn(&[u8]) -> Box<dyn Iterator<Item = Option<SocketAddr>> + '_>;

impl Header {
    fn reader(self) -> (HeaderName, Reader) {
        match self {
            Self::Forwarded => (header::FORWARDED, |line| Box::new(forwarded::forwarded(line))),
            Self::XForwardedFor => {
                let name = HeaderName::from_static("x-forwarded-for");
                (name, |line| Box::new(forwarded::x_forwarded_for(line)))
            }
        }
    }
}

/// A dual-stack socket shows IPv4 as IPv4-mapped IPv6.
fn canonical(peer: SocketAddr) -> SocketAddr {
    match peer.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::new(v4.into(), peer.port()),
        // Keeps the scope.
        IpAddr::V6(_) => peer,
    }
}

impl Default for TrustedProxies {
    fn default() -> Self {
        Self::none()
    }
}

fn network(text: &str) -> Result<IpNet, InvalidNetwork> {
    let network = text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse::<IpNet>());
    network.ok().and_then(ipv4_as_such).ok_or_else(|| InvalidNetwork(text.into()))
}

/// Turns an IPv4-mapped network into an IPv4 network, since peers are compared in that form. `None` if it is larger than all of
/// IPv4, which must be a mistake.
fn ipv4_as_such(network: IpNet) -> Option<IpNet> {
    let IpNet::V6(v6) = network else { return Some(network) };
    let Some(v4) = v6.addr().to_ipv4_mapped() else { return Some(network) };
    let length = v6.prefix_len().checked_sub(96)?;
    Ipv4Net::new(v4, length).ok().map(IpNet::V4)
}

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};
use ipnet::{IpNet, Ipv4Net};

use super::forwarded;

/// Proxies that are believed about where a client comes from.
///
/// A server behind a proxy sees the proxy's address. The proxy writes down the client's in a header, behind what
/// is there already, which may be the client's invention. So the header is read from its end: as long as an
/// address is a trusted proxy's, the one in front of it is believed, and the first that is not is the client,
/// [`Session::peer`](crate::Session::peer). An address is never taken for the client's only because another one cannot be
/// read:
///
/// | the header | the peer |
/// |---|---|
/// | names an address that is not a trusted proxy's | that address, whatever stands in front of it |
/// | has something else in that place: `unknown`, a hidden name, what is no address | `None` |
/// | names trusted proxies only, to its beginning | the first of them: the client is in a trusted network |
/// | is there and empty | `None` |
/// | is missing | the address of the connection: a request of the proxy's machine itself |
///
/// So name the addresses of the proxies, and not a network that clients are in as well: each of them could write
/// there what it likes. And make sure that each proxy writes the header, or its clients all have its address.
///
/// Clients whose peer is `None` count as one address together for the limits of [`Door`](crate::Door). Empty elements of
/// the list are left out (RFC 9110, section 5.6.1.2), several lines are one list, an IPv4 address in the form of IPv6 is
/// an IPv4 address.
///
/// One header is read, the one that the proxies are known to write. Of another the client would be the only
/// author. What a proxy writes has often no port; it is 0 then.
///
/// ```
/// use keywire::TrustedProxies;
///
/// // nginx on this machine, with `proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`
/// let proxies = TrustedProxies::x_forwarded_for(["127.0.0.1", "::1"])?;
/// # let _ = proxies;
/// # Ok::<(), keywire::InvalidNetwork>(())
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

/// A text that is neither an address nor a network such as `10.0.0.0/8`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address nor a network")]
pub struct InvalidNetwork(Box<str>);

impl TrustedProxies {
    /// No proxy is believed: the peer is the address of the connection. The default.
    #[must_use]
    pub fn none() -> Self {
        Self { header: Header::Forwarded, networks: Vec::new() }
    }

    /// Proxies that write the header `Forwarded` (RFC 7239), with these addresses or in these networks.
    ///
    /// # Errors
    ///
    /// When a string is neither an address nor a network, or a network that holds all of IPv4 in the form of IPv6 and
    /// more.
    pub fn forwarded<T: AsRef<str>>(networks: impl IntoIterator<Item = T>) -> Result<Self, InvalidNetwork> {
        Self::new(Header::Forwarded, networks)
    }

    /// Proxies that write the header `X-Forwarded-For`, with these addresses or in these networks.
    ///
    /// # Errors
    ///
    /// When a string is neither an address nor a network, or a network that holds all of IPv4 in the form of IPv6 and
    /// more.
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

    /// Where a request comes from that `peer` has sent on. None if a trusted proxy does not say.
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

    /// Whether there are any.
    pub(super) fn are_named(&self) -> bool {
        !self.networks.is_empty()
    }

    fn trust(&self, address: SocketAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address.ip()))
    }
}

/// The addresses in one line, the last first; none in place of what cannot be read.
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

/// A socket for both versions of IP shows IPv4 as a part of IPv6.
fn canonical(peer: SocketAddr) -> SocketAddr {
    match peer.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::new(v4.into(), peer.port()),
        // With its scope.
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

/// A network of IPv4 in the form of IPv6 is one of IPv4: no other is ever compared with it. None if it is larger than
/// all of IPv4, which cannot be meant.
fn ipv4_as_such(network: IpNet) -> Option<IpNet> {
    let IpNet::V6(v6) = network else { return Some(network) };
    let Some(v4) = v6.addr().to_ipv4_mapped() else { return Some(network) };
    let length = v6.prefix_len().checked_sub(96)?;
    Ipv4Net::new(v4, length).ok().map(IpNet::V4)
}

#[cfg(test)]
mod tests;

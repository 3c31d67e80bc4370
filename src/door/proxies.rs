use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use super::forwarded;

/// Whose word is taken for where a client comes from.
///
/// A server behind a proxy sees the proxy's address. The proxy writes down the client's in a header, behind what
/// is there already, which may be the client's invention. So the header is read from its end: as long as an
/// address is a trusted proxy's the one in front of it is believed, and the first that is not is the client. What
/// cannot be read ends the walk at the proxy that wrote it down.
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
    /// Nobody is believed: the peer is whoever the connection comes from. The default.
    #[must_use]
    pub fn none() -> Self {
        Self { header: Header::Forwarded, networks: Vec::new() }
    }

    /// Proxies that write the header `Forwarded` (RFC 7239), with these addresses or in these networks.
    ///
    /// # Errors
    ///
    /// When a text is neither an address nor a network.
    pub fn forwarded<T: AsRef<str>>(networks: impl IntoIterator<Item = T>) -> Result<Self, InvalidNetwork> {
        Self::new(Header::Forwarded, networks)
    }

    /// Proxies that write the header `X-Forwarded-For`, with these addresses or in these networks.
    ///
    /// # Errors
    ///
    /// When a text is neither an address nor a network.
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

    /// Where a request comes from that `peer` has sent on.
    pub(crate) fn resolve(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        let mut peer = peer;
        let mut hops = self.hops(headers);
        while self.trust(peer.ip())
            && let Some(Some(hop)) = hops.next()
        {
            peer = hop;
        }
        peer
    }

    fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// What was written down, the last first; none in place of what cannot be read.
    fn hops<'a>(&self, headers: &'a HeaderMap) -> Box<dyn Iterator<Item = Option<SocketAddr>> + 'a> {
        let (name, read): (_, fn(&str) -> Option<SocketAddr>) = match self.header {
            Header::Forwarded => (header::FORWARDED, forwarded::element),
            Header::XForwardedFor => (HeaderName::from_static("x-forwarded-for"), forwarded::node),
        };
        let lines = headers.get_all(name).into_iter().rev();
        Box::new(lines.flat_map(move |line| {
            // A line that is no text is one hop that cannot be read.
            let line = line.to_str().unwrap_or_default();
            forwarded::rsplit(line, b',').map(move |element| element.and_then(read))
        }))
    }
}

impl Default for TrustedProxies {
    fn default() -> Self {
        Self::none()
    }
}

fn network(text: &str) -> Result<IpNet, InvalidNetwork> {
    let address = text.parse().map(|address: IpAddr| IpNet::from(address.to_canonical()));
    address.or_else(|_| text.parse()).map_err(|_| InvalidNetwork(text.into()))
}

#[cfg(test)]
mod tests;

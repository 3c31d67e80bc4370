//! Connects to a host that has several addresses (RFC 8305).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::sleep;

/// Connection Attempt Delay of RFC 8305, section 5.
const STAGGER: Duration = Duration::from_millis(250);

/// Connects to the first address of the host that answers.
pub(super) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    race(interleaved(lookup_host((host, port)).await?)).await
}

/// Alternates the two address families, so that neither delays the other. Within a family the resolver's order stays.
fn interleaved(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut addresses: Vec<_> = addresses.collect();
    let preferred = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let mut places = [0, 0];
    addresses.sort_by_cached_key(|address| {
        let family = usize::from(address.is_ipv6() != preferred);
        places[family] += 1;
        (places[family], family)
    });
    addresses
}

/// Tries the next address when the previous attempt has failed, or has not succeeded for [`STAGGER`]. Earlier attempts continue.
async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut addresses = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = None;
    loop {
        attempts.extend(addresses.next().map(TcpStream::connect));
        tokio::select! {
            Some(attempt) = attempts.next() => match attempt {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = Some(error),
            },
            () = sleep(STAGGER), if addresses.len() > 0 => {}
            else => {
                let none = || io::Error::new(io::ErrorKind::NotFound, "the host has no address");
                return Err(failure.unwrap_or_else(none));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    #[test]
    fn the_families_take_turns() {
        let sorted = |addresses: &[&str]| {
            let parsed = addresses.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 80));
            interleaved(parsed).iter().map(|address| address.ip().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            sorted(&["::1", "::2", "::3", "1.1.1.1", "1.1.1.2"]),
            ["::1", "1.1.1.1", "::2", "1.1.1.2", "::3"]
        );
        assert_eq!(sorted(&["1.1.1.1", "1.1.1.2", "::1"]), ["1.1.1.1", "::1", "1.1.1.2"]);
        assert_eq!(sorted(&["1.1.1.2", "1.1.1.1"]), ["1.1.1.2", "1.1.1.1"]);
        assert_eq!(sorted(&[]), [""; 0]);
    }

    /// An address whose SYNs are dropped: a listener that accepts nothing and has a full backlog.
    struct BlackHole {
        address: SocketAddr,
        _listener: TcpListener,
        _backlog: Vec<TcpStream>,
    }

    impl BlackHole {
        async fn at(ip: IpAddr) -> Option<Self> {
            let address = SocketAddr::new(ip, 0);
            let socket = if ip.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() };
            let socket = socket.ok()?;
            // A machine without IPv6 has no such address.
            socket.bind(address).ok()?;
            let listener = socket.listen(1).unwrap();
            let address = listener.local_addr().unwrap();
            let mut backlog = Vec::new();
            // On the real clock, a local connection that is possible at all is made by then.
            let full = Duration::from_secs(1);
            while let Ok(stream) = tokio::time::timeout(full, TcpStream::connect(address)).await {
                backlog.push(stream.unwrap());
            }
            Some(Self { address, _listener: listener, _backlog: backlog })
        }
    }

    #[tokio::test]
    async fn an_address_that_leads_nowhere_holds_no_other_up() {
        let Some(four) = BlackHole::at([127, 0, 0, 1].into()).await else {
            panic!("no IPv4 on this machine")
        };
        let six = BlackHole::at(std::net::Ipv6Addr::LOCALHOST.into()).await;
        let alive = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = alive.local_addr().map(|address| (address, alive)).unwrap();
        tokio::time::pause();
        for nowhere in [six.as_ref(), Some(&four)].into_iter().flatten() {
            let start = tokio::time::Instant::now();
            let stream = race(vec![nowhere.address, nowhere.address, alive.0]).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), alive.0);
            assert_eq!(start.elapsed().as_millis() / 100, 5, "two delays");
        }
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_passed_over_at_once() {
        let alive = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = alive.local_addr().unwrap();
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refusing = nobody.local_addr().unwrap();
        drop(nobody);
        let stream = race(vec![refusing, refusing, address]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        let error = race(vec![refusing, refusing]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(race(vec![]).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

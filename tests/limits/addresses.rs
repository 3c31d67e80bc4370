//! What counts as an address.

use keywire::adapter::Handshake;
use keywire::auth::{Rejection, extract_fn};
use keywire::limits::{Limits, TrustedProxies};
use keywire::{Identity, Key};

use crate::support::{self, Server, until};
use crate::{asking, hub, open_from, times};

#[tokio::test]
async fn clients_hidden_by_a_proxy_do_not_escape_the_limits() {
    let trusted = ["127.0.0.1", "10.0.0.0/8"];
    for (header, proxies, unknown) in [
        (
            "X-Forwarded-For",
            TrustedProxies::x_forwarded_for(trusted),
            ["unknown", "192.0.2.1, é", " , ", "_hidden"],
        ),
        (
            "Forwarded",
            TrustedProxies::forwarded(trusted),
            ["for=unknown", "for=192.0.2.1,é", "", "for=_hidden"],
        ),
    ] {
        let limits = Limits {
            proxies: proxies.expect("networks"),
            sessions_per_address: Some(2),
            handshakes_per_address: times(3),
            ..Limits::default()
        };
        let server = Server::start(hub(limits)).await;
        let mut open = Vec::new();
        for (line, status) in unknown.into_iter().zip([101, 101, 429, 429]) {
            let (head, raw) = open_from(&server, "127.0.0.1", &[(header, line)]).await;
            assert_eq!(head.status, status, "{header}: {line}");
            open.push(raw);
        }
        let sessions = until("the sessions", async || {
            let sessions = server.hub.sessions("alice").await;
            if sessions.len() == 2 { Ok(sessions) } else { Err(format!("{sessions:?}")) }
        })
        .await;
        assert!(sessions.iter().all(|session| session.peer().is_none()));
        // A request of the proxy's machine itself has that address.
        let (head, _) = open_from(&server, "127.0.0.1", &[]).await;
        assert_eq!(head.status, 101);
    }
}

/// Without proxies, no address is no limit: the transport has none.
#[tokio::test]
async fn a_transport_without_addresses_has_no_limits_by_address() {
    let hub =
        hub(Limits { sessions_per_address: Some(1), handshakes_per_address: times(1), ..Limits::default() });
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let head = support::request(([127, 0, 0, 1], 1).into(), "/websocket/alice", &[]);
        let upgrade = hub
            .upgrade(Handshake::new(head).with_path_key(keywire::adapter::PathKey::encoded("alice")))
            .await;
        assert_eq!(upgrade.response.status(), 101);
        sessions.push(upgrade.connection);
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_clients_are_told_apart() {
    let (tell, mut peers) = support::events();
    let keys = extract_fn(move |handshake: Handshake| {
        let _ = tell.send(handshake.peer().expect("a peer"));
        async { Key::new("alice").map(Identity::new).map_err(|_| Rejection::Malformed) }
    });
    let limits = Limits {
        proxies: TrustedProxies::x_forwarded_for(["127.0.0.1", "10.0.0.0/8"]).expect("networks"),
        sessions_per_address: Some(1),
        ..Limits::default()
    };
    let server = Server::start(asking(keys, limits)).await;
    let mut open = Vec::new();
    for (from, line, status, peer) in [
        ("127.0.0.1", "192.0.2.1", 101, "192.0.2.1:0"),
        ("127.0.0.1", "192.0.2.2, 10.0.0.5", 101, "192.0.2.2:0"),
        // Nobody can be somebody else, however often they write it.
        ("127.0.0.1", "192.0.2.3, 192.0.2.1", 429, ""),
        ("127.0.0.1", "192.0.2.2:99", 429, ""),
        ("127.0.0.1", "2001:db8::1", 101, "[2001:db8::1]:0"),
        ("127.0.0.1", "2001:db8::2", 429, ""),
        ("127.0.0.1", "2001:db8:0:1::2", 101, "[2001:db8:0:1::2]:0"),
        // A client that is no trusted proxy is itself.
        ("127.0.0.2", "192.0.2.4", 101, "127.0.0.2"),
        ("127.0.0.2", "192.0.2.5", 429, ""),
    ] {
        let (head, raw) = open_from(&server, from, &[("X-Forwarded-For", line)]).await;
        assert_eq!(head.status, status, "{from} {line}");
        if status == 101 {
            let told = peers.next("the extractor").await.to_string();
            assert!(told.starts_with(peer), "{told} {peer}");
            open.push(raw);
        }
    }
    assert!(peers.rest().is_empty());
    // And the session knows it too.
    let sessions = until("the sessions", async || {
        let sessions = server.hub.sessions("alice").await;
        if sessions.len() == open.len() { Ok(sessions) } else { Err(format!("{sessions:?}")) }
    })
    .await;
    let mut peers: Vec<_> =
        sessions.iter().filter_map(|session| session.peer()).map(|peer| peer.ip()).collect();
    peers.sort();
    let expected = ["127.0.0.2", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::2"];
    assert_eq!(peers, expected.map(|text| text.parse::<std::net::IpAddr>().expect("an address")));
}

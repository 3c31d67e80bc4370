//! How many may come, from where and how fast; and that each place is given back.
#![cfg(feature = "warp")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Request;
use keywire::{
    CloseCode, Config, Connection, Door, Handshake, Hub, Identity, Key, KeyExtractor, PathKey, Rate, RawKey,
    Rejection, Reply, Session, Switch, TrustedProxies, Upgrade, extract_fn,
};
use serde_json::json;
use support::{Head, Raw, Server, TEXT, masked, opening, until};

const V1: (&str, &str) = ("Sec-WebSocket-Protocol", "keywire.v1");

fn hub(door: Door) -> Hub {
    asking(RawKey::from_path(), door)
}

fn asking(keys: impl KeyExtractor, door: Door) -> Hub {
    let config = Config { door, ..Config::default() };
    let handler = Switch::new()
        .on("panic", |_: Session, (): ()| async { panic!("a handler's bug") as keywire::HandlerResult })
        .on("close", |session: Session, (): ()| async move {
            session.close(CloseCode::NORMAL, "");
            Ok(Reply::none())
        });
    Hub::builder().keys(keys).handler(handler).config(config).build()
}

/// One a day is enough for a test.
fn times(times: u32) -> Option<Rate> {
    Some(Rate::new(times, Duration::from_secs(86_400)))
}

/// The answer to an opening from this address; the connection stays open as long as it is held.
async fn open_from(server: &Server, address: &str, headers: &[(&'static str, &str)]) -> (Head, Raw) {
    let mut raw = Raw::connect_from(address, server.addr).await;
    raw.write(opening("/websocket/alice", headers).as_bytes()).await;
    (raw.head().await, raw)
}

async fn refused(server: &Server, address: &str, status: u16, kind: &str) {
    let (head, _raw) = open_from(server, address, &[]).await;
    assert_eq!((head.status, head.json()), (status, json!({ "error": kind })));
    assert_eq!(head.header("retry-after"), Some("5"));
    let (head, mut raw) = open_from(server, address, &[V1]).await;
    assert_eq!(head.status, 101);
    let frame = raw.frame().await.expect("a close frame");
    assert_eq!((frame.close_code(), &frame.payload[2..]), (1013, kind.as_bytes()));
}

#[tokio::test]
async fn an_address_has_so_many_openings() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let keys = extract_fn(move |_: Handshake| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Err::<Identity, _>(Rejection::Invalid) }
    });
    let server =
        Server::start(asking(keys, Door { handshakes_per_address: times(3), ..Door::default() })).await;
    // What is no opening does not count, and neither does what has become of one.
    let mut raw = server.raw().await;
    raw.write(b"GET /websocket/alice HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(raw.head().await.status, 426);
    for _ in 0..3 {
        assert_eq!(server.refusal("/websocket/alice", &[]).await.status, 401);
    }
    for _ in 0..3 {
        refused(&server, "127.0.0.1", 429, "throttled").await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3, "who comes too often is not asked who they are");
    let (head, _) = open_from(&server, "127.0.0.2", &[]).await;
    assert_eq!(head.status, 401, "another address has openings of its own");
}

#[tokio::test]
async fn an_address_has_so_many_sessions() {
    let server = Server::start(hub(Door { sessions_per_address: 2, ..Door::default() })).await;
    let first = server.raw_session("alice").await;
    let _second = server.raw_session("bob").await;
    for _ in 0..3 {
        refused(&server, "127.0.0.1", 429, "throttled").await;
    }
    let (head, _third) = open_from(&server, "127.0.0.2", &[]).await;
    assert_eq!(head.status, 101);
    drop(first);
    free_again(&server).await;
}

#[tokio::test]
async fn there_are_so_many_sessions_in_all() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let keys = extract_fn(move |_: Handshake| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Key::new("alice").map(Identity::new).map_err(|_| Rejection::Malformed) }
    });
    let server = Server::start(asking(keys, Door { sessions: 2, ..Door::default() })).await;
    let first = server.raw_session("alice").await;
    let (_, _second) = open_from(&server, "127.0.0.2", &[]).await;
    for address in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
        refused(&server, address, 503, "unavailable").await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2, "a credential is not looked at in vain");
    drop(first);
    free_again(&server).await;
}

/// Asks until it is let in.
async fn free_again(server: &Server) {
    until("a free place", async || {
        let (head, _) = open_from(server, "127.0.0.1", &[]).await;
        if head.status == 101 { Ok(()) } else { Err(format!("{head:?}")) }
    })
    .await;
}

/// The only place is free again when the session has ended, however it has.
#[tokio::test]
async fn a_place_is_given_back_whatever_ends_the_session() {
    for door in [Door { sessions: 1, ..Door::default() }, Door { sessions_per_address: 1, ..Door::default() }]
    {
        let server = Server::start(hub(door)).await;
        // By those who speak keywire.v1 and read the close frame: they may come back at once.
        for end in ["peer", "handler", "panic", "disconnect"] {
            let mut client = server.open_with("/websocket/alice", &[V1]).await;
            client.ping().await;
            match end {
                "peer" => assert_eq!(client.close(1000, "").await.code, 1000),
                "handler" => {
                    client.send(json!({ "flag": "close" })).await;
                    assert_eq!(client.end().await.code, 1000);
                }
                "panic" => {
                    client.send(json!({ "flag": "panic" })).await;
                    assert_eq!(client.end().await.code, 1011);
                }
                _ => {
                    server.hub.disconnect("alice").await;
                    assert_eq!(client.end().await.code, 4505);
                }
            }
        }
        // Without a word, after a violation, in the middle of the opening.
        for end in ["lost", "reset", "violation", "at once"] {
            let mut raw = server.raw().await;
            raw.write(opening("/websocket/alice", &[]).as_bytes()).await;
            if end == "at once" {
                raw.reset();
            } else {
                assert_eq!(raw.head().await.status, 101, "{end}");
                match end {
                    "lost" => drop(raw),
                    "reset" => raw.reset(),
                    _ => {
                        raw.write(&masked(TEXT | 0x70, b"")).await;
                        assert_eq!(raw.frame().await.expect("a close frame").close_code(), 1002);
                    }
                }
            }
            until(end, async || {
                let open = server.hub.counts().await.sessions;
                if open == 0 { Ok(()) } else { Err(format!("{open} sessions")) }
            })
            .await;
            free_again(&server).await;
            until(end, async || {
                let open = server.hub.counts().await.sessions;
                if open == 0 { Ok(()) } else { Err(format!("{open} sessions")) }
            })
            .await;
        }
    }
}

fn request() -> Handshake {
    let request = Request::get("/websocket/alice")
        .header("host", "localhost")
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-version", "13")
        .body(())
        .expect("a request");
    Handshake::new(request).with_path_key(PathKey::encoded("alice")).with_peer(([127, 0, 0, 1], 4000).into())
}

async fn promised(hub: &Hub) -> Connection {
    let Upgrade { response, connection } = hub.upgrade(request()).await;
    assert_eq!(response.status(), 101);
    connection.expect("a connection")
}

/// The client was promised a connection, and nothing came of it.
#[tokio::test]
async fn a_place_is_given_back_if_the_connection_is_never_run_or_cut() {
    let hub = hub(Door { sessions: 1, sessions_per_address: 1, ..Door::default() });
    for _ in 0..2 {
        let never_run = promised(&hub).await;
        assert_eq!(hub.upgrade(request()).await.response.status(), 503);
        drop(never_run);

        let (_client, server) = tokio::io::duplex(1024);
        let never_polled = promised(&hub).await.run(server, Default::default());
        assert_eq!(hub.upgrade(request()).await.response.status(), 503);
        drop(never_polled);

        let (_client, server) = tokio::io::duplex(1024);
        let cut = tokio::spawn(promised(&hub).await.run(server, Default::default()));
        until("the session", async || match hub.counts().await.sessions {
            1 => Ok(()),
            other => Err(format!("{other} sessions")),
        })
        .await;
        assert_eq!(hub.upgrade(request()).await.response.status(), 503);
        cut.abort();
        assert!(cut.await.expect_err("it was cut").is_cancelled());
    }
    drop(promised(&hub).await);
}

/// Even if the handler is still at work on the end.
#[tokio::test]
async fn who_reads_the_close_frame_may_come_back_at_once() {
    let (tell, mut ends) = support::events();
    let handler = Switch::new().closed(move |session: Session, _| {
        let _ = tell.send(session.key().to_string());
        std::future::pending()
    });
    let config = Config { door: Door { sessions: 1, ..Door::default() }, ..Config::default() };
    let server =
        Server::start(Hub::builder().keys(RawKey::from_path()).handler(handler).config(config).build()).await;
    for key in ["alice", "bob", "carol"] {
        let mut client = server.client(key).await;
        assert_eq!(client.close(1000, "").await.code, 1000);
        assert_eq!(ends.next("the handler").await, key);
    }
}

#[tokio::test]
async fn a_place_is_given_back_once() {
    for door in [Door { sessions: 2, ..Door::default() }, Door { sessions_per_address: 2, ..Door::default() }]
    {
        let server = Server::start(hub(door)).await;
        let mut first = server.open_with("/websocket/alice", &[V1]).await;
        for _ in 0..3 {
            let mut second = server.open_with("/websocket/bob", &[V1]).await;
            second.ping().await;
            second.close(1000, "").await;
        }
        let mut second = server.open_with("/websocket/bob", &[V1]).await;
        second.ping().await;
        assert_eq!(server.open_with("/websocket/carol", &[V1]).await.end().await.code, 1013);
        first.ping().await;
    }
}

/// Who holds on to a session after its end holds no place.
#[tokio::test]
async fn a_kept_session_keeps_no_place() {
    let server = Server::start(hub(Door { sessions: 1, ..Door::default() })).await;
    let mut client = server.open_with("/websocket/alice", &[V1]).await;
    client.ping().await;
    let kept = server.hub.sessions("alice").await;
    client.close(1000, "").await;
    server.open_with("/websocket/alice", &[V1]).await.ping().await;
    assert!(!kept[0].is_open());
}

/// Refusing by a close code costs a connection, so that is bounded too.
#[tokio::test]
async fn only_so_many_are_refused_by_a_close_code_at_a_time() {
    let keys = extract_fn(|_: Handshake| async { Err::<Identity, _>(Rejection::Invalid) });
    let hub = asking(keys, Door::default());
    let opening = || {
        let request = Request::get("/websocket")
            .header("host", "localhost")
            .header("upgrade", "websocket")
            .header("connection", "upgrade")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-protocol", "keywire.v1");
        Handshake::new(request.body(()).expect("a request"))
    };
    let mut refused = Vec::new();
    for _ in 0..1024 {
        let upgrade = hub.upgrade(opening()).await;
        assert_eq!(upgrade.response.status(), 101);
        refused.push(upgrade.connection);
    }
    let upgrade = hub.upgrade(opening()).await;
    assert_eq!((upgrade.response.status().as_u16(), upgrade.connection.is_some()), (401, false));
    refused.pop();
    assert_eq!(hub.upgrade(opening()).await.response.status(), 101);
}

#[tokio::test]
async fn who_hides_behind_a_proxy_does_not_escape_the_limits() {
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
        let door = Door {
            proxies: proxies.expect("networks"),
            sessions_per_address: 2,
            handshakes_per_address: times(3),
            ..Door::default()
        };
        let server = Server::start(hub(door)).await;
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
    let hub = hub(Door { sessions_per_address: 1, handshakes_per_address: times(1), ..Door::default() });
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let head = support::request(([127, 0, 0, 1], 1).into(), "/websocket/alice", &[]);
        let upgrade =
            hub.upgrade(Handshake::new(head).with_path_key(keywire::PathKey::encoded("alice"))).await;
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
    let door = Door {
        proxies: TrustedProxies::x_forwarded_for(["127.0.0.1", "10.0.0.0/8"]).expect("networks"),
        sessions_per_address: 1,
        ..Door::default()
    };
    let server = Server::start(asking(keys, door)).await;
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

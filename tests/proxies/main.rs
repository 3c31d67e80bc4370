//! Behind real proxies, configured as the documentation says: the client's address, its page and its connection.
#![cfg(all(feature = "warp", unix))]

mod program;
#[path = "../support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::time::Duration;

use keywire::adapter::Handshake;
use keywire::auth::{RawKey, Rejection, extract_fn};
use keywire::limits::{Limits, TrustedProxies};
use keywire::{Config, Hub, Identity, Key};
use program::{caddy, documented, nginx, nginx_forwarded};
use serde_json::json;
use support::{Client, Events, Head, Raw, Server, opening};

/// As in the documentation.
const TRUSTED: [&str; 2] = ["127.0.0.1", "::1"];

/// A server that tells which address each opening comes from.
async fn server(proxies: TrustedProxies) -> (Server, Events<String>) {
    let (tell, peers) = support::events();
    let keys = extract_fn(move |handshake: Handshake| {
        let peer = handshake.peer().map_or("none".to_owned(), |peer| peer.ip().to_string());
        let _ = tell.send(peer);
        async { Key::new("alice").map(Identity::new).map_err(|_| Rejection::Malformed) }
    });
    let config = Config { limits: Limits { proxies, ..Limits::default() }, ..Config::default() };
    (Server::start(Hub::builder(keys).config(config).build()).await, peers)
}

/// The answer to an opening from this address with further lines of any bytes.
async fn open(proxy: SocketAddr, from: &str, lines: &[&[u8]]) -> (Head, Raw) {
    let mut request = opening("/websocket/alice", &[]).into_bytes();
    request.truncate(request.len() - 2);
    for line in lines {
        request.extend([line, &b"\r\n"[..]].concat());
    }
    request.extend(b"\r\n");
    let mut raw = Raw::connect_from(from, proxy).await;
    raw.write(&request).await;
    (raw.head().await, raw)
}

/// What a client writes to be taken for somebody else, or for nobody.
fn inventions() -> Vec<Vec<u8>> {
    let mut inventions: Vec<Vec<u8>> = [
        &b"192.0.2.1"[..],
        b"127.0.0.1",
        b"192.0.2.1, 127.0.0.1",
        b"::ffff:127.0.0.1",
        b"caf\xc3\xa9",
        b"caf\xe9, 127.0.0.1",
        b"unknown",
        b"_hidden",
        b"",
        b",",
        b"\"",
        b"\\",
        b"\"\\",
        b"\"\\\", 127.0.0.1",
        b"for=127.0.0.1",
        b"for=\"127.0.0.1",
        b"for=\"127.0.0.1\\",
        b"for=\"\xff\", for=127.0.0.1;by=\"",
        b"for=127.0.0.1;",
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    inventions.extend((0x80..=0xff).map(|byte| vec![byte]));
    inventions
}

/// Whatever a client writes, its peer is its own address, 127.0.0.2, and never the proxy's.
async fn clients_are_themselves(proxy: SocketAddr, peers: &mut Events<String>, header: &str) {
    for invention in inventions() {
        let line = [header.as_bytes(), b": ", &invention].concat();
        for lines in [&[&line[..]][..], &[&line, &line]] {
            let (head, _raw) = open(proxy, "127.0.0.2", lines).await;
            assert_eq!(head.status, 101, "{}", invention.escape_ascii());
            assert_eq!(peers.next("the opening").await, "127.0.0.2", "{}", invention.escape_ascii());
        }
    }
    let (head, _raw) = open(proxy, "127.0.0.3", &[]).await;
    assert_eq!((head.status, &*peers.next("the opening").await), (101, "127.0.0.3"));
    assert!(peers.rest().is_empty());
}

#[tokio::test]
async fn behind_nginx_clients_are_themselves() {
    let (server, mut peers) = server(TrustedProxies::x_forwarded_for(TRUSTED).expect("networks")).await;
    let proxy = nginx("127.0.0.1", server.addr).await;
    clients_are_themselves(proxy.addr, &mut peers, "X-Forwarded-For").await;
    let peers = server.hub.sessions("alice").await.into_iter().filter_map(|session| session.peer());
    assert!(
        peers.map(|peer| peer.ip().to_string()).all(|ip| ip.starts_with("127.0.0.") && ip != "127.0.0.1")
    );
}

#[tokio::test]
async fn behind_nginx_with_forwarded_clients_are_themselves() {
    let (server, mut peers) = server(TrustedProxies::forwarded(TRUSTED).expect("networks")).await;
    let proxy = nginx_forwarded("127.0.0.1", server.addr).await;
    clients_are_themselves(proxy.addr, &mut peers, "Forwarded").await;
}

#[tokio::test]
async fn behind_caddy_clients_are_themselves() {
    let (server, mut peers) = server(TrustedProxies::x_forwarded_for(TRUSTED).expect("networks")).await;
    let proxy = caddy(server.addr).await;
    clients_are_themselves(proxy.addr, &mut peers, "X-Forwarded-For").await;
}

#[tokio::test]
async fn behind_two_proxies_clients_are_themselves() {
    let (server, mut peers) = server(TrustedProxies::x_forwarded_for(TRUSTED).expect("networks")).await;
    for outer in ["caddy", "nginx"] {
        let inner = nginx("127.0.0.1", server.addr).await;
        let outer = match outer {
            "caddy" => caddy(inner.addr).await,
            _ => nginx("127.0.0.1", inner.addr).await,
        };
        clients_are_themselves(outer.addr, &mut peers, "X-Forwarded-For").await;
    }
}

/// An address of IPv6 stands there without brackets, or in quotes with them.
#[tokio::test]
async fn a_client_over_ipv6_is_itself() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("this machine has no IPv6");
        return;
    }
    for forwarded in [false, true] {
        let trusted = ["127.0.0.1"];
        let proxies = if forwarded {
            TrustedProxies::forwarded(trusted)
        } else {
            TrustedProxies::x_forwarded_for(trusted)
        };
        let (server, mut peers) = server(proxies.expect("networks")).await;
        let proxy = if forwarded {
            nginx_forwarded("::1", server.addr).await
        } else {
            nginx("::1", server.addr).await
        };
        let _client = Client::connect(proxy.addr, "/websocket/alice", &[]).await.expect("an upgrade");
        assert_eq!(peers.next("the opening").await, "::1", "{forwarded}");
    }
}

/// The proxies keep `Host`, so the default check of origins works; and what is upgraded is a connection.
#[tokio::test]
async fn pages_of_the_proxys_own_host_are_let_in() {
    let limits =
        Limits { proxies: TrustedProxies::x_forwarded_for(TRUSTED).expect("networks"), ..Limits::default() };
    let config = Config { limits, ..Config::default() };
    let server = Server::start(Hub::builder(RawKey::from_path()).config(config).build()).await;
    for proxy in [nginx("127.0.0.1", server.addr).await, caddy(server.addr).await] {
        let page = format!("http://{}", proxy.addr);
        let mut client =
            Client::connect(proxy.addr, "/websocket/alice", &[("Origin", &page)]).await.expect("an upgrade");
        client.ping().await;
        server.hub.send_to("alice", keywire::Push::message("hello")).await;
        assert_eq!(client.next().await, json!({ "code": "00", "msg": "hello" }));
        server.hub.disconnect("alice").await;
        assert_eq!(client.end().await.code, 4505);

        let other = format!("http://{}:1", proxy.addr.ip());
        for origin in [&*other, "http://127.0.0.1", "https://evil.example"] {
            let lines = format!("Host: {}\r\nOrigin: {origin}", proxy.addr);
            let request = opening("/websocket/alice", &[]).replace("Host: localhost", &lines);
            let mut raw = Raw::connect(proxy.addr).await;
            raw.write(request.as_bytes()).await;
            assert_eq!(raw.head().await.status, 403, "{origin}");
        }
    }
}

/// Another application of the host sets a cookie that is no text.
#[tokio::test]
async fn foreign_cookies_keep_nobody_out() {
    let server = Server::start(Hub::builder(RawKey::from_cookie("sid")).build()).await;
    for proxy in [nginx("127.0.0.1", server.addr).await, caddy(server.addr).await] {
        let (head, _raw) = open(proxy.addr, "127.0.0.1", &[b"Cookie: sid=alice; nick=Jos\xe9"]).await;
        assert_eq!(head.status, 101);
    }
}

/// A connection that is only pinged is not cut by the proxy.
#[test]
fn the_documented_times_are_longer_than_a_ping() {
    let seconds = documented("nginx")[0].lines().filter_map(|line| {
        let (name, time) = line.trim().trim_end_matches("s;").split_once(' ')?;
        name.ends_with("_timeout").then(|| time.parse().expect("seconds"))
    });
    let times: Vec<_> = seconds.map(Duration::from_secs).collect();
    let Config { ping_interval, pong_timeout, .. } = Config::default();
    assert_eq!(times.len(), 2, "nginx reads and sends");
    assert!(times.iter().all(|time| *time > ping_interval.unwrap() + pong_timeout), "{times:?}");
}

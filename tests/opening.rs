//! The opening of a connection (RFC 6455, section 4.2), byte by byte, with each framework.
#![cfg(any(feature = "axum", feature = "warp"))]

mod support;

use keywire::Hub;
use keywire::auth::RawKey;
use serde_json::json;
use support::{Adapter, Server, masked, opening};

async fn server(adapter: Adapter) -> Server {
    Server::with(adapter, "websocket", Hub::builder(RawKey::from_path()).build()).await
}

const GOOD: &str = "GET /websocket/alice HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// A good request, and what is wrong or unusual about it.
fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replacen(from, to, 1)
}

#[tokio::test]
async fn a_good_request_is_answered_as_the_rfc_has_it() {
    for &adapter in Adapter::ALL {
        let server = server(adapter).await;
        let mut raw = server.raw().await;
        raw.write(GOOD.as_bytes()).await;
        let head = raw.head().await;
        assert_eq!(head.status, 101);
        assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert!(head.header("upgrade").is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket")));
        assert!(
            head.header("connection").is_some_and(|connection| connection.eq_ignore_ascii_case("upgrade"))
        );
        assert_eq!(head.header("sec-websocket-protocol"), None);
        assert_eq!(head.header("sec-websocket-extensions"), None);
    }
}

#[tokio::test]
async fn what_is_unusual_but_allowed_is_let_in() {
    for &adapter in Adapter::ALL {
        let server = server(adapter).await;
        for request in [
            with("Upgrade: websocket", "UPGRADE: WebSocket"),
            with("Connection: Upgrade", "connection: keep-alive, upgrade"),
            with("Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade"),
            with("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
            with("\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat, superchat\r\n\r\n"),
            with("/websocket/alice", "/websocket/alice?x=y"),
            with("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n"),
        ] {
            let mut raw = server.raw().await;
            raw.write(request.as_bytes()).await;
            let head = raw.head().await;
            assert_eq!(head.status, 101, "{request}");
            assert_eq!(head.header("sec-websocket-extensions"), None, "{request}");
            assert_eq!(head.header("sec-websocket-protocol"), None, "{request}");
            raw.write(&masked(1, br#"{"flag":"kw:ping"}"#)).await;
            assert_eq!(raw.push().await["flag"], "kw:pong", "{request}");
        }
    }
}

#[tokio::test]
async fn what_is_no_opening_is_told_why() {
    for &adapter in Adapter::ALL {
        let server = server(adapter).await;
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let version = "Sec-WebSocket-Version: 13\r\n";
        for (status, request) in [
            (426, with("Upgrade: websocket\r\n", "")),
            (426, with("Upgrade: websocket", "Upgrade: h2c")),
            (400, with("Connection: Upgrade\r\n", "")),
            (400, with("Connection: Upgrade", "Connection: keep-alive")),
            (400, with("Host: localhost\r\n", "")),
            (400, with("Host: localhost\r\n", "Host: localhost\r\nHost: other\r\n")),
            (400, with(key, "")),
            (400, with(key, "Sec-WebSocket-Key: \r\n")),
            (400, with(key, "Sec-WebSocket-Key: c2hvcnQ=\r\n")),
            (400, with(key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZXh4eA==\r\n")),
            (400, with(key, "Sec-WebSocket-Key: !!!!IHNhbXBsZSBub25jZQ==\r\n")),
            (400, with(key, &key.repeat(2))),
            (426, with(version, "")),
            (426, with(version, "Sec-WebSocket-Version: 8\r\n")),
            (426, with(version, "Sec-WebSocket-Version: 14\r\n")),
            (426, with(version, &version.repeat(2))),
            (400, with("\r\n\r\n", "\r\nSec-WebSocket-Protocol: a, a\r\n\r\n")),
            (400, with("\r\n\r\n", "\r\nSec-WebSocket-Protocol: a b\r\n\r\n")),
            (400, with("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\nx")),
            (400, with("\r\n\r\n", "\r\nContent-Length: 100000\r\n\r\n")),
            (400, with("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
            (405, with("GET", "POST")),
            (405, with("GET", "PUT")),
        ] {
            let mut raw = server.raw().await;
            raw.write(request.as_bytes()).await;
            let head = raw.head().await;
            assert_eq!(head.status, status, "{request}");
            assert!(head.json()["error"].as_str().is_some_and(|error| !error.is_empty()), "{request}");
            assert_eq!(head.header("sec-websocket-accept"), None);
            let wrong_version = request.matches(version).count() != 1;
            assert_eq!(head.header("sec-websocket-version"), wrong_version.then_some("13"), "{request}");
            assert_eq!(head.header("upgrade"), (status == 426).then_some("websocket"), "{request}");
            assert_eq!(head.header("allow"), (status == 405).then_some("GET"), "{request}");
        }
        assert_eq!(server.hub.counts().await.sessions, 0);
    }
}

#[tokio::test]
async fn a_plain_get_is_told_what_lives_here() {
    for &adapter in Adapter::ALL {
        let server = server(adapter).await;
        for path in ["/websocket", "/websocket/alice"] {
            let mut raw = server.raw().await;
            raw.write(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await;
            let head = raw.head().await;
            assert_eq!((head.status, head.header("upgrade")), (426, Some("websocket")));
        }
    }
}

#[tokio::test]
async fn http_1_0_is_never_answered_with_an_upgrade() {
    for &adapter in Adapter::ALL {
        let server = server(adapter).await;
        let mut raw = server.raw().await;
        raw.write(with("HTTP/1.1", "HTTP/1.0").as_bytes()).await;
        assert_eq!(raw.head().await.status, 505);
        assert_eq!(server.hub.counts().await.sessions, 0);
    }
}

/// Clients in a hurry write before they have read the answer.
#[tokio::test]
async fn frames_that_come_with_the_opening_are_served() {
    for &adapter in Adapter::ALL {
        let server = server(adapter).await;
        let ping = |id: u8| masked(1, json!({ "flag": "kw:ping", "id": id }).to_string().as_bytes());
        for split in [0, 1, 5, ping(2).len()] {
            let mut raw = server.raw().await;
            let second = ping(2);
            let (now, later) = second.split_at(split);
            raw.write(&[GOOD.as_bytes(), &ping(1), now].concat()).await;
            assert_eq!(raw.head().await.status, 101);
            assert_eq!(raw.push().await["id"], 1);
            raw.write(later).await;
            assert_eq!(raw.push().await["id"], 2);
        }

        // Even a close frame.
        let mut raw = server.raw().await;
        raw.write(&[GOOD.as_bytes(), &ping(1), &masked(8, &1000u16.to_be_bytes())].concat()).await;
        assert_eq!(raw.head().await.status, 101);
        let mut last = raw.frame().await.unwrap();
        if last.opcode == support::TEXT {
            last = raw.frame().await.unwrap();
        }
        assert_eq!(last.close_code(), 1000);
        assert!(raw.frame().await.is_none());
    }
}

#[tokio::test]
async fn keywire_v1_is_chosen_where_it_is_offered() {
    for &adapter in Adapter::ALL {
        let server = server(adapter).await;
        for (offered, chosen) in [
            (&["keywire.v1"][..], Some("keywire.v1")),
            (&["chat, keywire.v1, other"], Some("keywire.v1")),
            (&["chat", "keywire.v1"], Some("keywire.v1")),
            (&["keywire.v1,base64url.bearer.keywire.c2VzYW1l"], Some("keywire.v1")),
            (&["chat"], None),
            (&["keywire.v2"], None),
            (&["Keywire.V1"], None),
            (&[], None),
        ] {
            let headers: Vec<_> = offered.iter().map(|value| ("Sec-WebSocket-Protocol", *value)).collect();
            let mut raw = server.raw().await;
            raw.write(opening("/websocket/alice", &headers).as_bytes()).await;
            let head = raw.head().await;
            assert_eq!(head.status, 101, "{offered:?}");
            assert_eq!(head.header("sec-websocket-protocol"), chosen, "{offered:?}");
        }
    }
}

#[tokio::test]
async fn keys_are_percent_decoded() {
    for &adapter in Adapter::ALL {
        let server = server(adapter).await;
        let long = "a".repeat(256);
        for (path, key) in [
            ("alice", "alice"),
            ("%61lice", "alice"),
            ("zo%C3%AB%20%2F%E6%9D%B1", "zoë /東"),
            ("a+b", "a+b"),
            ("100%25", "100%"),
            ("user@example.com", "user@example.com"),
            (&long, &long),
        ] {
            let _client = server.client(path).await;
            assert_eq!(server.hub.sessions(key).await.len(), 1, "{path}");
            server.hub.disconnect(key).await;
        }
        let too_long = "a".repeat(257);
        for path in ["%00", "a%0Ab", "%FF", "%C3", &too_long] {
            let refusal = server.refusal(&format!("/websocket/{path}"), &[]).await;
            assert_eq!((refusal.status, refusal.json()), (400, json!({ "error": "malformed" })), "{path}");
        }
        for path in ["/websocket", "/websocket/"] {
            assert_eq!(server.refusal(path, &[]).await.status, 401, "{path}");
        }
    }
}

#[tokio::test]
async fn the_path_may_have_several_segments() {
    for &adapter in Adapter::ALL {
        let hub = Hub::builder(RawKey::from_path()).build();
        let server = Server::with(adapter, "api/live", hub).await;
        let mut alice = server.open("/api/live/alice").await;
        alice.ping().await;
        assert_eq!(server.hub.sessions("alice").await.len(), 1);
        assert_eq!(server.refusal("/api/live", &[]).await.status, 401);
        for elsewhere in
            ["/api", "/api/alice", "/live/alice", "/api/live/alice/more", "/api%2Flive/alice", "/"]
        {
            assert_eq!(server.refusal(elsewhere, &[]).await.status, 404, "{elsewhere}");
        }
    }
}

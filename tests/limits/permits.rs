//! Permits are released, once and in time.

use http::Request;
use keywire::adapter::{Connection, Handshake, PathKey, Upgrade};
use keywire::auth::RawKey;
use keywire::limits::Limits;
use keywire::{Config, Hub, Session, Switch};
use serde_json::json;

use crate::support::{self, Server, TEXT, masked, opening, until};
use crate::{V1, free_again, hub};

/// The only permit is free again when the session has ended, for any reason.
#[tokio::test]
async fn a_permit_is_released_whatever_ends_the_session() {
    for limits in [
        Limits { sessions: 1, ..Limits::default() },
        Limits { sessions_per_address: Some(1), ..Limits::default() },
    ] {
        let server = Server::start(hub(limits)).await;
        // Clients that speak keywire.v1 and read the close frame may return at once.
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

/// The client got 101, and the connection came to nothing.
#[tokio::test]
async fn a_permit_is_released_if_the_connection_is_never_run_or_cut() {
    let hub = hub(Limits { sessions: 1, sessions_per_address: Some(1), ..Limits::default() });
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

/// Even while the handler still works on the end.
#[tokio::test]
async fn a_client_that_reads_the_close_frame_may_return_at_once() {
    let (tell, mut ends) = support::events();
    let handler = Switch::new().closed(move |session: Session, _| {
        let _ = tell.send(session.key().to_string());
        std::future::pending()
    });
    let config = Config { limits: Limits { sessions: 1, ..Limits::default() }, ..Config::default() };
    let server =
        Server::start(Hub::builder(RawKey::from_path()).handler(handler).config(config).build()).await;
    for key in ["alice", "bob", "carol"] {
        let mut client = server.client(key).await;
        assert_eq!(client.close(1000, "").await.code, 1000);
        assert_eq!(ends.next("the handler").await, key);
    }
}

#[tokio::test]
async fn a_permit_is_released_once() {
    for limits in [
        Limits { sessions: 2, ..Limits::default() },
        Limits { sessions_per_address: Some(2), ..Limits::default() },
    ] {
        let server = Server::start(hub(limits)).await;
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

/// An application that holds a session after its end holds no permit.
#[tokio::test]
async fn a_kept_session_keeps_no_permit() {
    let server = Server::start(hub(Limits { sessions: 1, ..Limits::default() })).await;
    let mut client = server.open_with("/websocket/alice", &[V1]).await;
    client.ping().await;
    let kept = server.hub.sessions("alice").await;
    client.close(1000, "").await;
    server.open_with("/websocket/alice", &[V1]).await.ping().await;
    assert!(!kept[0].is_open());
}

//! Who is not let in, and how they are told; and that nobody is told a secret.
#![cfg(any(feature = "axum", feature = "warp"))]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keywire::adapter::Handshake;
use keywire::auth::{Origins, RawKey, Rejection, extract_fn};
use keywire::{Hub, Identity, Key, KeyExtractor as _};
use serde_json::json;
use support::{Adapter, Server, opening};

const V1: (&str, &str) = ("Sec-WebSocket-Protocol", "keywire.v1");

/// Refuses for the reason that the key names.
fn refusing() -> Hub {
    let keys = extract_fn(|handshake: Handshake| async move {
        Err::<Identity, _>(match handshake.path_key()?.as_deref() {
            None => Rejection::Missing,
            Some("invalid") => Rejection::Invalid,
            Some("expired") => Rejection::Expired,
            Some("malformed") => Rejection::Malformed,
            Some("ambiguous") => Rejection::Ambiguous,
            Some("forbidden") => Rejection::Forbidden,
            Some("too_many") => Rejection::TooMany,
            Some("throttled") => Rejection::Throttled,
            Some("unavailable") => Rejection::Unavailable,
            Some(_) => panic!("an extractor's bug"),
        })
    });
    Hub::builder(keys).build()
}

#[tokio::test]
async fn each_reason_has_its_status_and_its_close_code() {
    for &adapter in Adapter::ALL {
        let server = Server::with(adapter, "websocket", refusing()).await;
        for (key, status, error, code) in [
            ("", 401, "missing", 4501),
            ("invalid", 401, "invalid", 4501),
            ("expired", 401, "expired", 4001),
            ("malformed", 400, "malformed", 4501),
            ("ambiguous", 503, "ambiguous", 1013),
            ("forbidden", 403, "forbidden", 4503),
            ("too_many", 429, "too_many", 4506),
            ("throttled", 429, "throttled", 1013),
            ("unavailable", 503, "unavailable", 1013),
            ("panic", 503, "unavailable", 1013),
        ] {
            let path = format!("/websocket/{key}");
            let refusal = server.refusal(&path, &[]).await;
            assert_eq!((refusal.status, refusal.json()), (status, json!({ "error": error })), "{key}");
            assert_eq!(refusal.header("www-authenticate"), (status == 401).then_some("Bearer"), "{key}");
            assert_eq!(refusal.header("cache-control"), Some("no-store"), "{key}");
            // Only where the same client may get in by waiting.
            assert_eq!(refusal.header("retry-after"), (code == 1013).then_some("5"), "{key}");

            // A browser cannot read a status, so who speaks keywire.v1 is told by a close code.
            let end = server.open_with(&path, &[V1]).await.end().await;
            assert_eq!((end.code, &*end.reason), (code, error), "{key}");
        }
        assert_eq!(server.hub.counts().await.sessions, 0);
        assert_eq!(server.hub.shutdown(std::time::Duration::from_secs(30)).await, 0);
    }
}

#[tokio::test]
async fn without_a_key_nobody_gets_in() {
    for &adapter in Adapter::ALL {
        let server = Server::with(adapter, "websocket", Hub::builder(RawKey::from_path()).build()).await;
        for path in ["/websocket", "/websocket/", "/websocket?key=alice"] {
            let refusal = server.refusal(path, &[]).await;
            assert_eq!((refusal.status, &*refusal.body), (401, r#"{"error":"missing"}"#), "{path}");
            assert_eq!(server.open_with(path, &[V1]).await.end().await.code, 4501, "{path}");
        }
    }
}

#[tokio::test]
async fn keys_come_from_where_the_extractor_looks() {
    for &adapter in Adapter::ALL {
        let keys = RawKey::from_query("key")
            .or(RawKey::from_cookie("id"))
            .or(RawKey::from_header("x-forwarded-user"))
            .or(RawKey::from_path());
        let server = Server::with(adapter, "websocket", Hub::builder(keys).build()).await;
        for (path, headers, key) in [
            ("/websocket?key=query", &[][..], "query"),
            ("/websocket", &[("Cookie", "theme=dark; id=cookie")], "cookie"),
            ("/websocket", &[("X-Forwarded-User", "header")], "header"),
            ("/websocket/path?key=", &[], "path"),
            ("/websocket/path?key=query", &[("Cookie", "id=cookie")], "query"),
        ] {
            let mut client = server.open_with(path, headers).await;
            client.ping().await;
            assert_eq!(server.hub.sessions(key).await.len(), 1, "{path} {headers:?}");
            client.close(1000, "").await;
        }
        // One that is wrong decides, although others would be right.
        assert_eq!(server.refusal("/websocket/path?key=%00", &[]).await.status, 400);
        assert_eq!(server.refusal("/websocket/path?key=a&key=b", &[]).await.status, 400);
    }
}

#[tokio::test]
async fn pages_of_other_origins_do_not_even_get_to_the_extractor() {
    for &adapter in Adapter::ALL {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let keys = extract_fn(move |_: Handshake| {
            count.fetch_add(1, Ordering::SeqCst);
            async { Key::new("alice").map(Identity::new).map_err(|_| Rejection::Malformed) }
        });
        let origins = Origins::same().and("https://app.example.com");
        let server = Server::with(adapter, "websocket", Hub::builder(keys).origins(origins).build()).await;
        for origin in
            ["https://evil.example", "http://localhost:1", "https://app.example.com.evil.example", "null", ""]
        {
            let headers = [("Origin", origin)];
            let refusal = server.refusal("/websocket", &headers).await;
            assert_eq!((refusal.status, refusal.json()), (403, json!({ "error": "forbidden" })), "{origin}");
            let mut raw = server.raw().await;
            raw.write(opening("/websocket", &[V1, ("Origin", origin)]).as_bytes()).await;
            assert_eq!(raw.head().await.status, 101, "{origin}");
            assert_eq!(raw.frame().await.expect("a close frame").close_code(), 4503, "{origin}");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 0);

        for headers in [&[][..], &[("Origin", "http://localhost")], &[("Origin", "https://app.example.com")]]
        {
            let mut raw = server.raw().await;
            raw.write(opening("/websocket", headers).as_bytes()).await;
            assert_eq!(raw.head().await.status, 101, "{headers:?}");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }
}

#[tokio::test]
async fn who_is_no_browser_may_be_kept_out() {
    for &adapter in Adapter::ALL {
        let keys = extract_fn(|_: Handshake| async { panic!("nobody is asked") });
        let origins = Origins::same().or_none(false);
        let server = Server::with(adapter, "websocket", Hub::builder(keys).origins(origins).build()).await;
        let refusal = server.refusal("/websocket", &[]).await;
        assert_eq!((refusal.status, refusal.json()), (403, json!({ "error": "forbidden" })));
        assert_eq!(server.open_with("/websocket", &[V1]).await.end().await.code, 4503);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_while_it_is_decided_about_leaves_nothing() {
    for &adapter in Adapter::ALL {
        struct Dropped(tokio::sync::mpsc::UnboundedSender<&'static str>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                let _ = self.0.send("dropped");
            }
        }
        let (tell, mut calls) = support::events();
        let keys = extract_fn(move |_: Handshake| {
            let (guard, tell) = (Dropped(tell.clone()), tell.clone());
            async move {
                let _guard = guard;
                let _ = tell.send("asked");
                std::future::pending().await
            }
        });
        let server = Server::with(adapter, "websocket", Hub::builder(keys).build()).await;
        let mut raw = server.raw().await;
        raw.write(opening("/websocket/alice", &[]).as_bytes()).await;
        assert_eq!(calls.next("the extractor").await, "asked");
        drop(raw);
        assert_eq!(calls.next("the end of the extractor").await, "dropped");
        assert_eq!(server.hub.counts().await.sessions, 0);
    }
}

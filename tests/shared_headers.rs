//! Headers that several parties write: what nobody asked for decides nothing.
#![cfg(feature = "warp")]

mod support;

use http::{HeaderValue, Request};
use keywire::adapter::Handshake;
use keywire::auth::RawKey;
use keywire::{Hub, KeyExtractor as _};
use serde_json::json;
use support::{Head, Raw, Server, opening};

const V1: &[u8] = b"Sec-WebSocket-Protocol: keywire.v1";

/// Lets in whoever a cookie, a bearer token, the query or the path names, in this order.
async fn server() -> Server {
    let keys = RawKey::from_cookie("sid").or(RawKey::from_bearer());
    let keys = keys.or(RawKey::from_query("key")).or(RawKey::from_path());
    Server::start(Hub::builder(keys).build()).await
}

/// The answer to an opening with further lines, of any bytes, behind or in place of its own.
async fn ask(server: &Server, path: &str, lines: &[&[u8]]) -> (Head, Raw) {
    let good = opening(path, &[]);
    let named = |line: &[u8]| line.split(|&byte| byte == b':').next().map(<[u8]>::to_ascii_lowercase);
    let own = good.trim_end().split("\r\n").map(str::as_bytes);
    let kept = own.filter(|own| !lines.iter().any(|line| named(line) == named(own)));
    let request: Vec<&[u8]> = kept.chain(lines.iter().copied()).chain([&b"\r\n"[..]]).collect();
    let mut raw = server.raw().await;
    raw.write(&request.join(&b"\r\n"[..])).await;
    (raw.head().await, raw)
}

async fn sees(server: &Server, key: &str) -> usize {
    server.hub.sessions(key).await.len()
}

#[tokio::test]
async fn what_others_write_keeps_nobody_out() {
    let server = server().await;
    for (path, lines) in [
        ("/websocket", &[&b"Cookie: sid=alice; nick=Jos\xe9"[..]][..]),
        ("/websocket", &[b"Cookie: nick=Jos\xc3\xa9; sid=alice"]),
        ("/websocket", &[b"Cookie: \xff\xfe=\xfd; sid=\"alice\"; \xe9"]),
        ("/websocket", &[b"Cookie: \xff", b"Cookie: sid=alice"]),
        ("/websocket", &[b"Cookie: sid=alice; sid=alice"]),
        ("/websocket/alice", &[b"Cookie: nick=Jos\xe9"]),
        // Other schemes, in one line or in several.
        ("/websocket/alice", &[b"Authorization: Digest username=\"Jos\xe9\""]),
        ("/websocket", &[b"Authorization: Basic eDp5", b"Authorization: Bearer alice"]),
        // Other parameters.
        ("/websocket?nick=%FF&key=alice&%C0=%", &[]),
        ("/websocket/alice?nick=%FF", &[]),
        // Lists into which proxies write.
        ("/websocket/alice", &[b"Connection: \xe9, keep-alive , upgrade"]),
        ("/websocket/alice", &[b"Connection: \xff", b"Connection: Upgrade"]),
        ("/websocket/alice", &[b"Upgrade: caf\xe9, websocket"]),
        ("/websocket/alice", &[b"Sec-WebSocket-Extensions: x; y=\"\xe9\""]),
        // Headers that nobody asks for.
        ("/websocket/alice", &[b"X-Name: \xff", b"Referer: http://\xe9/", b"Forwarded: \xff"]),
    ] {
        let (head, mut raw) = ask(&server, path, lines).await;
        let case = lines.join(&b" | "[..]).escape_ascii().to_string();
        assert_eq!(head.status, 101, "{path} {case}");
        raw.write(&support::masked(support::TEXT, br#"{"flag":"kw:ping"}"#)).await;
        assert_eq!(raw.push().await["flag"], "kw:pong", "{path} {case}");
        assert_eq!(sees(&server, "alice").await, 1, "{path} {case}");
        server.hub.disconnect("alice").await;
        support::until("the end", async || match sees(&server, "alice").await {
            0 => Ok(()),
            left => Err(format!("{left} sessions")),
        })
        .await;
    }
}

/// Every page of the host can add one: it must not choose the user, nor keep the user out for good.
#[tokio::test]
async fn a_second_cookie_neither_chooses_the_user_nor_refuses_for_good() {
    let server = server().await;
    for lines in [
        &[&b"Cookie: sid=mallory; sid=alice"[..]][..],
        &[b"Cookie: sid=alice; sid=mallory"],
        &[b"Cookie: sid=alice", b"Cookie: sid=mallory"],
        &[b"Cookie: sid=alice; sid=\xff"],
        &[b"Cookie: sid=; sid=alice"],
    ] {
        let case = lines.join(&b" | "[..]).escape_ascii().to_string();
        let (head, _) = ask(&server, "/websocket", lines).await;
        assert_eq!((head.status, head.json()), (503, json!({ "error": "ambiguous" })), "{case}");
        assert_eq!(head.header("retry-after"), Some("5"), "{case}");
        let (head, mut raw) = ask(&server, "/websocket", &[lines, &[V1]].concat()).await;
        assert_eq!(head.status, 101, "{case}");
        let close = raw.frame().await.expect("a close frame");
        assert_eq!((close.close_code(), &close.payload[2..]), (1013, &b"ambiguous"[..]), "{case}");

        // Another credential decides.
        let (head, mut raw) = ask(&server, "/websocket/bob", lines).await;
        assert_eq!(head.status, 101, "{case}");
        raw.write(&support::masked(support::TEXT, br#"{"flag":"kw:ping"}"#)).await;
        raw.push().await;
        assert!(sees(&server, "bob").await >= 1, "{case}");
    }
    assert_eq!((sees(&server, "alice").await, sees(&server, "mallory").await), (0, 0));
}

/// What is wrong with what was asked for is still wrong.
#[tokio::test]
async fn the_asked_for_is_judged() {
    let server = server().await;
    for (path, line, status, error) in [
        ("/websocket/alice", &b"Cookie: sid=\xff"[..], 400, "malformed"),
        ("/websocket/alice", b"Authorization: Bearer \xff", 400, "malformed"),
        ("/websocket/alice", b"Authorization: Bearer a\r\nAuthorization: Bearer a", 400, "malformed"),
        ("/websocket/alice?key=%FF", b"X: y", 400, "malformed"),
        ("/websocket/alice?key=a&key=a", b"X: y", 400, "malformed"),
        // No browser sends these.
        ("/websocket/alice", b"Origin: http://localhost\r\nOrigin: http://localhost", 403, "forbidden"),
        ("/websocket/alice", b"Origin: http://localhost\xff", 403, "forbidden"),
    ] {
        let (head, _) = ask(&server, path, &[line]).await;
        let line = line.escape_ascii().to_string();
        assert_eq!((head.status, head.json()), (status, json!({ "error": error })), "{path} {line}");
    }
    // The client alone writes this list, and RFC 6455, section 4.2.1 demands that it be one.
    for line in [&b"Sec-WebSocket-Protocol: keywire.v1, caf\xe9"[..], b"Sec-WebSocket-Protocol: a, a"] {
        assert_eq!(ask(&server, "/websocket/alice", &[line]).await.0.status, 400);
    }
}

/// Outside of an opening too, where nobody has looked at the list.
#[test]
fn a_handshake_of_ones_own_finds_what_stands_beside_garbage() {
    let mut request = Request::new(());
    let offer = b"caf\xe9, keywire.v1, base64url.bearer.keywire.c2VzYW1l";
    let value = HeaderValue::from_bytes(offer).expect("a header's value");
    request.headers_mut().insert("sec-websocket-protocol", value);
    let handshake = Handshake::new(request);
    assert_eq!(handshake.protocol_token(), Ok(Some("sesame".into())));
}

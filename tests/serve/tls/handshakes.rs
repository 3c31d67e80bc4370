//! Handshakes that do not come to their end, and clients that do not begin one.

use std::io::{Read as _, Write as _};
use std::net::TcpStream as Blocking;
use std::sync::Arc;
use std::time::Duration;

use keywire::serve::ServeConfig;
use rustls::ClientConnection;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Served;
use crate::support::{Over, Raw, Wire, tls_client, within};

/// The beginning of a ClientHello of 512 bytes.
const HALF: [u8; 11] = [22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];

/// Nothing ends a connection but another.
fn places(connections: usize) -> ServeConfig {
    ServeConfig {
        connections,
        head_timeout: Duration::MAX,
        idle_timeout: Duration::MAX,
        ..ServeConfig::default()
    }
}

async fn start(config: ServeConfig) -> Served {
    Served::start_over(Over::Tls, crate::By::Adapter, config).await
}

/// A connection without a handshake.
async fn bare(server: &Served, bytes: &[u8]) -> Raw {
    let mut raw = Raw::connect(server.addr).await;
    raw.write(bytes).await;
    raw
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn clients_get_in_beside_hundreds_of_handshakes_that_do_not_end() {
    for bytes in [&[][..], &HALF] {
        let server = start(places(8)).await;
        let mut alice = server.client("alice").await;
        let mut silent = Vec::new();
        for _ in 0..300 {
            let mut raw = Raw::connect_from("127.0.0.2", server.addr).await;
            // The server may be full of them, and refuse.
            raw.try_write(bytes).await;
            silent.push(raw);
        }
        for _ in 0..8 {
            let mut raw = server.raw_from("127.0.0.3").await;
            assert_eq!(raw.get("/hello").await.body, "hello");
        }
        // From the same address too.
        silent.truncate(100);
        let mut bob = server.client("bob").await;
        alice.ping().await;
        bob.ping().await;
    }
}

#[tokio::test]
async fn a_handshake_has_a_time_limit() {
    let server =
        start(ServeConfig { head_timeout: Duration::from_millis(200), ..ServeConfig::default() }).await;
    for bytes in [&[][..], &HALF] {
        bare(&server, bytes).await.gone().await;
    }
    // Each byte is a sign of life, and none of them helps.
    let mut dripping = bare(&server, &HALF).await;
    within("the end", async {
        while dripping.try_write(b"x").await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_within_its_handshake_leaves_its_place() {
    let server = start(places(1)).await;
    for bytes in [&[][..], &HALF] {
        drop(bare(&server, bytes).await);
        bare(&server, bytes).await.reset();
    }
    server.kept().await;
}

#[tokio::test]
async fn plain_http_is_answered_in_plain() {
    let server = start(ServeConfig::default()).await;
    let large = format!("POST /length HTTP/1.1\r\nHost: localhost\r\n\r\n{}", "x".repeat(1 << 20));
    for request in ["GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n", &large] {
        let mut raw = bare(&server, request.as_bytes()).await;
        // No alert stands in front.
        assert_eq!(raw.bytes(8).await, b"HTTP/1.1");
        let head = raw.head().await;
        assert_eq!((head.status, &*head.body), (400, "This port needs TLS.\n"));
        assert!(raw.frame().await.is_none(), "an end in order");
    }
}

#[tokio::test]
async fn any_bytes_may_come() {
    let server = start(ServeConfig { head_timeout: Duration::from_secs(1), ..ServeConfig::default() }).await;
    let mut hello = Vec::new();
    let name = "localhost".try_into().expect("a name");
    let mut client = ClientConnection::new(Arc::new(tls_client()), name).expect("a client");
    client.write_tls(&mut hello).expect("bytes");
    let mut garbage =
        vec![vec![0; 64], vec![0xff; 1 << 17], b"\x16\x03\x01\xff\xff".to_vec(), b"SSH-2.0-x\r\n".to_vec()];
    for at in (0..hello.len()).step_by(7) {
        let mut broken = hello.clone();
        broken[at] ^= 0xff;
        garbage.push(broken);
    }
    for bytes in garbage {
        let mut raw = Raw::connect(server.addr).await;
        raw.try_write(&bytes).await;
        drop(raw);
    }
    server.kept().await;
}

/// A handshake that has begun when the server ends. Nothing of it runs meanwhile: this is its only thread.
#[tokio::test]
async fn a_handshake_under_way_and_its_request_are_answered_at_the_end() {
    let server = start(ServeConfig::default()).await;
    let name = "localhost".try_into().expect("a name");
    let mut client = ClientConnection::new(Arc::new(tls_client()), name).expect("a client");
    let mut stream = Blocking::connect(server.addr).expect("a listener");
    client.write_tls(&mut stream).expect("a connection");
    let mut silent = Blocking::connect(server.addr).expect("a listener");
    server.stop.send(()).expect("a server");
    let answer = tokio::task::spawn_blocking(move || {
        while client.is_handshaking() {
            client.complete_io(&mut stream).expect("a handshake");
        }
        // Far away.
        std::thread::sleep(Duration::from_millis(100));
        let mut stream = rustls::Stream::new(&mut client, &mut stream);
        stream.write_all(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("a connection");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an end in order");
        answer
    });
    let answer = within("the answer", answer).await.expect("an answer");
    assert!(answer.to_lowercase().contains("connection: close") && answer.ends_with("hello"), "{answer}");
    assert_eq!(within("the end", server.running).await.unwrap(), 0);
    assert_eq!(silent.read(&mut [0]).expect("an end in order"), 0);
}

/// A client that does not answer the close frame. What it has got is whole, and TLS says so.
#[tokio::test]
async fn a_session_that_is_cut_ends_with_close_notify() {
    let grace = Duration::from_millis(100);
    let server = start(ServeConfig { grace, ..ServeConfig::default() }).await;
    let Wire::Tls(mut stream) = Over::Tls.connect(server.addr).await.expect("a connection") else {
        panic!("not TLS")
    };
    let ping = crate::support::masked(crate::support::TEXT, br#"{"flag":"kw:ping"}"#);
    let opening = crate::support::opening("/websocket/alice", &[]);
    stream.write_all(&[opening.as_bytes(), &ping].concat()).await.expect("a connection");
    // The session is in the store.
    let mut answer = Vec::new();
    while !answer.ends_with(br#""flag":"kw:pong"}"#) {
        within("the pong", stream.read_buf(&mut answer)).await.expect("a connection");
    }
    server.stop.send(()).expect("a server");
    answer.clear();
    within("the end", stream.read_to_end(&mut answer)).await.expect("`close_notify`");
    assert_eq!(answer, crate::support::frame(crate::support::CLOSE, &1001_u16.to_be_bytes(), None));
    assert_eq!(within("the end", server.running).await.unwrap(), 1);
}

/// A client that stops sending is still answered, and the end of its session is an end of TLS.
#[tokio::test]
async fn a_session_ends_with_close_notify_even_if_the_client_is_half_closed() {
    let server = start(ServeConfig::default()).await;
    let Wire::Tls(mut stream) = Over::Tls.connect(server.addr).await.expect("a connection") else {
        panic!("not TLS")
    };
    let opening = crate::support::opening("/websocket/alice", &[]);
    let close = crate::support::masked(crate::support::CLOSE, &1000_u16.to_be_bytes());
    stream.write_all(&[opening.as_bytes(), &close].concat()).await.expect("a connection");
    stream.shutdown().await.expect("a connection");
    let mut answer = Vec::new();
    within("the end", stream.read_to_end(&mut answer)).await.expect("`close_notify`");
    assert!(answer.ends_with(&crate::support::frame(crate::support::CLOSE, &1000_u16.to_be_bytes(), None)));
    TcpStream::connect(server.addr).await.expect("a server");
}

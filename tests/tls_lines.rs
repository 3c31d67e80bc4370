//! What is logged of a server's TLS. All tests listen: a line that one test does not want may otherwise be off for all.
#![cfg(all(feature = "tls", feature = "warp"))]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use keywire::auth::RawKey;
use keywire::serve::Tls;
use support::{Directory, Lines, Raw, fixture, until};
use tokio::net::TcpListener;
use tracing::Level;

/// What is logged from now on.
fn listen() -> (Lines, tracing::subscriber::DefaultGuard) {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(Level::DEBUG).with_ansi(false);
    let guard = tracing::subscriber::set_default(subscriber.with_writer(lines.clone()).finish());
    (lines, guard)
}

fn files(chain: &str, key: &str) -> Tls {
    Tls::files(fixture(chain), fixture(key)).expect("a pair")
}

async fn start(tls: Tls) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("an address");
    let hub = keywire::Hub::builder(RawKey::from_path()).build();
    let routes = keywire::adapter::warp::websocket("websocket", hub);
    tokio::spawn(keywire::serve(listener, warp::service(routes)).tls(tls).run());
    addr
}

async fn until_said(lines: &Lines, text: &str) {
    until(text, async || match lines.text() {
        said if said.contains(text) => Ok(()),
        said => Err(said),
    })
    .await;
}

#[test]
fn an_expired_certificate_is_used_with_a_warning() {
    let (lines, _guard) = listen();
    files("tls-localhost.pem", "tls-localhost.private.pem");
    assert_eq!(lines.text(), "");
    let tls = files("tls-expired.pem", "tls-renewed.private.pem");
    assert_eq!(tls.expires(), Some(UNIX_EPOCH + Duration::from_secs(1_738_368_000)));
    let said = lines.text();
    assert!(said.contains("WARN") && said.contains("has expired"), "{said}");
}

#[tokio::test]
async fn a_change_of_the_files_is_told_once() {
    let (lines, _guard) = listen();
    let directory = Directory::new("tls-lines");
    let path = |name| directory.0.join(name);
    // A check must not see half of a file here.
    let put = |from, to| {
        fs::copy(fixture(from), path("new")).expect("a file");
        fs::rename(path("new"), path(to)).expect("a file");
    };
    put("tls-localhost.pem", "chain.pem");
    put("tls-localhost.private.pem", "key.pem");
    let tls = Tls::files(path("chain.pem"), path("key.pem")).expect("a pair").check_every(Duration::ZERO);
    start(tls.clone()).await;
    put("tls-renewed.pem", "chain.pem");
    until_said(&lines, "the former stays in use").await;
    // Several checks, which find the same.
    tokio::time::sleep(Duration::from_millis(300)).await;
    put("tls-renewed.private.pem", "key.pem");
    until_said(&lines, "was replaced").await;
    fs::remove_file(path("key.pem")).expect("a file");
    until_said(&lines, "key.pem cannot be read cause=").await;
    put("tls-renewed.private.pem", "key.pem");
    until("a second line", async || match lines.text() {
        said if said.matches("was replaced").count() == 2 => Ok(()),
        said => Err(said),
    })
    .await;
    let said = lines.text();
    for (level, text, count) in [
        ("WARN", "does not match the first certificate", 1),
        ("WARN", "key.pem cannot be read cause=", 1),
        ("INFO", "the TLS certificate was replaced", 2),
    ] {
        let found: Vec<_> = said.lines().filter(|line| line.contains(text)).collect();
        assert!(found.len() == count && found.iter().all(|line| line.contains(level)), "{text}: {said}");
    }
}

#[tokio::test]
async fn a_failed_handshake_is_a_line_at_debug() {
    let (lines, _guard) = listen();
    let addr = start(files("tls-localhost.pem", "tls-localhost.private.pem")).await;
    for (bytes, is_http) in
        [(&b"GET / HTTP/1.1\r\n\r\n"[..], true), (b"\x16\x03\x01\x00\x04\x07\x00\x00\x00", false)]
    {
        lines.take();
        let mut raw = Raw::connect(addr).await;
        raw.write(bytes).await;
        raw.gone().await;
        until_said(&lines, "TLS handshake failed").await;
        let said = lines.text();
        let line = said.lines().find(|line| line.contains("TLS handshake failed")).expect("a line");
        let peer = format!("peer={}", raw.address());
        for part in ["DEBUG", &format!("is_http={is_http}"), &peer, "error="] {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert!(!said.contains("INFO") && !said.contains("WARN") && !said.contains("ERROR"), "{said}");
    }
}

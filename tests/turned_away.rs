//! What a client that is refused by a close code may make the server hold.
// Memory is read from /proc.
#![cfg(all(feature = "warp", target_os = "linux"))]

mod support;

use std::time::Duration;

use bytes::Bytes;
use keywire::adapter::{Connection, Handshake};
use keywire::auth::{Rejection, extract_fn};
use keywire::{Config, Hub, Identity};
use support::{CLOSE, TEXT, frame, masked, request, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// As many as are refused by a close code at a time.
const CLIENTS: usize = 1024;

fn hub() -> Hub {
    let keys = extract_fn(|_: Handshake| async { Err::<Identity, _>(Rejection::Invalid) });
    // Nobody is cut off while the test lasts.
    let config = Config { close_timeout: Duration::MAX, ..Config::default() };
    Hub::builder(keys).config(config).build()
}

async fn refused(hub: &Hub) -> Connection {
    let head = request(([127, 0, 0, 1], 1).into(), "/", &[("sec-websocket-protocol", "keywire.v1")]);
    let upgrade = hub.upgrade(Handshake::new(head)).await;
    assert_eq!(upgrade.response.status(), 101);
    upgrade.connection.expect("a connection")
}

fn goodbye() -> Vec<u8> {
    frame(CLOSE, &[&4501u16.to_be_bytes()[..], b"invalid"].concat(), None)
}

/// Alone in this file: the memory is the process's.
#[tokio::test]
async fn a_refused_client_is_read_from_and_nothing_is_kept() {
    // All but the end of the largest message, in one frame and in two.
    let whole = masked(TEXT, &[b'x'; 64 * 1024]);
    let mut fragments = masked(TEXT, &[b'x'; 60 * 1024]);
    fragments[0] &= 0x7f;
    fragments.extend([0x00, 0xfe, 0x0f, 0xff, 1, 2, 3, 4]);
    for message in [&whole[..60 * 1024], &fragments] {
        let hub = hub();
        let mut clients = Vec::new();
        let before = resident_bytes();
        for _ in 0..CLIENTS {
            let (mut client, server) = tokio::io::duplex(512);
            tokio::spawn(refused(&hub).await.run(server, Bytes::new()));
            // All of it fits only if the server reads.
            within("room to write", client.write_all(message)).await.expect("an open connection");
            clients.push(client);
        }
        let grown = resident_bytes().saturating_sub(before) >> 20;
        assert!(grown < 16, "{grown} MiB more for 60 MiB of messages");
        for mut client in clients {
            let mut read = vec![0; goodbye().len()];
            within("the close frame", client.read_exact(&mut read)).await.expect("a close frame");
            assert_eq!(read, goodbye());
        }
    }
    // Here too: the close frame that came with the opening is an answer to ours.
    let (mut client, server) = tokio::io::duplex(512);
    let early = masked(CLOSE, &1000u16.to_be_bytes());
    tokio::spawn(refused(&hub()).await.run(server, early.into()));
    let mut read = Vec::new();
    within("the end", client.read_to_end(&mut read)).await.expect("an end in order");
    assert_eq!(read, goodbye());
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux's /proc");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number of pages") * 4096
}

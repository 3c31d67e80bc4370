//! Thousands come and go, in every way there is, and nothing is left of them.
// File descriptors are counted in /proc.
#![cfg(all(feature = "warp", target_os = "linux"))]

mod support;

use futures_util::StreamExt as _;
use futures_util::stream;
use keywire::{Counts, Hub, Push, RawKey};
use support::{Client, Raw, Server, opening, until};

const CONNECTIONS: usize = 5_000;
const KEYS: usize = 500;
const AT_ONCE: usize = 50;

/// One connection. Its number decides whose it is and how it ends.
async fn come_and_go(server: &Server, number: usize) {
    let key = number % KEYS;
    let path = format!("/websocket/user-{key}");
    match number / KEYS {
        0..=3 => {
            let mut client = Client::connect(server.addr, &path, &[]).await.expect("an upgrade");
            assert_eq!(client.close(1000, "").await.code, 1000);
        }
        4 => drop(server.client(&format!("user-{key}")).await),
        5 => Client::connect(server.addr, &path, &[]).await.expect("an upgrade").reset(),
        // In the middle of the request.
        6 => {
            let mut raw = Raw::connect(server.addr).await;
            let request = opening(&path, &[]);
            raw.write(&request.as_bytes()[..request.len() / 2]).await;
        }
        // Before the answer to it.
        7 => {
            let mut raw = Raw::connect(server.addr).await;
            raw.write(opening(&path, &[]).as_bytes()).await;
        }
        // With a message unread and another half written.
        8 => {
            let mut raw = server.raw_session(&format!("user-{key}")).await;
            server.hub.send_to(format!("user-{key}"), Push::message("unread")).await;
            raw.write(&support::masked(1, br#"{"flag":"x"}"#)[..7]).await;
        }
        _ => {
            let mut client = server.client(&format!("user-{key}")).await;
            server.hub.disconnect(format!("user-{key}")).await;
            let (_, end) = client.rest().await;
            assert_eq!(end.code, 4505);
        }
    }
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux's /proc").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_come_and_go_and_nothing_is_left() {
    let server = Server::start(Hub::builder().keys(RawKey::from_path()).build()).await;
    let before = open_files();

    stream::iter(0..CONNECTIONS).for_each_concurrent(AT_ONCE, |number| come_and_go(&server, number)).await;

    until("the store to be empty", async || match server.hub.counts().await {
        Counts { sessions: 0, keys: 0 } => Ok(()),
        counts => Err(format!("{counts:?}")),
    })
    .await;
    until("all sockets to be closed", async || match open_files() {
        now if now <= before => Ok(()),
        now => Err(format!("{now} files are open, {before} were before")),
    })
    .await;

    // And the server is as good as new.
    let mut client = server.client("user-0").await;
    assert_eq!(server.hub.counts().await, Counts { sessions: 1, keys: 1 });
    assert_eq!(server.hub.send_to("user-0", Push::message("still here")).await.delivered, 1);
    assert_eq!(client.next().await["msg"], "still here");
}

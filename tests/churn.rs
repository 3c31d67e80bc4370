//! Thousands come and go, in every way there is, and nothing is left of them.
// File descriptors are counted in /proc.
#![cfg(all(feature = "warp", target_os = "linux"))]

mod support;

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use keywire::auth::RawKey;
use keywire::store::Counts;
use keywire::{Hub, KeyExtractor as _, Push};
use support::{Client, Raw, Server, opening, until};

/// How many keys there are for each way to come and go.
const KEYS: usize = 500;
const AT_ONCE: usize = 50;

/// One connection. Its number decides whose it is and how it ends.
async fn come_and_go(server: &Server, number: usize) {
    let key = number % KEYS;
    let path = format!("/websocket/user-{key}");
    match number / KEYS % 10 {
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

/// What a server must not have more of afterwards.
fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux's /proc").count()
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// What this process occupies, clients and all, in KiB.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux's /proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

async fn back_to(before: usize, what: &str, now: impl Fn() -> usize) {
    until("everything to be given back", async || match now() {
        now if now <= before => Ok(()),
        now => Err(format!("{now} {what}, {before} before")),
    })
    .await;
}

async fn churn(server: &Server, connections: std::ops::Range<usize>) {
    stream::iter(connections).for_each_concurrent(AT_ONCE, |number| come_and_go(server, number)).await;
    until("the store to be empty", async || match server.hub.counts().await {
        Counts { sessions: 0, keys: 0 } => Ok(()),
        counts => Err(format!("{counts:?}")),
    })
    .await;
}

/// Memory has to be back where it was after the first 5,000, but for what an allocator does not hand back: so the less a
/// session may leak, the more of them there are.
async fn come_and_go_and_leave_nothing(connections: usize) {
    const WARM_UP: usize = 5_000;
    const UNRETURNED: usize = 8 * 1024;
    // Every session has one, in its identity.
    let mark = Arc::new(());
    let marked = mark.clone();
    let keys = RawKey::from_path().map(move |identity| identity.with(marked.clone()));
    let server = Server::start(Hub::builder(keys).build()).await;
    let (files, tasks_before, marks) = (open_files(), tasks(), Arc::strong_count(&mark));

    churn(&server, 0..WARM_UP).await;
    let before = memory();
    churn(&server, WARM_UP..WARM_UP + connections).await;
    back_to(files, "open files", open_files).await;
    back_to(tasks_before, "tasks", tasks).await;
    back_to(marks, "sessions", || Arc::strong_count(&mark)).await;
    println!("{connections} connections: {:+} KiB of memory", memory() as isize - before as isize);
    back_to(before + UNRETURNED, "KiB of memory", memory).await;

    // And the server is as good as new.
    let mut client = server.client("user-0").await;
    assert_eq!(server.hub.counts().await, Counts { sessions: 1, keys: 1 });
    assert_eq!(server.hub.send_to("user-0", Push::message("still here")).await.delivered, 1);
    assert_eq!(client.next().await["msg"], "still here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_come_and_go_and_nothing_is_left() {
    come_and_go_and_leave_nothing(5_000).await;
}

/// For `make soak`: a leak of 100 bytes for each would be seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute or more"]
async fn a_hundred_thousand_come_and_go_and_nothing_is_left() {
    come_and_go_and_leave_nothing(95_000).await;
}

//! A peer whose process is stopped, and one that reads nothing of a flood: real ones, with real sockets between.
// Processes are stopped with `kill`, and memory is read in /proc.
#![cfg(all(feature = "warp", target_os = "linux"))]

mod support;

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keywire::auth::RawKey;
use keywire::message::Frame;
use keywire::session::ClosedBy;
use keywire::store::{Order, Outcome, Recipients};
use keywire::{Config, Hub};
use support::{Client, Server, opening, telling_ends, until, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const ADDRESS: &str = "KEYWIRE_TEST_SERVER";

/// A client in a process of its own: this program, told to run the next test and nothing else.
struct Process(Child);

impl Process {
    fn start(addr: SocketAddr) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--ignored", "--exact", "the_client"]).env(ADDRESS, addr.to_string());
        Self(command.stdout(Stdio::null()).spawn().expect("another process"))
    }

    fn signal(&self, signal: &str) {
        // The shell's own `kill`: the program is not on every machine.
        let status =
            Command::new("sh").args(["-c", "kill \"$0\" \"$1\"", signal, &self.0.id().to_string()]).status();
        assert!(status.expect("a shell").success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
#[ignore = "a part of other tests"]
async fn the_client() {
    let Ok(addr) = std::env::var(ADDRESS) else { return };
    let addr = addr.parse().expect("an address");
    let mut client = Client::connect(addr, "/websocket/alice", &[]).await.expect("an upgrade");
    // Answers pings meanwhile.
    client.receive().await;
}

#[tokio::test]
async fn a_client_that_is_stopped_is_given_up() {
    let (switch, mut ends) = telling_ends();
    let config = Config {
        ping_interval: Some(Duration::from_millis(50)),
        pong_timeout: Duration::from_secs(2),
        close_timeout: Duration::from_millis(100),
        ..Config::default()
    };
    let hub = Hub::builder(RawKey::from_path()).handler(switch).config(config).build();
    let server = Server::start(hub).await;
    let process = Process::start(server.addr);
    let session = until("the other process", async || {
        server.hub.sessions("alice").await.pop().ok_or_else(|| "nobody".to_owned())
    })
    .await;
    process.signal("-STOP");
    let (ended, closed) = ends.next("the end").await;
    assert_eq!(ended, session);
    assert_eq!((u16::from(closed.code), closed.by), (4002, ClosedBy::Server));
    assert_eq!(server.hub.counts().await.sessions, 0);
}

/// A session that is read by the byte, faster than any decoder.
async fn open(server: &Server, key: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.addr).await.expect("a listening server");
    let opening = opening(&format!("/websocket/{key}"), &[]);
    stream.write_all(opening.as_bytes()).await.expect("an open connection");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("the answer", stream.read_u8()).await.expect("an open connection"));
    }
    until("the session", async || match server.hub.sessions(key).await.len() {
        1 => Ok(()),
        sessions => Err(format!("{sessions}")),
    })
    .await;
    stream
}

/// What this process occupies, in MiB.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux's /proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") >> 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_nothing_of_a_flood_of_a_gigabyte_harms_nobody() {
    const FRAME: u64 = 256 * 1024;
    const FLOOD: u64 = 1 << 30;
    let (switch, mut ends) = telling_ends();
    let config = Config { ping_interval: None, ..Config::default() };
    let hub = Hub::builder(RawKey::from_path()).handler(switch).config(config).build();
    let server = Server::start(hub).await;
    let _deaf = open(&server, "deaf").await;
    let deaf = server.hub.sessions("deaf").await.remove(0);

    let read = Arc::new(AtomicU64::new(0));
    let mut readers = Vec::new();
    for key in ["bob", "carol"] {
        let mut stream = open(&server, key).await;
        let read = read.clone();
        readers.push(tokio::spawn(async move {
            let (mut buffer, mut left) = (vec![0; 1 << 20], FLOOD / FRAME * (FRAME + 10));
            while left > 0 {
                let len = within("the flood", stream.read(&mut buffer)).await.expect("no reset");
                assert!(len > 0, "the end before all was there");
                left -= len as u64;
                read.fetch_add(len as u64, Ordering::Relaxed);
            }
        }));
    }

    let before = memory();
    let (mut slow, mut most) = (0, 0);
    let fill = vec![0; FRAME as usize];
    for sent in 0..FLOOD / FRAME {
        // As fast as the good ones read.
        while 2 * sent * FRAME > read.load(Ordering::Relaxed) + FRAME {
            tokio::task::yield_now().await;
        }
        // Each has memory of its own.
        let order = Order::Deliver(Frame::binary(&fill));
        let delivery = server.hub.dispatch(&Recipients::everyone(), &order).await;
        assert!(delivery.delivered >= 2, "{delivery:?}");
        slow += delivery.slow;
        most = most.max(memory());
    }
    for reader in readers {
        within("a reader", reader).await.expect("all of it");
    }
    println!("{} MiB more memory at the most", most - before.min(most));
    assert!(most < before + 32, "{before} MiB before, {most} MiB at the most");
    assert_eq!(slow, 1);
    let (ended, closed) = ends.next("the end").await;
    assert_eq!((ended, u16::from(closed.code), closed.by), (deaf.clone(), 4003, ClosedBy::Server));
    assert_eq!(deaf.send_frame(&Frame::text("")), Outcome::Gone);
}

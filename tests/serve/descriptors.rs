//! A server that runs out of file descriptors.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use keywire::serve::ServeConfig;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

use crate::Served;
use crate::support::{Raw, within};

const CHILD: &str = "KEYWIRE_TEST_CHILD";

/// The server that the test below starts as a process of its own. By itself this shows that it can be started so, and that
/// it serves.
#[tokio::test]
#[ignore = "a part of another test"]
async fn child() {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stdout).init();
    let server = Served::start(ServeConfig::default()).await;
    assert_eq!(Raw::connect(server.addr).await.get("/hello").await.status, 200);
    println!("\nlistens: {}", server.addr);
    if std::env::var_os(CHILD).is_some() {
        let cut = server.running.await.expect("a server that does not panic");
        panic!("it ended by itself, and cut {cut} connections");
    }
}

async fn line_with(lines: &mut Lines<BufReader<ChildStdout>>, what: &str) -> String {
    within(what, async {
        loop {
            let line = lines.next_line().await.expect("text").expect("a child that lives");
            if line.contains(what) {
                return line;
            }
        }
    })
    .await
}

/// The processor time of a process, in hundredths of a second.
fn processor_time(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let fields: Vec<_> = fields.split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

#[tokio::test]
async fn without_descriptors_it_waits_and_goes_on_when_there_are_some() {
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 64; exec \"$0\" --exact descriptors::child --ignored --nocapture"])
        .arg(std::env::current_exe().expect("this test"))
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("a shell");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let line = line_with(&mut lines, "listens: ").await;
    let addr = line.rsplit(' ').next().and_then(|addr| addr.parse().ok()).expect("an address");

    let mut first = Raw::connect(addr).await;
    assert_eq!(first.get("/hello").await.status, 200);
    // Those that the server cannot accept wait in the system's queue.
    let mut others = Vec::new();
    for _ in 0..100 {
        others.push(Raw::connect(addr).await);
    }
    line_with(&mut lines, "cannot accept connections").await;
    let pid = child.id().expect("a child that lives");
    let before = processor_time(pid);
    // A stretch of time is the subject here, of the process's own: to accept again and again would take all of it.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let spent = processor_time(pid) - before;
    println!("{spent} hundredths of a second of processor time in 2 s without descriptors");
    assert!(spent < 20, "{spent} hundredths of a second");
    assert_eq!(first.get("/hello").await.status, 200, "whoever is in is served");

    drop(others);
    line_with(&mut lines, "connections are accepted again").await;
    let mut next = Raw::connect(addr).await;
    assert_eq!(next.get("/hello").await.status, 200);
    assert_eq!(child.try_wait().expect("a child"), None, "it goes on until it is told to end");
    child.kill().await.expect("an end");
}

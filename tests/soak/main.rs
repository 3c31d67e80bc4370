//! Everything at once, for as long as one likes: guests that come and go, flood, stall, break off, fall silent and break the
//! rules, and witnesses to whom nothing of it may matter. `make soak` runs it for 10 minutes, `make test` for some seconds.
//!
//! What must hold throughout, by the numbers of the invariants in ARCHITECTURE.md: a session leaves the store however it
//! ends (1); nobody waits for others and queues are bounded (2); `sender` is true (3); messages arrive in order, all of them
//! (4); the close code says why (6); a `Delivery` tells the truth (7); and at the end nothing is left.
// File descriptors and memory are read in /proc.
#![cfg(all(feature = "warp", target_os = "linux"))]

#[path = "../support/mod.rs"]
mod support;

mod followers;
mod guests;
mod tally;
mod witnesses;

use std::sync::Arc;
use std::time::{Duration, Instant};

use keywire::auth::RawKey;
use keywire::message::Code;
use keywire::store::Counts;
use keywire::{Config, Envelope, HandlerResult, Hub, Push, Reply, Session, Switch};
use rand::random_range;
use support::{Server, until};
use tally::{Tally, memory};

/// So many guests at a time.
const GUESTS: usize = 32;

/// A peer is given up after both of these.
const PING_INTERVAL: Duration = Duration::from_millis(500);
const PONG_TIMEOUT: Duration = Duration::from_secs(5);

/// Passes on what a client says to another.
async fn relay(session: Session, envelope: Envelope) -> HandlerResult {
    let Some(to) = &envelope.reception else { return Ok(Reply::error(Code::MALFORMED, "to whom?")) };
    let push = Push::data(&envelope.body).with_flag("inform").with_sender(&envelope.sender);
    session.hub().send_to(to, push).await;
    Ok(Reply::none())
}

/// Says it again, or fails as it is told to.
async fn command(_: Session, envelope: Envelope) -> HandlerResult {
    match envelope.body.as_str() {
        // Without the message that a panic prints.
        r#""panic""# => std::panic::resume_unwind(Box::new("as it was told to")),
        r#""fail""# => Err(keywire::handler::HandlerError::msg("as it was told to")),
        _ => Ok(Reply::data(envelope.body)),
    }
}

fn hub(tally: &Arc<Tally>) -> Hub {
    let (opened, closed) = (tally.clone(), tally.clone());
    let switch = Switch::new()
        .inform(relay)
        .command(command)
        .opened(move |_| {
            opened.opened();
            async { Ok(()) }
        })
        .closed(move |_, end: keywire::session::Closed| {
            closed.closed(end.code.into());
            async {}
        })
        .failed(|_, _| async {});
    let config = Config {
        ping_interval: Some(PING_INTERVAL),
        pong_timeout: PONG_TIMEOUT,
        close_timeout: Duration::from_millis(500),
        ..Config::default()
    };
    Hub::builder(RawKey::from_path()).handler(switch).config(config).log(followers::flaky_log()).build()
}

async fn soak(time: Duration) {
    let tally = Arc::new(Tally::default());
    let server = Arc::new(Server::start(hub(&tally)).await);
    let tasks = tokio::runtime::Handle::current().metrics();
    // What the first connection needs for ever is no leak.
    server.client("first").await.close(1000, "").await;
    nobody(&server).await;
    let (files_before, tasks_before) = (tally::open_files(), tasks.num_alive_tasks());

    let start = Instant::now();
    let witnesses = witnesses::come(&server, &tally).await;
    let mut guests = tokio::task::JoinSet::new();
    guests.spawn(followers::come(server.clone(), tally.clone(), time));
    for number in 0..GUESTS {
        let kinds = if number % 4 == 0 { guests::SLOW } else { guests::QUICK };
        let (server, tally) = (server.clone(), tally.clone());
        guests.spawn(async move {
            while start.elapsed() < time {
                guests::visit(&server, &tally, random_range(kinds.clone())).await;
            }
        });
    }
    // What memory a rush takes is seen after the first of it, what leaks at the end.
    let mut memory_before = None;
    let mut progress = tokio::time::interval(Duration::from_secs(5));
    progress.tick().await;
    loop {
        tokio::select! {
            guest = guests.join_next() => match guest {
                Some(guest) => guest.expect("a guest whose every wish is met"),
                None => break,
            },
            _ = progress.tick() => {
                witnesses.assert_alive();
                println!("{}", tally.progress(start.elapsed(), server.hub.counts().await));
                if memory_before.is_none() && start.elapsed() * 4 > time {
                    memory_before = Some(memory());
                }
            }
        }
    }
    witnesses.leave(&server).await;
    nobody(&server).await;
    until("all tasks to end", async || match tasks.num_alive_tasks() {
        now if now <= tasks_before => Ok(()),
        now => Err(format!("{now} tasks, {tasks_before} were before")),
    })
    .await;
    let leaked = until("all sockets to be closed", async || match tally::open_files() {
        now if now <= files_before => Ok(0),
        now => Err(format!("{now} files, {files_before} were before")),
    })
    .await;
    let drift = memory_before.map(|before| memory() as i64 - before as i64);
    println!("{}", tally.figures(start.elapsed(), leaked, drift));
    tally.assert_balanced();
    if let Some(drift) = drift {
        assert!(drift < 64 << 20, "memory grew by {drift} bytes");
    }
}

async fn nobody(server: &Server) {
    until("the store to be empty", async || match server.hub.counts().await {
        Counts { sessions: 0, keys: 0 } => Ok(()),
        counts => Err(format!("{counts:?}")),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn for_some_seconds() {
    soak(Duration::from_secs(5)).await;
}

/// For `make soak`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes as long as it is told to"]
async fn for_long() {
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    soak(Duration::from_secs(seconds.unwrap_or(600))).await;
}

//! What groups cost: to join and leave, and to send to many members.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use keywire::auth::RawKey;
use keywire::limits::SessionPolicy;
use keywire::message::Frame;
use keywire::store::MemoryStore;
use keywire::{Hub, Identity, Key, Session, SessionStore};

/// What groups cost.
#[derive(Parser)]
struct Options {
    /// Sessions, all of which are in one group.
    #[arg(long, default_value_t = 100_000)]
    sessions: usize,

    /// Groups that one session is in.
    #[arg(long, default_value_t = 1000)]
    groups: usize,

    /// How often everything is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime cannot be had only where there are no threads and no epoll");
    match runtime.block_on(measure(&Options::parse())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("groups: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: &Options) -> Result<()> {
    let store = Arc::new(MemoryStore::new());
    let hub = Hub::builder(RawKey::from_path()).store(store.clone()).build();
    let key = |number| Key::new(format!("user{number}"));
    let session = |number| Ok(Session::detached_on(&hub, Identity::new(key(number)?)).0);
    let rooms: Vec<_> = (0..options.groups).map(|number| format!("room-{number}")).collect();
    // Empty, so that no queue fills.
    let nothing = Frame::join([]);

    let mut rows = Rows::default();
    for _ in 0..options.rounds {
        let sessions: Vec<Session> = (0..options.sessions).map(session).collect::<Result<_>>()?;
        let since = Instant::now();
        for session in &sessions {
            store.insert(session.clone(), SessionPolicy::default()).await?;
        }
        rows.add("a session enters the store", since, sessions.len(), "");

        let since = Instant::now();
        for session in &sessions {
            session.join("all").await?;
        }
        rows.add("a session joins a large group", since, sessions.len(), "≤ 1 µs");

        let since = Instant::now();
        hub.send_to_group("all", &nothing).await;
        rows.add("a push, for each member of the large group", since, sessions.len(), "");

        let since = Instant::now();
        hub.broadcast(&nothing).await;
        rows.add("a push, for each session of a broadcast", since, sessions.len(), "");

        let since = Instant::now();
        hub.cluster_members("all", 100).await;
        rows.add("the members and 100 keys, for each member", since, sessions.len(), "");

        let since = Instant::now();
        for session in &sessions {
            session.leave("all").await;
        }
        rows.add("a session leaves a large group", since, sessions.len(), "≤ 1 µs");

        let since = Instant::now();
        for room in &rooms {
            sessions[0].join(room).await?;
        }
        rows.add("one session joins a new group", since, rooms.len(), "≤ 1 µs");

        let since = Instant::now();
        for room in &rooms {
            sessions[0].leave(room).await;
        }
        rows.add("one session leaves a group, the last", since, rooms.len(), "≤ 1 µs");

        let since = Instant::now();
        for number in 0..options.sessions {
            hub.send_to(key(number)?, &nothing).await;
        }
        rows.add("a push to a key", since, sessions.len(), "");

        let since = Instant::now();
        for session in &sessions {
            store.remove(session).await;
        }
        rows.add("a session leaves the store", since, sessions.len(), "");
    }
    rows.print();
    Ok(())
}

/// What was measured, in nanoseconds.
#[derive(Default)]
struct Rows(Vec<(&'static str, &'static str, Vec<f64>)>);

impl Rows {
    fn add(&mut self, what: &'static str, since: Instant, times: usize, to_reach: &'static str) {
        let nanos = since.elapsed().as_secs_f64() * 1e9 / times as f64;
        match self.0.iter_mut().find(|row| row.0 == what) {
            Some((_, _, measured)) => measured.push(nanos),
            None => self.0.push((what, to_reach, vec![nanos])),
        }
    }

    fn print(mut self) {
        println!("| | median | to reach |\n|---|---|---|");
        for (what, to_reach, measured) in &mut self.0 {
            measured.sort_by(f64::total_cmp);
            println!("| {what} | {:.0} ns | {to_reach} |", measured[measured.len() / 2]);
        }
    }
}

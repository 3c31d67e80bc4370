//! Many nodes in one process on a simulated engine: what a cluster sends and remembers, counted, for `docs/explanation/scale.md`.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use futures_util::FutureExt as _;
use keywire::auth::RawKey;
use keywire::cluster::presence::MemoryPresence;
use keywire::cluster::{Cluster, MemoryBackplane};
use keywire::log::MemoryLog;
use keywire::{Config, Hub, Push};
use keywire_bench::crossing::{self, resident};
use keywire_bench::load::Cpu;
use tokio::io::{AsyncReadExt as _, DuplexStream};
use tokio::task::JoinSet;

/// Many nodes in one process on a simulated engine.
#[derive(Parser)]
struct Options {
    /// Nodes.
    #[arg(long, default_value_t = 20)]
    nodes: usize,

    /// Users.
    #[arg(long, default_value_t = 100_000)]
    keys: usize,

    /// Sessions of each user, each on a random node.
    #[arg(long, default_value_t = 2)]
    tabs: usize,

    /// Pushes to random users from random nodes.
    #[arg(long, default_value_t = 100_000)]
    pushes: usize,
}

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime cannot be had only where there are no threads and no epoll");
    match runtime.block_on(simulate(&Options::parse())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simulate: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A session, and the client's end of its connection.
struct Tab {
    node: usize,
    key: usize,
    client: DuplexStream,
}

async fn simulate(options: &Options) -> Result<()> {
    let (backplane, presence) = (MemoryBackplane::new(), MemoryPresence::new());
    let log = Arc::new(MemoryLog::new().shared_in_process());
    let config = Config { ping_interval: None, ..Config::default() };
    let mut config = config;
    config.limits.sessions = usize::MAX >> 8;
    let node = || {
        let cluster = Cluster::from(backplane.join()).log(log.clone()).presence(presence.clone());
        Hub::builder(RawKey::from_path()).config(config.clone()).cluster(cluster).build()
    };
    let nodes: Vec<Hub> = (0..options.nodes).map(|_| node()).collect();
    let mut random = Random(1);
    println!(
        "| {} nodes, {} users, {} sessions | |\n|---|---|",
        options.nodes,
        options.keys,
        options.keys * options.tabs
    );

    let (memory, cpu, since) = (resident()?, processor()?, Instant::now());
    let mut tabs = Vec::new();
    for key in 0..options.keys {
        for _ in 0..options.tabs {
            let node = random.below(options.nodes);
            tabs.push(Tab { node, key, client: open(&nodes[node], key).await? });
        }
    }
    settle(&nodes, &tabs).await;
    let each = (resident()? - memory) / tabs.len() as f64;
    row(
        "memory of a session, with its topic, presence, and the pipe of this simulation",
        &format!("{each:.0} B"),
    );
    let opened = micros(processor()? - cpu, tabs.len());
    row("CPU of an opening, with its subscription and presence", &opened);
    row("openings", &format!("{:.1} s", since.elapsed().as_secs_f64()));

    // Which nodes have which user.
    let mut present = vec![Vec::new(); options.keys];
    for tab in &tabs {
        if !present[tab.key].contains(&tab.node) {
            present[tab.key].push(tab.node);
        }
    }
    let before = received(&nodes);
    let (cpu, mut expected, mut delivered) = (processor()?, 0, 0);
    for _ in 0..options.pushes {
        let (from, key) = (random.below(options.nodes), random.below(options.keys));
        expected += present[key].iter().filter(|node| **node != from).count() as u64;
        delivered += nodes[from].send_to(name(key), Push::data(key)).await.delivered;
    }
    until(|| received(&nodes) - before >= expected).await;
    let crossed = received(&nodes) - before;
    if crossed != expected {
        return Err(format!("{crossed} messages reached nodes, {expected} have the users").into());
    }
    row(
        "messages that reached a node, of one push",
        &format!("{:.2}", crossed as f64 / options.pushes as f64),
    );
    row("of these at nodes without the user", "0");
    row(
        "sessions of the sending node that a push reached",
        &format!("{:.2}", delivered as f64 / options.pushes as f64),
    );
    row("CPU of a push on all nodes", &micros(processor()? - cpu, options.pushes));

    let before = received(&nodes);
    for from in nodes.iter().take(10) {
        from.broadcast(Push::message("all")).await;
    }
    let expected = (nodes.len().min(10) * (nodes.len() - 1)) as u64;
    until(|| received(&nodes) - before >= expected).await;
    row(
        "messages that reached a node, of one broadcast",
        &format!("{}", (received(&nodes) - before) / nodes.len().min(10) as u64),
    );
    drain(&mut tabs);

    // The engine is away while each user gets a kept push, and comes back.
    backplane.set_available(false);
    for key in 0..options.keys {
        nodes[random.below(options.nodes)].send_to(name(key), Push::data(key).kept()).await;
    }
    let (cpu, since) = (processor()?, Instant::now());
    backplane.set_available(true);
    let probe = &nodes[0];
    let mut slowest = Duration::ZERO;
    let mut reading = JoinSet::new();
    for mut tab in tabs {
        reading.spawn(async move { kept(&mut tab).await.map(|()| tab) });
    }
    let mut back = Vec::new();
    while let Some(tab) = reading.join_next().await {
        back.push(tab??);
        if back.len() % 1000 == 0 {
            let since = Instant::now();
            probe.send_to("nobody", Push::message("")).await;
            slowest = slowest.max(since.elapsed());
        }
    }
    row(
        "every follower has its kept push, after an outage",
        &format!("{:.1} s", since.elapsed().as_secs_f64()),
    );
    row("CPU of that, for each follower", &micros(processor()? - cpu, back.len()));
    row("the slowest send meanwhile", &format!("{:.1} ms", slowest.as_secs_f64() * 1000.0));

    // A node goes, and its pages open on the others.
    let (cpu, gone) = (processor()?, 0);
    let (moving, staying): (Vec<_>, Vec<_>) = back.into_iter().partition(|tab| tab.node == gone);
    let moved = moving.len();
    let down = nodes[gone].clone();
    let down = tokio::spawn(async move { down.shutdown(Duration::from_secs(10)).await });
    let keys: Vec<_> = moving.iter().map(|tab| tab.key).collect();
    drop(moving);
    let mut again = Vec::new();
    for key in keys {
        let node = 1 + random.below(options.nodes - 1);
        again.push(Tab { node, key, client: open(&nodes[node], key).await? });
    }
    down.await?;
    row("sessions of a node that is replaced", &format!("{moved}"));
    row("CPU of moving one", &micros(processor()? - cpu, moved));
    drop((staying, again));
    Ok(())
}

fn name(key: usize) -> String {
    format!("user{key}")
}

/// Opens a session that follows its log.
async fn open(hub: &Hub, key: usize) -> Result<DuplexStream> {
    let mut client = crossing::open(hub, &name(key), "keywire.v1, from.keywire.now", 512).await?;
    // The first word: the session is in the store and follows.
    match client.read(&mut [0; 512]).await? {
        0 => Err("closed".into()),
        _ => Ok(client),
    }
}

/// Reads what has come, and leaves nothing in the way of what comes.
fn drain(tabs: &mut [Tab]) {
    let mut bytes = [0; 512];
    for tab in tabs {
        while let Some(Ok(1..)) = tab.client.read(&mut bytes).now_or_never() {}
    }
}

/// Waits for a kept push.
async fn kept(tab: &mut Tab) -> Result<()> {
    let mut bytes = [0; 512];
    loop {
        let read = tab.client.read(&mut bytes).await?;
        if read == 0 {
            return Err("closed".into());
        }
        if bytes[..read].windows(5).any(|window| window == b"\"at\":") {
            return Ok(());
        }
    }
}

/// Waits until all sessions are recorded.
async fn settle(nodes: &[Hub], tabs: &[Tab]) {
    loop {
        let counts = nodes[0].cluster_counts().await;
        if counts.is_ok_and(|counts| counts.sessions == tabs.len()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Messages that the nodes have received from others.
fn received(nodes: &[Hub]) -> u64 {
    nodes.iter().filter_map(|node| node.health().cluster).map(|cluster| cluster.received).sum()
}

fn processor() -> Result<f64> {
    Ok(Cpu::of(std::process::id())?.total())
}

fn micros(seconds: f64, count: usize) -> String {
    format!("{:.1} µs", seconds * 1e6 / count as f64)
}

fn row(what: &str, measured: &str) {
    println!("| {what} | {measured} |");
}

/// The same numbers in every run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap_or_default()
    }
}

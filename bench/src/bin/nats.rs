//! What a cluster on NATS costs, as ratios within one run. It starts a `nats-server` of its own.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use futures_util::future::try_join_all;
use keywire::cluster::presence::Presence;
use keywire::cluster::{Backplane, Nats, Topic};
use keywire::log::{Draft, Limit, Log, ReadFrom};
use keywire::{Key, Push};
use keywire_bench::crossing::{crossing, median, micros, resident, row, timed};

/// What a cluster on NATS costs.
#[derive(Parser)]
struct Options {
    /// Calls of each kind, one after the other.
    #[arg(long, default_value_t = 10_000)]
    calls: usize,

    /// Keys.
    #[arg(long, default_value_t = 100_000)]
    keys: usize,
}

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Bytes of the text of a push, so that its JSON has 200.
const SIZE: usize = 179;
/// Callers at the same time.
const CALLERS: usize = 256;

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime cannot be had only where there are no threads and no epoll");
    match runtime.block_on(measure(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nats: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: &Options) -> Result<()> {
    let server = Server::start()?;
    let mut engines = Vec::new();
    for _ in 0..4 {
        engines.push(server.connect().await?);
    }
    println!("| | measured | beside | ratio | to reach |\n|---|---|---|---|---|");
    crossing(engines, options.calls).await?;

    let nats = server.connect().await?;
    let (log, presence) = (nats.log().ok_or("no log")?, nats.presence().ok_or("no presence")?);
    let keys: Vec<Key> = (0..options.keys)
        .map(|number| Key::new(format!("user{number}")))
        .collect::<std::result::Result<_, _>>()?;
    let draft = Draft::from(Push::message("x".repeat(SIZE)).kept());
    let limit = Limit { entries: 100, bytes: 256 * 1024 };
    let [mut appends, mut reads] = [Vec::new(), Vec::new()];
    for number in 0..options.calls {
        let key = &keys[number * 7919 % 1000.min(keys.len())];
        appends.push(timed(log.append(key, &draft)).await?);
        reads.push(timed(log.read(key, ReadFrom::Unread, limit)).await?);
    }
    println!("| a lone append, p50 | {} | | | |", micros(median(&mut appends)));
    println!("| a read of one user's page, p50 | {} | | | |", micros(median(&mut reads)));

    let since = Instant::now();
    let parts = keys.chunks(keys.len().div_ceil(CALLERS).max(1)).map(async |part| {
        for key in part {
            log.append(key, &draft).await?;
        }
        Result::Ok(())
    });
    try_join_all(parts).await?;
    println!(
        "| appends/s, {CALLERS} callers | {:.0} | | | |",
        keys.len() as f64 / since.elapsed().as_secs_f64()
    );

    let before = resident()?;
    for keys in keys.chunks(10_000) {
        let topics: Vec<_> = keys.iter().map(Topic::key).collect();
        try_join_all(topics.iter().map(|topic| nats.subscribe(topic))).await?;
    }
    let each = (resident()? - before) / keys.len() as f64;
    row("bytes of a subscription on the node", &format!("{each:.0}"), "300", each / 300.0, "≤ 1");

    presence.renew(nats.node(), Duration::from_secs(600)).await?;
    let online: Vec<_> = keys.iter().map(|key| (key.clone(), 1)).collect();
    let since = Instant::now();
    for online in online.chunks(500) {
        presence.update(nats.node(), online).await?;
    }
    println!("| {} keys recorded as online | {:.1} s | | | |", keys.len(), since.elapsed().as_secs_f64());
    Ok(())
}

struct Server {
    child: Child,
    port: u16,
    directory: PathBuf,
}

impl Server {
    fn start() -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let directory = std::env::temp_dir().join(format!("keywire-bench-nats-{port}"));
        // Where `scripts/setup` installs it.
        let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/servers/bin/nats-server");
        let program = if installed.exists() { installed } else { "nats-server".into() };
        let child = Command::new(program)
            .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
            .arg(&directory)
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, port, directory })
    }

    async fn connect(&self) -> Result<Nats> {
        let url = format!("nats://127.0.0.1:{}", self.port);
        for _ in 0..100 {
            if let Ok(nats) = Nats::connect(&url).await {
                return Ok(nats);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Nats::connect(&url).await?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

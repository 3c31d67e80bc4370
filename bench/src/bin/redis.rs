//! What the log, the subscriptions and the presence of a cluster on Redis cost, as ratios within one run: an append beside a bare
//! PUBLISH, and bytes on the server and on the node. It starts a `redis-server` of its own.

use std::error::Error;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use futures_util::future::try_join_all;
use keywire::cluster::presence::Presence;
use keywire::cluster::{Backplane, Redis, Topic};
use keywire::log::{Draft, Limit, Log, ReadFrom};
use keywire::{Key, Push};
use keywire_bench::crossing::{crossing, median, micros, resident, row, timed};

/// What a cluster on Redis costs.
#[derive(Parser)]
struct Options {
    /// Calls of each kind, one after the other.
    #[arg(long, default_value_t = 20_000)]
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
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: &Options) -> Result<()> {
    let server = Server::start().await?;
    let redis = Redis::connect(server.url()).await?;
    let keys: Vec<Key> = (0..options.keys)
        .map(|number| Key::new(format!("user{number}")))
        .collect::<std::result::Result<_, _>>()?;
    let topics: Vec<_> = keys.iter().map(Topic::key).collect();
    let draft = Draft::from(Push::message("x".repeat(SIZE)).kept());
    let bytes = Bytes::from(draft.push().to_string());
    println!("| | measured | beside | ratio | to reach |\n|---|---|---|---|---|");

    let [mut bare, mut appends, mut reads] = [Vec::new(), Vec::new(), Vec::new()];
    let limit = Limit { entries: 100, bytes: 256 * 1024 };
    for number in 0..options.calls {
        let at = number * 7919 % 1000.min(keys.len());
        bare.push(timed(redis.publish(&topics[at], bytes.clone())).await?);
        appends.push(timed(redis.append(&keys[at], &draft)).await?);
        reads.push(timed(redis.read(&keys[at], ReadFrom::Unread, limit)).await?);
    }
    let (bare, append, read) = (median(&mut bare), median(&mut appends), median(&mut reads));
    row(
        "a lone append, p50",
        &micros(append),
        &format!("{} for PUBLISH", micros(bare)),
        append / bare,
        "≤ 2",
    );
    row("a read of one user's page, p50", &micros(read), &micros(bare), read / bare, "");

    let mut engines = Vec::new();
    for _ in 0..4 {
        engines.push(Redis::connect(server.url()).await?);
    }
    crossing(engines, options.calls).await?;

    server.flush().await?;
    let (empty, count) = (server.memory().await?, keys.len() as f64);
    for to in ["new logs", "logs with an entry"] {
        let (cpu, since) = (server.cpu().await?, Instant::now());
        append_all(&redis, &keys, &draft).await?;
        let (cpu, wall) = (server.cpu().await? - cpu, since.elapsed().as_secs_f64());
        let what = format!("appends/s of one Redis core to {to}, {CALLERS} callers");
        let beside = format!("{:.0}/s in this run, beside its clients", count / wall);
        println!("| {what} | {:.0} | {beside} | {:.2} | ≥ 1 |", count / cpu, count / cpu / 40_000.0);
        if to == "new logs" {
            let each = (server.memory().await? - empty) / count;
            row("bytes of a user with one push of 200 B", &format!("{each:.0}"), "500", each / 500.0, "≤ 1");
        }
    }

    // The same users a week later: their pushes are gone, and the mark is left.
    server.run(&["EVAL", MARKS, "0"]).await?;
    let each = (server.memory().await? - empty) / count;
    row("bytes of an idle user", &format!("{each:.0}"), "300", each / 300.0, "≤ 1");

    let (node, before) = (resident()?, server.memory().await?);
    for topics in topics.chunks(10_000) {
        try_join_all(topics.iter().map(|topic| redis.subscribe(topic))).await?;
    }
    let each = (resident()? - node) / count;
    row("bytes of a subscription on the node", &format!("{each:.0}"), "300", each / 300.0, "≤ 1");
    let each = (server.memory().await? - before) / count;
    row("bytes of a subscription on the server", &format!("{each:.0}"), "", each / 300.0, "");

    let before = server.memory().await?;
    redis.renew(redis.node(), Duration::from_secs(600)).await?;
    let online: Vec<_> = keys.iter().map(|key| (key.clone(), 1)).collect();
    let since = Instant::now();
    redis.update(redis.node(), &online).await?;
    let recorded = since.elapsed().as_secs_f64();
    println!("| {} keys recorded as online | {recorded:.2} s | | | |", keys.len());
    let each = (server.memory().await? - before) / count;
    println!("| bytes of a key that is online, on the server | {each:.0} | | | |");
    let before = server.commands().await?;
    redis.renew(redis.node(), Duration::from_secs(600)).await?;
    let beat = server.commands().await? - before;
    row(&format!("commands of a beat with {} keys", keys.len()), &beat.to_string(), "10", beat / 10.0, "≤ 1");
    Ok(())
}

/// Replaces each log by its mark, as trimming by age does.
const MARKS: &str = "for _, name in ipairs(redis.call('KEYS', 'keywire{*}l:*')) do
    local at = string.match(redis.call('LINDEX', name, -1), '^%S+ %d+ %d+')
    redis.call('LTRIM', name, -1, -1)
    redis.call('LSET', name, 0, at)
end";

struct Server {
    child: Child,
    port: u16,
    directory: PathBuf,
}

impl Server {
    async fn start() -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let directory = std::env::temp_dir().join(format!("keywire-bench-redis-{port}"));
        std::fs::create_dir_all(&directory)?;
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(&directory)
            .stdout(Stdio::null())
            .spawn()?;
        let server = Self { child, port, directory };
        while server.run(&["PING"]).await.is_ok_and(|answer| answer != "PONG") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(server)
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    async fn run(&self, command: &[&str]) -> Result<String> {
        let output = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(command).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    async fn flush(&self) -> Result<()> {
        self.run(&["FLUSHALL"]).await.map(drop)
    }

    /// A number of INFO.
    async fn info(&self, name: &str) -> Result<f64> {
        let info = self.run(&["INFO", "everything"]).await?;
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(line.ok_or("a number is missing")?.trim().parse()?)
    }

    /// Bytes, without those that only connections need.
    async fn memory(&self) -> Result<f64> {
        Ok(self.info("used_memory").await? - self.info("mem_clients_normal").await?)
    }

    async fn cpu(&self) -> Result<f64> {
        Ok(self.info("used_cpu_user").await? + self.info("used_cpu_sys").await?)
    }

    /// Commands that it has served, without those of this program.
    async fn commands(&self) -> Result<f64> {
        let stats = self.run(&["INFO", "commandstats"]).await?;
        let calls = stats.lines().filter(|line| !line.starts_with("cmdstat_info"));
        Ok(calls.filter_map(|line| line.split(['=', ',']).nth(1)?.parse::<f64>().ok()).sum())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

async fn append_all(redis: &Redis, keys: &[Key], draft: &Draft) -> Result<()> {
    let parts = keys.chunks(keys.len().div_ceil(CALLERS).max(1)).map(async |part| {
        for key in part {
            redis.append(key, draft).await?;
        }
        Result::Ok(())
    });
    try_join_all(parts).await?;
    Ok(())
}

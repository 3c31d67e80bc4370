//! What kept pushes cost, as ratios within one run: a kept push beside a plain one, pages that come back beside pages that stayed,
//! and the log in a file beside the disk under it.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use keywire::auth::RawKey;
use keywire::handler::HandlerError;
use keywire::log::{Draft, Limit, Log, MemoryLog, ReadFrom, Retention, SqliteLog};
use keywire::message::{Frame, Text};
use keywire::{Config, Hub, Key, MessageHandler, Push, Reply, Session, async_trait};
use keywire_bench::measured::Server;
use keywire_bench::page::{Page, dial};
use tokio::task::JoinSet;

/// What kept pushes cost.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    what: Option<What>,

    /// How often everything is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// Keys in the log that is a file.
    #[arg(long, default_value_t = 200_000)]
    keys: usize,

    /// Pages that come back.
    #[arg(long, default_value_t = 10_000)]
    pages: usize,
}

#[derive(Subcommand)]
enum What {
    /// The server that is measured.
    Serve,
}

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Bytes of the text of a push.
const SIZE: usize = 160;

/// Pushes that a page has missed.
const MISSED: usize = 20;

fn main() -> ExitCode {
    let options = Options::parse();
    let threads = if options.what.is_some() { 1 } else { 2 };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = runtime.expect("a runtime cannot be had only where there are no threads and no epoll");
    let done = runtime.block_on(async {
        match options.what {
            Some(What::Serve) => serve().await,
            None => measure(&options).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kept: {error}");
            ExitCode::FAILURE
        }
    }
}

// The server

async fn serve() -> Result<()> {
    let retention = Retention { entries: 100, ..Retention::default() };
    let config = Config {
        queue_messages: 65_536,
        queue_bytes: 64 * 1024 * 1024,
        message_rate: None,
        ..Config::default()
    };
    let hub = Hub::builder(RawKey::from_path()).handler(Sender).config(config);
    let hub = hub.log(MemoryLog::new().with_retention(retention)).build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let routes = keywire::adapter::warp::websocket("websocket", hub);
    // On a worker, as everything else, and not on the thread that waits here.
    tokio::spawn(warp::serve(routes).incoming(listener).run()).await?;
    Ok(())
}

/// Obeys `<plain|kept> <count> <keys> <burst>`: so many pushes to `user0` up to the last key in turn, of which so many may leave in
/// one write. Then says `done`.
struct Sender;

#[async_trait]
impl MessageHandler for Sender {
    async fn text(
        &self,
        session: &Session,
        text: Text,
    ) -> std::result::Result<ControlFlow<Reply, Text>, HandlerError> {
        let words: Vec<_> = text.split(' ').collect();
        let [how, count, keys, burst] = words[..] else { return Ok(ControlFlow::Continue(text)) };
        let (count, keys, burst): (usize, usize, usize) = (count.parse()?, keys.parse()?, burst.parse()?);
        let msg = "x".repeat(SIZE);
        for number in 0..count {
            let (key, push) = (format!("user{}", number % keys), Push::message(msg.clone()));
            match how {
                "kept" => session.hub().send_to(key, push.kept()).await,
                _ => session.hub().send_to(key, push).await,
            };
            if (number + 1) % burst == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(ControlFlow::Break(Frame::text("done").into()))
    }
}

// The measurements

async fn measure(options: &Options) -> Result<()> {
    println!("| | measured | beside | ratio | to reach |\n|---|---|---|---|---|");
    let server = Server::start(&["serve"])?;
    for (how, burst) in [("alone", 1), ("in bursts of 16, which leave in one write", 16)] {
        let [mut plain, mut kept] = [Vec::new(), Vec::new()];
        for _ in 0..options.rounds {
            plain.push(pushes(&server, "plain", "", burst).await?);
            kept.push(pushes(&server, "kept", "from.keywire.now", burst).await?);
        }
        let (plain, kept) = (median(&mut plain), median(&mut kept));
        let what = format!("a kept push, one follower, {how}, server CPU");
        row(&what, &micros(kept), &micros(plain), kept / plain, "≤ 1.5");
    }
    drop(server);

    let [mut stayed, mut back] = [Vec::new(), Vec::new()];
    for _ in 0..options.rounds.min(3) {
        stayed.push(all_stayed(&Server::start(&["serve"])?, options.pages).await?);
        back.push(all_came_back(&Server::start(&["serve"])?, options.pages).await?);
    }
    let (stayed, back) = (median(&mut stayed), median(&mut back));
    let what = format!("{} pages come back to {MISSED} pushes, server CPU", options.pages);
    row(&what, &seconds(back), &seconds(stayed), back / stayed, "≤ 1.5");

    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/kept-bench");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory)?;
    file(options, &directory).await?;
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}

async fn page_of(server: &Server, key: &str, follow: &str) -> Result<Page> {
    Page::open(dial(server.address()).await?, key, follow).await
}

/// CPU time of a push, in seconds.
async fn pushes(server: &Server, how: &str, follow: &str, burst: usize) -> Result<f64> {
    const COUNT: usize = 100_000;
    let mut page = page_of(server, "user0", follow).await?;
    let mut sender = page_of(server, "sender", "").await?;
    let before = server.cpu()?;
    sender.send(&format!("{how} {COUNT} 1 {burst}")).await?;
    page.receive(COUNT + usize::from(!follow.is_empty())).await?;
    sender.receive(1).await?;
    Ok((server.cpu()? - before) / COUNT as f64)
}

/// CPU time of pages that open, and then get their pushes.
async fn all_stayed(server: &Server, pages: usize) -> Result<f64> {
    let mut sender = page_of(server, "sender", "").await?;
    let before = server.cpu()?;
    let mut open = Vec::new();
    for number in 0..pages {
        open.push(page_of(server, &format!("user{number}"), "").await?);
    }
    let mut receiving: JoinSet<_> =
        open.into_iter().map(|mut page| async move { page.receive(MISSED).await.map(|()| page) }).collect();
    sender.send(&format!("plain {} {pages} 16", MISSED * pages)).await?;
    let mut done = Vec::new();
    while let Some(page) = receiving.join_next().await {
        done.push(page??);
    }
    sender.receive(1).await?;
    Ok(server.cpu()? - before)
}

/// CPU time of pages that open and get what they missed.
async fn all_came_back(server: &Server, pages: usize) -> Result<f64> {
    let mut sender = page_of(server, "sender", "").await?;
    sender.send(&format!("kept {} {pages} 16", MISSED * pages)).await?;
    sender.receive(1).await?;
    let before = server.cpu()?;
    let mut open = Vec::new();
    for number in 0..pages {
        let mut page = page_of(server, &format!("user{number}"), "from.keywire.unread").await?;
        page.receive(1 + MISSED).await?;
        open.push(page);
    }
    Ok(server.cpu()? - before)
}

/// The log in a file.
async fn file(options: &Options, directory: &Path) -> Result<()> {
    let path = directory.join("log.db");
    let log = SqliteLog::open(&path).await?;
    let draft = || Draft::from(Push::message("x".repeat(SIZE)).kept());
    let keys: Vec<Key> = (0..options.keys)
        .map(|number| Key::new(format!("user{number}")))
        .collect::<std::result::Result<_, _>>()?;

    // One push for each key, 64 at a time: the first half fills the log, the second is measured.
    let [fill, timed] = [&keys[..keys.len() / 2], &keys[keys.len() / 2..]];
    append_all(&log, fill, &draft()).await?;
    let since = Instant::now();
    append_all(&log, timed, &draft()).await?;
    let rate = timed.len() as f64 / since.elapsed().as_secs_f64();
    let what = format!("appends/s to a file with {} keys, 64 at a time", options.keys);
    println!("| {what} | {rate:.0} | 15,000 | {:.2} | ≥ 1 |", rate / 15_000.0);

    let mut lone = Vec::new();
    let wal = || std::fs::metadata(directory.join("log.db-wal")).map(|wal| wal.len()).unwrap_or_default();
    let before = wal();
    for number in 0..1000 {
        let since = Instant::now();
        log.append(&keys[number * 7919 % keys.len()], &draft()).await?;
        lone.push(since.elapsed().as_secs_f64());
    }
    // What one append writes, unless a checkpoint began the file again.
    let bytes = usize::try_from(wal().saturating_sub(before) / 1000).unwrap_or_default().clamp(4096, 65_536);
    let mut bare = sync(&directory.join("bare"), bytes)?;
    let (lone, bare) = (median(&mut lone), median(&mut bare));
    let beside = format!("{} for fdatasync of {bytes} bytes", micros(bare));
    row("a lone append, p50", &micros(lone), &beside, lone / bare, "≤ 1.5");

    let (limit, mut reads) = (Limit { entries: 100, bytes: 256 * 1024 }, Vec::new());
    for number in 0..10_000 {
        let since = Instant::now();
        log.read(&keys[number * 7919 % keys.len()], ReadFrom::Unread, limit).await?;
        reads.push(since.elapsed().as_secs_f64());
    }
    let read = median(&mut reads);
    row("a read of one user's page, p50", &micros(read), "30 µs", read / 30e-6, "≤ 1");
    Ok(())
}

async fn append_all(log: &SqliteLog, keys: &[Key], draft: &Draft) -> Result<()> {
    let parts = keys.chunks(keys.len().div_ceil(64).max(1)).map(|part| async move {
        for key in part {
            log.append(key, draft).await?;
        }
        Result::Ok(())
    });
    futures_util::future::try_join_all(parts).await?;
    Ok(())
}

/// The times of writing and syncing these many bytes, at the end of a file.
fn sync(path: &Path, bytes: usize) -> Result<Vec<f64>> {
    use std::io::Write as _;
    let (mut file, block) = (std::fs::File::create(path)?, vec![7; bytes]);
    let time = |_| {
        let since = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        Ok(since.elapsed().as_secs_f64())
    };
    (0..500).map(time).collect()
}

fn row(what: &str, measured: &str, beside: &str, ratio: f64, to_reach: &str) {
    println!("| {what} | {measured} | {beside} | {ratio:.2} | {to_reach} |");
}

fn micros(seconds: f64) -> String {
    format!("{:.1} µs", seconds * 1e6)
}

fn seconds(seconds: f64) -> String {
    format!("{:.2} s", Duration::from_secs_f64(seconds.max(0.0)).as_secs_f64())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

//! What crosses between two nodes, and how long it takes.

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::Bytes;
use keywire::adapter::{Handshake, PathKey};
use keywire::auth::RawKey;
use keywire::cluster::{Backplane, Cluster, Event, Topic};
use keywire::log::Kept;
use keywire::store::Remote;
use keywire::{Hub, Key, Push};
use tokio::io::{AsyncReadExt as _, DuplexStream};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Bytes of the text of a push, so that its JSON has 200.
const SIZE: usize = 179;
/// Bytes of a pipe to a client.
const PIPE: usize = 4096;

/// From a send on one node to the client of another: beside a message that crosses on the same connections without hubs.
///
/// `engines` are the connections of four nodes.
///
/// # Errors
///
/// If something does not cross.
pub async fn crossing<E: Backplane + Into<Cluster>>(engines: Vec<E>, calls: usize) -> Result<()> {
    let Ok([publisher, subscriber, one, other]) = <[E; 4]>::try_from(engines) else {
        return Err("four connections".into());
    };
    let topic = Topic::key(&Key::new("bare")?);
    subscriber.subscribe(&topic).await?;
    let message = Bytes::from("x".repeat(SIZE));
    let bare = async || {
        publisher.publish(&topic, message.clone()).await?;
        while !matches!(subscriber.next().await, Event::Message { .. }) {}
        Result::Ok(())
    };

    let node = |engine: E| Hub::builder(RawKey::from_path()).cluster(engine).build();
    let (one, other) = (node(one), node(other));
    while !(one.health().is_good() && other.health().is_good()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut plain = open(&other, "plain", "keywire.v1", PIPE).await?;
    let mut page = open(&other, "page", "keywire.v1, from.keywire.now", PIPE).await?;
    while other.counts().await.sessions < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    arrival(&mut page).await?;
    let push = Push::message("x".repeat(SIZE));

    let [mut bares, mut sends, mut kepts] = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..calls {
        bares.push(timed(bare()).await?);
        sends.push(timed(async { tokio::try_join!(sent(&one, "plain", &push), arrival(&mut plain)) }).await?);
        kepts.push(timed(async { tokio::try_join!(kept(&one, "page", &push), arrival(&mut page)) }).await?);
    }
    let (bare, send, kept) = (median(&mut bares), median(&mut sends), median(&mut kepts));
    let beside = format!("{} for a bare message and its arrival", micros(bare));
    row("a push from one node to a client of another, p50", &micros(send), &beside, send / bare, "≤ 2.5");
    row("a kept push from one node to a page of another, p50", &micros(kept), &beside, kept / bare, "≤ 3");
    Ok(())
}

async fn sent(hub: &Hub, key: &str, push: &Push) -> Result<()> {
    match hub.send_to(key, push).await.remote {
        Remote::Published => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

async fn kept(hub: &Hub, key: &str, push: &Push) -> Result<()> {
    match hub.send_to(key, push.clone().kept()).await.kept {
        Kept::At(_) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

/// A client over a pipe of this size. Its session is in the store when a first message comes, or soon.
///
/// # Errors
///
/// If the hub refuses it.
pub async fn open(hub: &Hub, key: &str, protocols: &str, pipe: usize) -> Result<DuplexStream> {
    let request = http::Request::get("/websocket")
        .header("host", "node")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-protocol", protocols)
        .body(())?;
    let handshake = Handshake::new(request).with_path_key(PathKey::decoded(key));
    let connection = hub.upgrade(handshake).await.connection.ok_or("refused")?;
    let (near, far) = tokio::io::duplex(pipe);
    tokio::spawn(connection.run(near, Bytes::new()));
    Ok(far)
}

/// Bytes of memory of this process.
///
/// # Errors
///
/// Where there is no `/proc`.
pub fn resident() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line.and_then(|line| line.split_whitespace().next()).ok_or("no VmRSS")?.parse::<f64>()? * 1024.0)
}

/// Reads the next message of a client.
async fn arrival(client: &mut DuplexStream) -> Result<()> {
    let mut bytes = [0; PIPE];
    match client.read(&mut bytes).await? {
        0 => Err("closed".into()),
        _ => Ok(()),
    }
}

/// Seconds that a call takes.
///
/// # Errors
///
/// Those of the call.
pub async fn timed<T, E>(
    call: impl Future<Output = std::result::Result<T, E>>,
) -> std::result::Result<f64, E> {
    let since = Instant::now();
    call.await?;
    Ok(since.elapsed().as_secs_f64())
}

/// Prints a row of a table.
pub fn row(what: &str, measured: &str, beside: &str, ratio: f64, to_reach: &str) {
    println!("| {what} | {measured} | {beside} | {ratio:.2} | {to_reach} |");
}

/// Seconds as microseconds.
#[must_use]
pub fn micros(seconds: f64) -> String {
    format!("{:.1} µs", seconds * 1e6)
}

/// The median. Sorts.
#[must_use]
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

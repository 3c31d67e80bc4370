//! Kept pushes in the middle of it all: senders whose log fails now and then, and pages that follow, break off, fall behind and come
//! back. Each page must see each push once, in order, and no gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keywire::Push;
use keywire::log::{Kept, LogError, MemoryLog, Retention};
use rand::random_range;
use tokio::task::JoinSet;

use crate::support::{Client, FaultyLog, Moment, Server, within};
use crate::tally::Tally;

const KEYS: usize = 4;

/// Pages of each key.
const PAGES: usize = 3;

/// Pushes that the log keeps of each key, and how far a sender may be ahead of the slowest page.
const KEPT: usize = 20_000;
const AHEAD: u64 = 10_000;

/// A log that fails: before it has done what it was asked to, and after that.
pub(crate) fn flaky_log() -> FaultyLog {
    let retention = Retention { entries: KEPT, bytes: usize::MAX, ..Retention::default() };
    FaultyLog::new(MemoryLog::new().with_retention(retention), fault)
}

async fn fault(moment: Moment) -> Result<(), LogError> {
    let (fails, unknown, waits) = match moment {
        Moment::BeforeAppend => (500, 500, 0),
        // A pause: another append may overtake this one on its way to the pages.
        Moment::AfterAppend => (0, 500, 50),
        Moment::BeforeRead => (200, 0, 5),
    };
    if rarely(fails) {
        return Err(LogError::Failed("as it was told to".into()));
    }
    if rarely(unknown) {
        return Err(LogError::Unknown("as it was told to".into()));
    }
    if rarely(waits) {
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Once in so many times. Zero: never.
fn rarely(times: u32) -> bool {
    times > 0 && random_range(0..times) == 0
}

/// How many pushes each page of a key has seen.
type Seen = Arc<[AtomicU64; PAGES]>;

/// Sends and follows until the time is over and every page has everything.
pub(crate) async fn come(server: Arc<Server>, tally: Arc<Tally>, time: Duration) {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..KEYS {
        let (key, seen) = (format!("follower-{number}"), Seen::default());
        for page in 0..PAGES {
            tasks.spawn(follow(server.clone(), tally.clone(), key.clone(), seen.clone(), page));
        }
        let (server, tally) = (server.clone(), tally.clone());
        tasks.spawn(async move {
            tally.sent(send(&server, &key, &seen, || start.elapsed() > time).await);
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a page that sees everything");
    }
}

/// Sends numbers, each until it is kept. The last has a flag. Returns how many there were.
async fn send(server: &Server, key: &str, seen: &Seen, is_over: impl Fn() -> bool) -> u64 {
    let mut number = 0;
    loop {
        number += 1;
        let last = is_over();
        let push = Push::data(number);
        let push = if last { push.with_flag("last") } else { push };
        let push = push.kept().once(number.to_string());
        while !matches!(server.hub.send_to(key, push.clone()).await.kept, Kept::At(_) | Kept::Again(_)) {
            tokio::task::yield_now().await;
        }
        if last {
            return number;
        }
        if number % 1000 == 0 {
            within("the slowest page to come nearer", come_nearer(seen, number)).await;
        } else if number % 16 == 0 {
            tokio::task::yield_now().await;
        }
    }
}

async fn come_nearer(seen: &Seen, number: u64) {
    while seen.iter().any(|seen| seen.load(Ordering::Relaxed) + AHEAD <= number) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// One page, over as many connections as it takes.
async fn follow(server: Arc<Server>, tally: Arc<Tally>, key: String, seen: Seen, page: usize) {
    // The page's memory: its position, and the number of the push there.
    let (mut at, mut number) = ("0.0000000000000000".to_owned(), 0);
    loop {
        let protocols = format!("keywire.v1, from.keywire.{at}");
        let headers = [("sec-websocket-protocol", protocols.as_str())];
        let mut client = server.open_with(&format!("/websocket/{key}"), &headers).await;
        let (mut left, before) = (random_range(1..3000_u32), number);
        while left > 0 {
            let push = client.next().await;
            match push["flag"].as_str() {
                Some("kw:from") => {
                    assert_eq!(push["data"]["gap"], serde_json::Value::Null, "{key}: a gap at {at}");
                    continue;
                }
                Some("kw:gap") => panic!("{key}: a gap after {at}: {push}"),
                // For everyone, and not kept.
                _ if push["at"].is_null() => continue,
                _ => {}
            }
            let next = push["data"].as_u64().expect("a number");
            assert_eq!(next, number + 1, "{key}: after {at} came {push}");
            (at, number) = (push["at"].as_str().expect("a position").to_owned(), next);
            seen[page].store(number, Ordering::Relaxed);
            if push["flag"] == "last" {
                tally.kept(number - before);
                client.close(1000, "").await;
                seen[page].store(u64::MAX / 2, Ordering::Relaxed);
                return;
            }
            left -= 1;
            if rarely(2000) {
                // Its queue fills, and it falls behind.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        tally.kept(number - before);
        leave(client).await;
        if rarely(4) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// However a page goes away.
async fn leave(client: Client) {
    if rarely(2) {
        client.reset();
    } else {
        drop(client);
    }
}

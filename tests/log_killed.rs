//! A process that keeps pushes in a file and is killed, or whose disk is full: what was acknowledged is there, in order.
#![cfg(feature = "sqlite")]

mod support;

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use futures_util::future::join_all;
use keywire::log::{
    Appended, Draft, Found, Limit, Log, LogError, Page, Position, ReadFrom, Retention, SqliteLog,
};
use keywire::{Key, Push};
use support::Directory;

/// Tells the child where to append.
const FILE: &str = "KEYWIRE_APPEND_TO";

const KEYS: usize = 3;

/// Appends in flight.
const AT_ONCE: usize = 8;

async fn open(path: &Path) -> SqliteLog {
    // The file grows for the first kills, and later appends trim as well.
    let retention = Retention { entries: 600, ..Retention::default() };
    SqliteLog::options().retention(retention).open(path).await.expect("a log")
}

fn key(number: usize) -> Key {
    Key::new(format!("key{number}")).expect("a key")
}

/// Not a test of its own: the process that is killed. Prints what was acknowledged.
#[tokio::test]
#[ignore = "the child of the other tests"]
async fn child() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let log = open(Path::new(&path)).await;
    for round in 0.. {
        let appends = (0..AT_ONCE).map(|number| {
            let draft: Draft = Push::message(format!("{round} {}", "a".repeat(100 * number))).kept().into();
            let (log, key) = (&log, key((round + number) % KEYS));
            async move { (key.clone(), log.append(&key, &draft).await) }
        });
        for (key, appended) in join_all(appends).await {
            match appended {
                Ok(Appended { at, prev, .. }) => println!("at {key} {at} {prev}"),
                Err(error) => {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    println!("{} {}", kind(&error), source.unwrap_or_default());
                }
            }
        }
    }
}

fn kind(error: &LogError) -> &'static str {
    match error {
        LogError::Failed(_) => "failed",
        _ => "unknown",
    }
}

/// Starts the child, perhaps with a limit for its files in KiB.
fn start(path: &Path, limit: Option<u32>) -> Child {
    let program = std::env::current_exe().expect("this program");
    let arguments = ["child", "--exact", "--ignored", "--nocapture"];
    let mut command = match limit {
        None => Command::new(program),
        Some(limit) => {
            // Without the signal a write beyond the limit is an error, as on a full disk.
            let mut shell = Command::new("bash");
            shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {limit}; exec \"$@\""), "bash"]).arg(program);
            shell
        }
    };
    command.args(arguments).env(FILE, path).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().expect("a child")
}

/// What a line says that was acknowledged.
fn acknowledged(line: &str) -> Option<(Key, Position)> {
    let mut words = line.strip_prefix("at ")?.split(' ');
    let key = Key::new(words.next()?).ok()?;
    // The last line may be cut.
    let at = words.next()?.parse().ok()?;
    words.next()?;
    Some((key, at))
}

/// Each acknowledged position is in the log or was trimmed, and the log has no hole. Returns what the log found.
async fn check(path: &Path, acknowledged: &[(Key, Position)]) -> Found {
    let log = open(path).await;
    for number in 0..KEYS {
        let key = key(number);
        let all = Limit { entries: usize::MAX, bytes: usize::MAX };
        let page: Page = log.read(&key, ReadFrom::After(Position::BEGINNING), all).await.expect("a page");
        let mut prev = page.from;
        for entry in &page.entries {
            assert_eq!((entry.prev, entry.at.seq()), (prev, prev.seq() + 1), "a hole in {key}");
            prev = entry.at;
        }
        assert_eq!(prev, page.end, "{key}");
        let there: HashSet<Position> = page.entries.iter().map(|entry| entry.at).collect();
        for (_, at) in acknowledged.iter().filter(|(of, _)| *of == key) {
            let is_there = there.contains(at);
            assert!(is_there || at.seq() <= page.from.seq(), "{key} lost {at}, and ends at {}", page.end);
        }
    }
    log.found()
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let kills = std::env::var("KEYWIRE_KILLS").map_or(30, |kills| kills.parse().expect("a number"));
    let directory = Directory::new("kill");
    let path = directory.file();
    let mut all = Vec::new();
    for _ in 0..kills {
        let mut child = start(&path, None);
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let moment = rand::random_range(0..200);
        let mut seen = 0;
        while seen < moment
            && let Some(Ok(line)) = lines.next()
        {
            all.extend(acknowledged(&line));
            seen += usize::from(line.starts_with("at "));
        }
        child.kill().expect("a child that lives");
        all.extend(lines.map_while(Result::ok).filter_map(|line| acknowledged(&line)));
        child.wait().expect("an end");
        let found = check(&path, &all).await;
        assert!(found.recovered || seen == 0, "{seen} acknowledged, and nothing to recover");
    }
    assert!(all.len() > kills, "{} acknowledged in {kills} runs", all.len());
}

#[tokio::test]
async fn a_full_disk_fails_the_append_and_loses_nothing() {
    let directory = Directory::new("full");
    let path = directory.file();
    let mut child = start(&path, Some(256));
    let (mut all, mut failed) = (Vec::new(), 0);
    for line in BufReader::new(child.stdout.take().expect("a pipe")).lines() {
        let line = line.expect("a line");
        assert!(!line.starts_with("unknown"), "{line}");
        all.extend(acknowledged(&line));
        failed += usize::from(line.starts_with("failed"));
        if failed == 100 {
            break;
        }
    }
    child.kill().expect("a child that lives");
    child.wait().expect("an end");
    assert!(!all.is_empty());
    check(&path, &all).await;
}

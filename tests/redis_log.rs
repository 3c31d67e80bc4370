//! The log on Redis: the contract, what it announces, and faults.
#![cfg(all(feature = "redis", feature = "testing"))]

mod support;

use std::time::Duration;

use keywire::cluster::{Backplane, Event, Redis, Topic};
use keywire::log::{Draft, GapKind, Limit, Log, LogError, MemoryLog, Page, Position, ReadFrom, Retention};
use keywire::{Key, Push, testing};
use rand::Rng as _;
use support::redis::{RedisServer, Swallower};
use support::{until, within};

const ALL: Limit = Limit { entries: usize::MAX, bytes: usize::MAX };

fn alice() -> Key {
    Key::new("alice").expect("a key")
}

/// The name of alice's log in Redis.
const LIST: &str = "keywire{2b}l:alice";

fn draft(text: impl ToString) -> Draft {
    Push::message(text.to_string()).kept().into()
}

async fn connect(server: &RedisServer) -> Redis {
    Redis::connect(server.url()).await.expect("a connection")
}

/// A log that waits half a second for answers.
async fn hasty(url: String) -> Redis {
    Redis::options().response_timeout(Duration::from_millis(500)).connect(url).await.expect("a connection")
}

async fn append(log: &Redis, text: impl ToString) -> Position {
    log.append(&alice(), &draft(text)).await.expect("an entry").at
}

async fn read(log: &Redis, from: ReadFrom) -> Page {
    log.read(&alice(), from, ALL).await.expect("a page")
}

fn is_failed(result: &Result<impl std::fmt::Debug, LogError>, part: &str) {
    let Err(LogError::Failed(error)) = result else { panic!("{part}: {result:?}") };
    assert!(error.to_string().contains(part), "{part}: {error}");
}

#[tokio::test]
async fn the_contract_of_a_log() {
    let server = RedisServer::start().await;
    let log = connect(&server).await;
    testing::log::all(&log).await;
    assert!(log.shared());
    for limits in [
        Retention { entries: 5, ..Retention::default() },
        Retention { bytes: 5 * draft("a").push().len(), ..Retention::default() },
    ] {
        let log = Redis::options().retention(limits).connect(server.url()).await.expect("a connection");
        testing::log::trims_beyond(&log, 5).await;
    }
    let limits = Retention { bytes: 1000, ..Retention::default() };
    let log = Redis::options().retention(limits).connect(server.url()).await.expect("a connection");
    testing::log::refuses_larger_than(&log, 1000).await;
}

/// Random calls, beside a log in memory with the same limits: both say the same but for tags and times.
#[tokio::test]
async fn it_says_what_a_log_in_memory_says() {
    let server = RedisServer::start().await;
    for limits in [
        Retention { entries: 7, ..Retention::default() },
        Retention { bytes: 400, ..Retention::default() },
        Retention::default(),
    ] {
        let redis = Redis::options().retention(limits).connect(server.url()).await.expect("a connection");
        let memory = MemoryLog::new().with_retention(limits);
        let key = Key::new(format!("{:?}", limits.entries + limits.bytes)).expect("a key");
        let mut at = vec![[Position::BEGINNING; 2]];
        let mut random = rand::rng();
        for step in 0..600 {
            let known = at[random.next_u32() as usize % at.len()];
            // A position that one of them never gave.
            let wrong = Position::new(random.next_u64() % 40, 7);
            let place = if random.next_u32().is_multiple_of(4) { [wrong, wrong] } else { known };
            let from = |place| match step % 5 {
                0 => ReadFrom::Latest,
                1 => ReadFrom::Unread,
                2 if step % 3 == 0 => ReadFrom::End,
                _ => ReadFrom::After(place),
            };
            if random.next_u32().is_multiple_of(3) {
                let draft = draft("a".repeat(random.next_u32() as usize % 60));
                let appended = [redis.append(&key, &draft).await, memory.append(&key, &draft).await];
                at.push(appended.map(|appended| appended.expect("an entry").at));
            }
            if random.next_u32().is_multiple_of(16) {
                redis.seen(&key, place[0]).await.expect("an answer");
                memory.seen(&key, place[1]).await.expect("an answer");
            }
            let limit =
                Limit { entries: random.next_u32() as usize % 6, bytes: random.next_u32() as usize % 300 };
            let limit = if step % 7 == 0 { ALL } else { limit };
            let [redis, memory] = [
                redis.read(&key, from(place[0]), limit).await.expect("a page"),
                memory.read(&key, from(place[1]), limit).await.expect("a page"),
            ];
            let plain = |page: Page| {
                let entries: Vec<_> =
                    page.entries.iter().map(|it| (it.at.seq(), it.prev.seq(), it.push.to_string())).collect();
                (page.from.seq(), entries, page.end.seq(), page.gap, page.more)
            };
            // With no room at all, how many of the latest there are is not said.
            if limit.entries > 0 {
                assert_eq!(plain(redis), plain(memory), "step {step}: {:?} {limit:?}", from(place[0]));
            }
        }
    }
}

#[tokio::test]
async fn other_nodes_are_told_of_an_entry_in_the_same_step() {
    let server = RedisServer::start().await;
    let [a, b] = [connect(&server).await, connect(&server).await];
    b.subscribe(&Topic::key(&alice())).await.expect("a subscription");
    let mut prev = Position::BEGINNING;
    for text in ["a b", "}{"] {
        let appended = a.append(&alice(), &draft(text)).await.expect("an entry");
        assert!(appended.announced && appended.prev == prev);
        prev = appended.at;
        let Event::Message { topic, message } = within("the announcement", b.next()).await else { panic!() };
        assert_eq!(topic, Topic::key(&alice()));
        let body = format!("{} {} {} {}", appended.at, appended.prev, appended.time, &**draft(text).push());
        assert_eq!(message[11..], *body.as_bytes());
        assert_eq!(message[2..10], u64::from_str_radix(&a.node().to_string(), 16).unwrap().to_be_bytes());
    }
    // A user who may not publish: the entry is in the log, and the hub has to publish it.
    let rule = ["ACL", "SETUSER", "mute", "on", ">pw", "~*", "+@all", "resetchannels"];
    assert_eq!(server.command(&rule).await, "OK");
    let mute =
        Redis::connect(format!("redis://mute:pw@127.0.0.1:{}", server.port())).await.expect("a connection");
    let appended = mute.append(&alice(), &draft("c")).await.expect("an entry");
    assert!(!appended.announced && appended.at.seq() == 3);
}

#[tokio::test]
async fn what_is_too_old_is_gone_and_its_end_is_remembered() {
    let server = RedisServer::start().await;
    let limits = Retention { age: Duration::from_millis(300), ..Retention::default() };
    let log = Redis::options().retention(limits).connect(server.url()).await.expect("a connection");
    let patient = connect(&server).await;
    let first = append(&log, "a".repeat(1000)).await;
    let second = append(&log, "b").await;
    let page = until("the age", async || {
        let page = log.read(&alice(), ReadFrom::After(first), ALL).await.expect("a page");
        if page.entries.is_empty() { Ok(page) } else { Err(format!("{page:?}")) }
    })
    .await;
    assert_eq!((page.from, page.end, page.gap), (second, second, Some(GapKind::Trimmed)));
    assert_eq!(read(&log, ReadFrom::After(second)).await, Page::new(second, second), "nothing missed");
    assert_eq!(read(&log, ReadFrom::Latest).await, Page::new(second, second));
    assert_eq!(read(&patient, ReadFrom::Unread).await.entries.len(), 0, "the memory is freed");
    let line = server.command(&["LRANGE", LIST, "0", "-1"]).await;
    assert!(line.len() < 60, "the push of the last entry is gone: {line}");
    let third = append(&log, "c").await;
    assert_eq!((third.seq(), read(&patient, ReadFrom::After(second)).await.gap), (3, None));
    let left: u64 = server.command(&["PTTL", LIST]).await.parse().expect("a time to live");
    assert!(left > 29 * 24 * 3600 * 1000, "{left}");
}

#[tokio::test]
async fn an_append_trims_what_is_too_old() {
    let server = RedisServer::start().await;
    let limits = Retention { age: Duration::from_millis(300), ..Retention::default() };
    let log = Redis::options().retention(limits).connect(server.url()).await.expect("a connection");
    until("the trimming", async || {
        append(&log, "a").await;
        // Where the log begins: at first before all entries.
        match server.command(&["LINDEX", LIST, "0"]).await.as_str() {
            "0" => Err("nothing is trimmed".into()),
            _ => Ok(()),
        }
    })
    .await;
    let count: usize = server.command(&["LLEN", LIST]).await.parse().expect("a number");
    assert!(count < 1000, "by age, and not by number");
}

#[tokio::test]
async fn an_id_is_remembered_for_its_time_and_ids_are_bounded() {
    let server = RedisServer::start().await;
    let limits = Retention { once: Duration::from_millis(300), ..Retention::default() };
    let log = Redis::options().retention(limits).connect(server.url()).await.expect("a connection");
    let once = |id: usize| Draft::from(Push::message("a").kept().once(id.to_string()));
    let patient = connect(&server).await;
    let first = patient.append(&alice(), &once(0)).await.expect("an entry");
    assert!(patient.append(&alice(), &once(0)).await.expect("an answer").repeated);
    let seq = until("the id to be forgotten", async || {
        // Other ids keep the set of ids alive.
        let other = log.append(&alice(), &once(1)).await.expect("an answer");
        let again = log.append(&alice(), &once(0)).await.expect("an answer");
        if again.repeated { Err(format!("{other:?}")) } else { Ok(again.at.seq()) }
    })
    .await;
    assert!(seq > first.at.seq());

    let (log, alice) = (patient, alice());
    let drafts: Vec<_> = (0..12_000).map(once).collect();
    for part in drafts.chunks(500) {
        let appended = part.iter().map(|draft| log.append(&alice, draft));
        assert!(futures_util::future::join_all(appended).await.iter().all(Result::is_ok));
    }
    assert_eq!(server.command(&["HLEN", "keywire{2b}o:alice"]).await, "10000");
    let recent = drafts[11_900..].iter().map(|draft| log.append(&alice, draft));
    let recent = futures_util::future::join_all(recent).await;
    let known =
        recent.iter().filter(|appended| appended.as_ref().is_ok_and(|appended| appended.repeated)).count();
    assert!(known > 90, "{known} of the last hundred are known");
}

#[tokio::test]
async fn a_server_that_restarts_knows_no_script_and_no_entry() {
    let mut server = RedisServer::start().await;
    let log = connect(&server).await;
    append(&log, "a").await;
    let second = append(&log, "b").await;
    assert_eq!(server.command(&["SAVE"]).await, "OK");
    let lost = append(&log, "c").await;
    server.kill();
    until("a failure", async || match log.append(&alice(), &draft("d")).await {
        Err(LogError::Failed(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    // Behind: the third entry is lost, and another one has its number.
    server.start_again().await;
    let third = until("the server", async || {
        log.append(&alice(), &draft("e")).await.map_err(|error| format!("{error:?}"))
    })
    .await;
    assert_eq!((third.at.seq(), third.prev), (3, second));
    assert_eq!(read(&log, ReadFrom::After(lost)).await.gap, Some(GapKind::Reset));
    assert_eq!(read(&log, ReadFrom::After(second)).await.gap, None);

    server.kill();
    server.start_empty().await;
    let page = until("the server", async || {
        log.read(&alice(), ReadFrom::After(second), ALL).await.map_err(|error| format!("{error:?}"))
    })
    .await;
    assert_eq!((page.gap, page.end), (Some(GapKind::Reset), Position::BEGINNING));

    assert_eq!(append(&log, "f").await.seq(), 1);
    assert_eq!(server.command(&["FLUSHALL"]).await, "OK");
    assert_eq!(server.command(&["SCRIPT", "FLUSH"]).await, "OK");
    assert_eq!(append(&log, "g").await.seq(), 1);
}

/// What was seen of entries that are lost does not hide the new ones.
#[tokio::test]
async fn seen_beyond_the_end_does_not_count() {
    let server = RedisServer::start().await;
    let log = connect(&server).await;
    for _ in 0..3 {
        append(&log, "a").await;
    }
    let third = log.end(&alice()).await.expect("the end");
    log.seen(&alice(), third).await.expect("an answer");
    assert_eq!(server.command(&["DEL", LIST]).await, "1");
    let first = append(&log, "b").await;
    assert_eq!(read(&log, ReadFrom::Unread).await.gap, Some(GapKind::Reset));
    log.seen(&alice(), first).await.expect("an answer");
    assert_eq!(read(&log, ReadFrom::Unread).await, Page::new(first, first));
}

#[tokio::test]
async fn a_refusal_says_why_and_has_no_effect() {
    let server = RedisServer::start().await;
    let log = connect(&server).await;
    assert_eq!(server.command(&["SET", LIST, "x"]).await, "OK");
    is_failed(&log.append(&alice(), &draft("a")).await, "WRONGTYPE");
    is_failed(&log.read(&alice(), ReadFrom::Latest, ALL).await, "WRONGTYPE");
    is_failed(&log.end(&alice()).await, "WRONGTYPE");
    assert_eq!(server.command(&["DEL", LIST]).await, "1");
    assert_eq!(server.command(&["RPUSH", LIST, "x"]).await, "1");
    let foreign = log.append(&alice(), &draft("a")).await;
    assert!(format!("{foreign:?}").contains("is not a log"), "{foreign:?}");
    assert_eq!(server.command(&["LLEN", LIST]).await, "1");
    assert_eq!(server.command(&["DEL", LIST]).await, "1");

    let at = append(&log, "a").await;
    assert_eq!(server.command(&["CONFIG", "SET", "maxmemory", "1kb"]).await, "OK");
    is_failed(&log.append(&alice(), &draft("b")).await, "OOM");
    assert_eq!(log.end(&alice()).await.expect("reading goes on"), at);
    assert_eq!(server.command(&["CONFIG", "SET", "maxmemory", "0"]).await, "OK");

    let port = support::redis::free_port().to_string();
    assert_eq!(server.command(&["CONFIG", "SET", "replica-serve-stale-data", "no"]).await, "OK");
    assert_eq!(server.command(&["REPLICAOF", "127.0.0.1", &port]).await, "OK");
    is_failed(&log.append(&alice(), &draft("b")).await, "MASTERDOWN");
    assert_eq!(server.command(&["CONFIG", "SET", "replica-serve-stale-data", "yes"]).await, "OK");
    is_failed(&log.append(&alice(), &draft("b")).await, "READONLY");
    assert_eq!(server.command(&["REPLICAOF", "NO", "ONE"]).await, "OK");
    let next = until("the master", async || {
        log.append(&alice(), &draft("b")).await.map_err(|error| format!("{error:?}"))
    })
    .await;
    assert_eq!(next.prev, at);
}

#[tokio::test]
async fn a_silent_server_is_unknown_and_then_failed() {
    let server = RedisServer::start().await;
    let log = hasty(server.url()).await;
    append(&log, "a").await;
    server.signal("STOP").await;
    let draft = Draft::from(Push::message("b").kept().once("1"));
    let unknown = within("an answer", log.append(&alice(), &draft)).await;
    assert!(matches!(unknown, Err(LogError::Unknown(_))), "{unknown:?}");
    is_failed(&within("an answer", log.append(&alice(), &draft)).await, "away");
    server.signal("CONT").await;
    let retried = until("the server", async || {
        log.append(&alice(), &draft).await.map_err(|error| format!("{error:?}"))
    })
    .await;
    assert_eq!(retried.at.seq(), 2, "once, whatever became of the first");
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_unknown() {
    let server = RedisServer::start().await;
    let network = Swallower::before(server.port()).await;
    let log = hasty(network.url()).await;
    append(&log, "a").await;
    network.swallow();
    let unknown = within("an answer", log.append(&alice(), &draft("b"))).await;
    assert!(matches!(unknown, Err(LogError::Unknown(_))), "{unknown:?}");
    until("the server", async || log.end(&alice()).await.map_err(|error| format!("{error:?}"))).await;
}

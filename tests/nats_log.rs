//! The log on a real NATS server: the contract, and what survives which fault.
#![cfg(all(feature = "nats", feature = "testing"))]

mod support;

use std::time::Duration;

use futures_util::future::join_all;
use keywire::cluster::{Backplane, Event, Nats, NatsError, NatsLog, NatsOptions, NatsStorage, Topic};
use keywire::log::{Appended, Draft, GapKind, Limit, Log, LogError, Page, Position, ReadFrom, Retention};
use keywire::{Key, Push};
use support::{NatsServer, until, within};

const ALL: Limit = Limit { entries: usize::MAX, bytes: usize::MAX };

fn options() -> NatsOptions {
    Nats::options().without_presence()
}

async fn log(options: NatsOptions, server: &NatsServer) -> NatsLog {
    options.connect(&server.url()).await.expect("a node").log().expect("a log")
}

fn alice() -> Key {
    Key::new("alice").expect("a key")
}

fn draft(text: &str) -> Draft {
    Push::message(text.to_owned()).kept().into()
}

fn once(id: &'static str) -> Draft {
    Push::message("once").kept().once(id).into()
}

async fn append(log: &NatsLog, text: &str) -> Appended {
    log.append(&alice(), &draft(text)).await.expect("an entry")
}

async fn after(log: &NatsLog, after: Position) -> Page {
    log.read(&alice(), ReadFrom::After(after), ALL).await.expect("a page")
}

fn seqs(page: &Page) -> Vec<u64> {
    page.entries.iter().map(|entry| entry.at.seq()).collect()
}

/// Waits until the log answers again.
async fn back(log: &NatsLog) {
    until("the log", async || log.end(&alice()).await.map_err(|error| format!("{error:?}"))).await;
}

#[tokio::test]
async fn the_contract_is_kept() {
    let server = NatsServer::start("contract");
    keywire::testing::log::all(&log(options(), &server).await).await;
    let few = Retention { entries: 5, bytes: 10_000, ..Retention::default() };
    let log = log(options().prefix("few").retention(few), &server).await;
    keywire::testing::log::trims_beyond(&log, 5).await;
    keywire::testing::log::refuses_larger_than(&log, 10_000).await;
}

#[tokio::test]
async fn nodes_append_to_one_log() {
    let server = NatsServer::start("nodes");
    let nodes = [log(options(), &server).await, log(options(), &server).await, log(options(), &server).await];
    let appends = (0..300).map(|number| {
        let log = &nodes[number % 3];
        async move {
            match number % 10 {
                0 => log.append(&alice(), &once("1")).await.expect("an entry"),
                _ => append(log, "a").await,
            }
        }
    });
    let appended = join_all(appends).await;
    let page = after(&nodes[0], Position::BEGINNING).await;
    assert_eq!(seqs(&page), (1..=271).collect::<Vec<_>>(), "30 with one id are one");
    for new in appended.iter().filter(|appended| !appended.repeated) {
        let entry = &page.entries[new.at.seq() as usize - 1];
        assert_eq!((entry.at, entry.prev, entry.time), (new.at, new.prev, new.time));
    }
    // From any position, in pages of any size.
    for entry in &page.entries {
        let rest = after(&nodes[1], entry.at).await;
        assert_eq!((rest.gap, rest.entries.as_slice()), (None, &page.entries[entry.at.seq() as usize..]));
    }
    for entries in [1, 7, 256, 257] {
        let mut at = Position::BEGINNING;
        while at != page.end {
            let limit = Limit { entries, ..ALL };
            let part = nodes[2].read(&alice(), ReadFrom::After(at), limit).await.expect("a page");
            assert_eq!(part.entries[0].prev, at);
            at = part.entries.last().expect("an entry").at;
            assert_eq!(part.more, at != page.end);
        }
    }
}

#[tokio::test]
async fn the_server_announces_what_was_appended() {
    let server = NatsServer::start("announces");
    let one = options().connect(&server.url()).await.expect("a node");
    let other = options().connect(&server.url()).await.expect("a node");
    let key = Key::new("a.b *>").expect("a key");
    other.subscribe(&Topic::key(&key)).await.expect("a subscription");
    let log = one.log().expect("a log");
    for text in ["1", "2"] {
        let appended = log.append(&key, &draft(text)).await.expect("an entry");
        assert!(appended.announced && !appended.repeated);
        let Event::Message { topic, message } = within("an announcement", other.next()).await else {
            panic!("a message");
        };
        assert_eq!(topic, Topic::key(&key));
        let (head, body) = message.split_at(11);
        assert_eq!(head[..2], [1, 2]);
        assert_eq!(
            format!("{:016x}", u64::from_be_bytes(head[2..10].try_into().expect("8 bytes"))),
            one.node().to_string()
        );
        let Appended { at, prev, time, .. } = appended;
        let push = Push::message(text.to_owned()).to_json();
        assert_eq!(String::from_utf8_lossy(body), format!("{at} {prev} {time} {push}"));
    }
}

#[tokio::test]
async fn a_server_that_was_killed_has_kept_everything() {
    let mut server = NatsServer::start("killed");
    let log = log(options(), &server).await;
    let first = log.append(&alice(), &once("1")).await.expect("an entry").at;
    log.seen(&alice(), first).await.expect("an answer");
    let second = append(&log, "b").await.at;
    server.kill();
    let failed = until("the end of the connection", async || match log.append(&alice(), &draft("c")).await {
        Err(LogError::Failed(error)) => Ok(error),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(failed.to_string(), "there is no connection to NATS");
    server.start_again();
    back(&log).await;
    let again = log.append(&alice(), &once("1")).await.expect("an answer");
    assert_eq!((again.at, again.repeated), (first, true));
    let unread = log.read(&alice(), ReadFrom::Unread, ALL).await.expect("a page");
    assert_eq!((unread.from, unread.end, unread.gap), (first, second, None));
    assert_eq!(append(&log, "d").await.prev, second);
    assert_eq!(seqs(&after(&log, first).await), [2, 3]);
}

#[tokio::test]
async fn a_server_that_lost_its_data_resets() {
    let mut server = NatsServer::start("lost");
    let log = log(options(), &server).await;
    let lost = [append(&log, "a").await.at, append(&log, "b").await.at];
    server.kill();
    server.lose_data();
    server.start_again();
    back(&log).await;
    assert_eq!(after(&log, lost[1]).await.gap, Some(GapKind::Reset));
    // Another node is faster. The node remembers an end with the same number in the stream, which is not there any more.
    let other = self::log(options(), &server).await;
    let new = [append(&other, "c").await, append(&other, "d").await];
    assert_eq!((new[0].at.seq(), new[0].prev), (1, Position::BEGINNING));
    for at in lost {
        let page = after(&log, at).await;
        assert_eq!((page.gap, page.from), (Some(GapKind::Reset), new[1].at));
    }
    assert_eq!(append(&log, "e").await.prev, new[1].at);
    assert_eq!(after(&log, lost[0]).await.gap, Some(GapKind::Reset));
    assert_eq!(after(&log, new[0].at).await.gap, None);
}

#[tokio::test]
async fn a_server_that_was_restored_resets_who_saw_more() {
    let mut server = NatsServer::start("restored");
    let log = log(options(), &server).await;
    let kept = append(&log, "a").await.at;
    server.kill();
    server.back_up();
    server.start_again();
    back(&log).await;
    let lost = append(&log, "b").await.at;
    server.kill();
    server.restore();
    server.start_again();
    back(&log).await;
    assert_eq!(after(&log, lost).await.gap, Some(GapKind::Reset));
    let new = append(&log, "c").await;
    assert_eq!((new.prev, new.at.seq()), (kept, lost.seq()));
    assert_eq!(after(&log, lost).await.gap, Some(GapKind::Reset), "the same number has another tag");
    append(&log, "d").await;
    assert_eq!(after(&log, lost).await.gap, Some(GapKind::Reset), "also if it is not the last");
    assert_eq!(after(&log, kept).await.gap, None, "who saw nothing of it misses nothing");
}

#[tokio::test]
async fn an_append_without_an_answer_is_unknown_and_its_retry_is_safe() {
    let server = NatsServer::start("unknown");
    let log = log(options().timeout(Duration::from_millis(200)), &server).await;
    let first = append(&log, "a").await.at;
    server.freeze();
    let unknown = log.append(&alice(), &once("1")).await;
    assert!(matches!(unknown, Err(LogError::Unknown(_))), "{unknown:?}");
    let read = log.read(&alice(), ReadFrom::After(first), ALL).await;
    assert!(matches!(read, Err(LogError::Failed(_))), "{read:?}");
    server.thaw();
    back(&log).await;
    let retry = until("an answer", async || {
        log.append(&alice(), &once("1")).await.map_err(|error| error.to_string())
    });
    let retry = retry.await;
    assert_eq!(retry.at.seq(), 2);
    assert_eq!(append(&log, "b").await.prev, retry.at);
    assert_eq!(seqs(&after(&log, first).await), [2, 3]);
}

#[tokio::test]
async fn old_entries_go_and_the_end_stays() {
    let server = NatsServer::start("old");
    let retention = Retention { age: Duration::from_millis(500), ..Retention::default() };
    let log = log(options().retention(retention), &server).await;
    let first = append(&log, "a").await.at;
    let last = append(&log, "b").await.at;
    let trimmed = until("the end of the entries", async || {
        let page = after(&log, Position::BEGINNING).await;
        if page.entries.is_empty() { Ok(page) } else { Err(format!("{page:?}")) }
    })
    .await;
    assert_eq!(
        (trimmed.gap, trimmed.from, trimmed.end, trimmed.more),
        (Some(GapKind::Trimmed), last, last, false)
    );
    assert_eq!(after(&log, last).await.gap, None);
    let latest = log.read(&alice(), ReadFrom::Latest, ALL).await.expect("a page");
    assert_eq!((latest.entries.len(), latest.from), (0, last));
    let new = append(&log, "c").await;
    assert_eq!(new.prev, last);
    let page = after(&log, first).await;
    assert_eq!((page.gap, page.from, seqs(&page)), (Some(GapKind::Trimmed), last, vec![3]));
}

#[tokio::test]
async fn a_key_does_not_outgrow_its_bytes() {
    let server = NatsServer::start("bytes");
    let retention = Retention { bytes: 8000, ..Retention::default() };
    let log = log(options().retention(retention), &server).await;
    for _ in 0..100 {
        append(&log, &"a".repeat(400)).await;
    }
    let page = until("the end of the oldest", async || {
        let page = after(&log, Position::BEGINNING).await;
        let bytes: usize = page.entries.iter().map(|entry| entry.push.len()).sum();
        if bytes < 9000 + 500 && !page.more { Ok(page) } else { Err(format!("{bytes} bytes")) }
    })
    .await;
    assert_eq!(page.gap, Some(GapKind::Trimmed));
    assert_eq!(page.entries.last().map(|entry| entry.at.seq()), Some(100));
    assert!(page.entries.len() > 10, "{}", page.entries.len());
}

#[tokio::test]
async fn what_a_server_lacks_is_named() {
    let server = NatsServer::start_with("no-jetstream", &[]);
    let error = Nats::connect(&server.url()).await.expect_err("no JetStream");
    assert!(matches!(error, NatsError::NoJetStream), "{error}");
    let only = Nats::options().without_log().without_presence().connect(&server.url()).await.expect("a node");
    assert!(only.log().is_none());
}

#[tokio::test]
async fn settings_can_be_changed() {
    let server = NatsServer::start("settings");
    let many = log(options(), &server).await;
    for _ in 0..10 {
        append(&many, "a").await;
    }
    let retention = Retention { entries: 3, ..Retention::default() };
    let few = log(options().retention(retention), &server).await;
    assert_eq!(seqs(&after(&few, Position::BEGINNING).await), [8, 9, 10]);
    // A stream does not move, and keeps what it has.
    let memory = log(options().storage(NatsStorage::Memory), &server).await;
    assert_eq!(append(&memory, "b").await.at.seq(), 11);
    let error = options().replicas(3).connect(&server.url()).await.expect_err("one server is no cluster");
    assert!(matches!(error, NatsError::Stream { .. }), "{error}");
}

/// Each round kills the server while two nodes append. What was acknowledged is there, what failed is not, and what is unknown is
/// there once or not at all.
#[tokio::test]
async fn a_server_that_is_killed_during_appends_keeps_its_word() {
    let mut server = NatsServer::start("word");
    let all = || options().retention(Retention { entries: 10_000, ..Retention::default() });
    let nodes = [log(all(), &server).await, log(all(), &server).await];
    let (mut kept, mut failed, mut number) = (Vec::new(), Vec::new(), 0);
    for _ in 0..5 {
        let appends = (0..400).map(|index| {
            number += 1;
            let (log, text) = (&nodes[index % 2], number.to_string());
            async move {
                let result = log.append(&alice(), &draft(&text)).await;
                (text, result)
            }
        });
        let appends: Vec<_> = appends.collect();
        let after_some = async {
            until("some appends", async || match nodes[0].end(&alice()).await {
                Ok(end) if end.seq() > kept.len() as u64 + 50 => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await;
            server.kill();
        };
        let (results, ()) = tokio::join!(join_all(appends), after_some);
        for (text, result) in results {
            match result {
                Ok(appended) => kept.push((text, appended)),
                Err(LogError::Failed(_)) => failed.push(text),
                Err(LogError::Unknown(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        server.start_again();
        back(&nodes[0]).await;
        back(&nodes[1]).await;
    }
    let push = |text: &str| Push::message(text.to_owned()).to_json();
    let mut page = after(&nodes[1], Position::BEGINNING).await;
    assert!(!page.more && page.gap.is_none());
    for (text, appended) in &kept {
        let entry = &page.entries[appended.at.seq() as usize - 1];
        assert_eq!((entry.at, &*entry.push), (appended.at, push(text).as_str()));
    }
    assert!(kept.len() >= 250 && !failed.is_empty(), "{} kept, {} failed", kept.len(), failed.len());
    for text in &failed {
        assert!(page.entries.iter().all(|entry| *entry.push != *push(text)), "{text} has failed");
    }
    let count = page.entries.len();
    page.entries.sort_by(|a, b| a.push.cmp(&b.push));
    page.entries.dedup_by(|a, b| a.push == b.push);
    assert_eq!(page.entries.len(), count, "each is there once");
}

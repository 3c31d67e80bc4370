//! Checks for the contract of a [`Log`].
//!
//! ```
//! use keywire::log::MemoryLog;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! keywire::testing::log::all(&MemoryLog::new()).await;
//! # }
//! ```

use futures_util::future::join_all;

use super::new_key as key;
use crate::key::Key;
use crate::log::{Appended, Draft, Entry, GapKind, Limit, Log, LogError, Page, Position, ReadFrom};
use crate::message::Push;

/// No limit on a page.
const ALL: Limit = Limit { entries: usize::MAX, bytes: usize::MAX };

/// Runs all checks that every log must pass. They use new keys, so the log need not be empty.
///
/// # Panics
///
/// If the log violates the contract.
pub async fn all(log: &dyn Log) {
    entries_follow_each_other(log).await;
    an_empty_log_has_no_gap(log).await;
    pages_are_bounded_and_have_no_hole(log).await;
    a_position_holds_or_is_a_reset(log).await;
    an_id_is_added_once(log).await;
    concurrent_appends_form_one_order(log).await;
    concurrent_retries_are_added_once(log).await;
    keys_are_apart(log).await;
    seen_moves_forward_only(log).await;
    a_key_is_forgotten(log).await;
    what_was_pushed_comes_back_as_it_was(log).await;
}

/// Numbers are contiguous from 1, each entry names the previous one, and `end` is the last entry.
pub async fn entries_follow_each_other(log: &dyn Log) {
    let key = key("follow");
    assert_eq!(end(log, &key).await, Position::BEGINNING, "the end of an empty log");
    let mut prev = Position::BEGINNING;
    for seq in 1..=5 {
        let appended = append(log, &key, "a").await;
        assert_eq!((appended.at.seq(), appended.prev), (seq, prev), "entry {seq}");
        assert!(!appended.repeated, "entry {seq} is new");
        assert_eq!(end(log, &key).await, appended.at, "the end after entry {seq}");
        prev = appended.at;
    }
    let page = read(log, &key, ReadFrom::After(Position::BEGINNING)).await;
    assert_whole(&page, Position::BEGINNING);
    assert_eq!((page.entries.len(), page.end, page.more, page.gap), (5, prev, false, None));
    let times: Vec<_> = page.entries.iter().map(|entry| entry.time).collect();
    assert!(times.iter().all(|time| *time > 1_600_000_000_000), "milliseconds since 1970: {times:?}");
}

/// A reader without a position misses nothing of an empty log.
pub async fn an_empty_log_has_no_gap(log: &dyn Log) {
    let key = key("empty");
    for from in [ReadFrom::After(Position::BEGINNING), ReadFrom::Unread, ReadFrom::Latest, ReadFrom::End] {
        let page = read(log, &key, from).await;
        assert_eq!(page, Page::new(Position::BEGINNING, Position::BEGINNING), "{from:?}");
    }
}

/// A page respects its limits, has at least one entry, and the next page continues it.
pub async fn pages_are_bounded_and_have_no_hole(log: &dyn Log) {
    let key = key("pages");
    let mut last = Position::BEGINNING;
    for _ in 0..7 {
        last = append(log, &key, "a").await.at;
    }
    let len = Draft::from(Push::message("a").kept()).push().len();
    for limit in [Limit { entries: 2, ..ALL }, Limit { bytes: 2 * len + 1, ..ALL }, Limit { bytes: 0, ..ALL }]
    {
        let (mut at, mut pages) = (Position::BEGINNING, 0);
        while at != last {
            let page = log.read(&key, ReadFrom::After(at), limit).await.expect("a page");
            assert_whole(&page, at);
            assert!((1..=2).contains(&page.entries.len()), "{} entries for {limit:?}", page.entries.len());
            at = page.entries.last().map_or(at, |entry| entry.at);
            assert_eq!(page.more, at != last, "whether there is more after {at}");
            pages += 1;
            assert!(pages <= 7, "the pages get on");
        }
    }
    let page = log.read(&key, ReadFrom::Latest, Limit { entries: 3, ..ALL }).await.expect("a page");
    let seqs: Vec<_> = page.entries.iter().map(|entry| entry.at.seq()).collect();
    assert_eq!((seqs, page.end, page.more, page.gap), (vec![5, 6, 7], last, false, None), "the latest");
    assert_whole(&page, page.from);
    let page = read(log, &key, ReadFrom::End).await;
    assert_eq!(page, Page::new(last, last), "the end");
}

/// Reading after a position of this log continues. Reading after a position that it never issued is a reset.
pub async fn a_position_holds_or_is_a_reset(log: &dyn Log) {
    let key = key("hold");
    let at = [append(log, &key, "a").await.at, append(log, &key, "b").await.at];
    for (after, left) in [(Position::BEGINNING, 2), (at[0], 1), (at[1], 0)] {
        let page = read(log, &key, ReadFrom::After(after)).await;
        assert_whole(&page, after);
        assert_eq!((page.entries.len(), page.gap), (left, None), "after {after}");
    }
    for foreign in [
        Position::new(1, at[0].tag() ^ 1),
        Position::new(2, at[1].tag() ^ 1),
        Position::new(0, 1),
        Position::new(3, 1),
        Position::new(u64::MAX, u64::MAX),
    ] {
        let page = read(log, &key, ReadFrom::After(foreign)).await;
        assert_eq!(page, Page::new(at[1], at[1]).with_gap(GapKind::Reset), "after {foreign}");
    }
}

/// A second append with the same id adds nothing.
pub async fn an_id_is_added_once(log: &dyn Log) {
    let key = key("once");
    let draft = Draft::from(Push::message("a").kept().once("1"));
    let first = log.append(&key, &draft).await.expect("an entry");
    append(log, &key, "b").await;
    let again = log.append(&key, &draft).await.expect("an answer");
    assert_eq!((again.at, again.repeated), (first.at, true), "the same id");
    let other = Draft::from(Push::message("a").kept().once("2"));
    assert_eq!(log.append(&key, &other).await.expect("an entry").at.seq(), 3, "another id");
    let elsewhere = log.append(&self::key("once-2"), &draft).await.expect("an entry");
    assert!(!elsewhere.repeated, "an id belongs to a key");
}

/// Concurrent appends all get a position.
pub async fn concurrent_appends_form_one_order(log: &dyn Log) {
    let key = key("many");
    let drafts: Vec<Draft> = (0..100).map(|number| Push::message(number.to_string()).kept().into()).collect();
    let appended = join_all(drafts.iter().map(|draft| log.append(&key, draft))).await;
    let mut appended: Vec<_> = appended.into_iter().map(|result| result.expect("an entry").at).collect();
    appended.sort_by_key(|at| at.seq());
    let page = read(log, &key, ReadFrom::After(Position::BEGINNING)).await;
    assert_whole(&page, Position::BEGINNING);
    let stored: Vec<_> = page.entries.iter().map(|entry| entry.at).collect();
    assert_eq!(appended, stored, "what append returned is what is there");
}

/// Concurrent retries are added once.
pub async fn concurrent_retries_are_added_once(log: &dyn Log) {
    let key = key("retries");
    let draft = Draft::from(Push::message("a").kept().once("1"));
    let appended = join_all((0..20).map(|_| log.append(&key, &draft))).await;
    let appended: Vec<_> = appended.into_iter().map(|result| result.expect("an answer")).collect();
    assert_eq!(appended.iter().filter(|appended| !appended.repeated).count(), 1, "one is new");
    assert!(appended.iter().all(|other| other.at == appended[0].at), "all name the same entry");
    assert_eq!(end(log, &key).await.seq(), 1);
}

/// Each key has its own log, for any characters.
pub async fn keys_are_apart(log: &dyn Log) {
    let names = ["a", "a b", "A", "a'; --", "a%_*?", "ä", "a:b", "a.b", "a/b", "{a}", "\u{1f600}"];
    let keys: Vec<_> = names.iter().map(|name| key(name)).collect();
    for (number, key) in keys.iter().enumerate() {
        for _ in 0..=number % 3 {
            append(log, key, key.as_str()).await;
        }
    }
    for (number, key) in keys.iter().enumerate() {
        let page = read(log, key, ReadFrom::After(Position::BEGINNING)).await;
        assert_eq!(page.entries.len(), number % 3 + 1, "the entries of {key}");
        let text = Push::message(key.as_str().to_owned()).to_json();
        assert!(page.entries.iter().all(|entry| *entry.push == *text), "the entries of {key}");
    }
}

/// The seen position only moves forward, and trims nothing.
pub async fn seen_moves_forward_only(log: &dyn Log) {
    let key = key("seen");
    log.seen(&key, Position::new(1, 1)).await.expect("nothing to be done in an empty log");
    let mut at = Vec::new();
    for _ in 0..3 {
        at.push(append(log, &key, "a").await.at);
    }
    for (seen, left) in [
        (Position::BEGINNING, 3),
        (at[1], 1),
        (at[0], 1),
        (Position::new(3, at[2].tag() ^ 1), 1),
        (Position::new(9, 9), 1),
        (at[2], 0),
    ] {
        log.seen(&key, seen).await.expect("an answer");
        let page = read(log, &key, ReadFrom::Unread).await;
        assert_eq!((page.entries.len(), page.gap), (left, None), "unread after {seen} was seen");
        let all = read(log, &key, ReadFrom::After(Position::BEGINNING)).await;
        assert_eq!((all.entries.len(), all.gap), (3, None), "another device has seen nothing");
    }
}

/// Nothing is left of a forgotten key, and its pages get a gap.
pub async fn a_key_is_forgotten(log: &dyn Log) {
    let key = key("forget");
    let draft = Draft::from(Push::message("a").kept().once("1"));
    let at = log.append(&key, &draft).await.expect("an entry").at;
    log.seen(&key, at).await.expect("an answer");
    log.forget(&key).await.expect("an answer");
    assert_eq!(end(log, &key).await, Position::BEGINNING);
    let page = read(log, &key, ReadFrom::After(at)).await;
    assert_eq!(page.gap, Some(GapKind::Reset), "who followed is told");
    let again = log.append(&key, &draft).await.expect("an entry");
    assert_eq!((again.at.seq(), again.repeated), (1, false), "the id is forgotten");
    assert_ne!(again.at, at, "the new first entry has a tag of its own");
    let page = read(log, &key, ReadFrom::Unread).await;
    assert_eq!(page.entries.len(), 1, "what was seen is forgotten");
    let page = read(log, &key, ReadFrom::After(at)).await;
    assert_eq!(page.gap, Some(GapKind::Reset), "who followed is told after a new entry too");
}

/// Any JSON is returned byte for byte.
pub async fn what_was_pushed_comes_back_as_it_was(log: &dyn Log) {
    let key = key("bytes");
    let pushes = [
        Push::message(""),
        Push::message("\u{0}\u{1f600}\"\\'\n").with_flag("f'f"),
        Push::data(serde_json::json!({ "a": [1, null, "b"] })),
        Push::message("a".repeat(60_000)),
    ];
    for push in &pushes {
        log.append(&key, &push.clone().kept().into()).await.expect("an entry");
    }
    let page = read(log, &key, ReadFrom::After(Position::BEGINNING)).await;
    let texts: Vec<_> = page.entries.iter().map(|entry| entry.push.to_string()).collect();
    assert_eq!(texts, pushes.iter().map(Push::to_json).collect::<Vec<_>>());
}

/// For a log that keeps `entries` entries of a key, at least 2: the oldest are removed first, and a reader gets a gap. Not part of
/// [`all`].
///
/// # Panics
///
/// If the log violates the contract or keeps another number.
pub async fn trims_beyond(log: &dyn Log, entries: usize) {
    let key = key("trim");
    let mut at = Vec::new();
    for _ in 0..entries + 3 {
        at.push(append(log, &key, "a").await.at);
    }
    let page = read(log, &key, ReadFrom::After(Position::BEGINNING)).await;
    assert_eq!((page.gap, page.entries.len()), (Some(GapKind::Trimmed), entries), "from the beginning");
    assert_eq!(page.from, at[2], "the page begins before the oldest entry");
    assert_whole(&page, at[2]);
    assert_eq!(read(log, &key, ReadFrom::Unread).await.gap, Some(GapKind::Trimmed), "unread");
    assert_eq!(read(log, &key, ReadFrom::After(at[1])).await.gap, Some(GapKind::Trimmed), "one is missing");
    assert_eq!(read(log, &key, ReadFrom::After(at[2])).await.gap, None, "nothing is missing");
    let wrong = Position::new(at[2].seq(), at[2].tag() ^ 1);
    assert_eq!(read(log, &key, ReadFrom::After(wrong)).await.gap, Some(GapKind::Reset), "before the oldest");
    let page = log.read(&key, ReadFrom::Latest, Limit { entries: 2, ..ALL }).await.expect("a page");
    assert_eq!((page.entries.len(), page.gap), (2, None), "the latest are no gap");
}

/// For a log whose largest entry has this many bytes: a larger entry is refused and changes nothing. Not part of [`all`].
///
/// # Panics
///
/// If the log accepts a larger entry or violates the contract.
pub async fn refuses_larger_than(log: &dyn Log, bytes: usize) {
    let key = key("large");
    let at = append(log, &key, "a").await.at;
    let large = Push::message("a".repeat(bytes)).kept().into();
    let refused = log.append(&key, &large).await;
    assert!(matches!(refused, Err(LogError::TooLarge { .. })), "{refused:?}");
    assert_eq!(end(log, &key).await, at);
}

/// Checks that the page begins after `after`, unless there is a gap, and that it has no hole.
fn assert_whole(page: &Page, after: Position) {
    if page.gap.is_none() {
        assert_eq!(page.from, after, "the page begins where it was asked to");
    }
    let mut prev = page.from;
    for Entry { at, prev: named, .. } in &page.entries {
        assert_eq!((*named, at.seq()), (prev, prev.seq() + 1), "the entry {at} follows {prev}");
        prev = *at;
    }
    if !page.more {
        assert_eq!(prev, page.end, "the last page ends at the end");
    }
}

async fn append(log: &dyn Log, key: &Key, msg: &str) -> Appended {
    let draft = Push::message(msg.to_owned()).kept().into();
    log.append(key, &draft).await.expect("an entry")
}

async fn read(log: &dyn Log, key: &Key, from: ReadFrom) -> Page {
    log.read(key, from, ALL).await.expect("a page")
}

async fn end(log: &dyn Log, key: &Key) -> Position {
    log.end(key).await.expect("a position")
}

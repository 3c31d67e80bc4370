//! The file against the log in memory, under random calls.

use std::collections::HashMap;

use proptest::prelude::*;
use rusqlite::Connection;

use super::append::{append, forget, seen};
use super::read::page;
use super::schema;
use crate::delivery::Position;
use crate::key::Key;
use crate::log::trail::Trail;
use crate::log::{Draft, GapKind, Limit, Page, ReadFrom, Retention};
use crate::message::Push;

#[derive(Debug, Clone)]
enum Step {
    Append { key: usize, len: usize, once: Option<u8> },
    Seen { key: usize, position: usize },
    Forget { key: usize },
    Read { key: usize, from: usize, entries: usize, bytes: usize },
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..2_usize;
    let step = prop_oneof![
        8 => (key.clone(), 0..200_usize, proptest::option::of(0..3_u8))
            .prop_map(|(key, len, once)| Step::Append { key, len, once }),
        2 => (key.clone(), 0..30_usize).prop_map(|(key, position)| Step::Seen { key, position }),
        1 => key.clone().prop_map(|key| Step::Forget { key }),
        8 => (key, 0..40_usize, 0..6_usize, 0..600_usize)
            .prop_map(|(key, from, entries, bytes)| Step::Read { key, from, entries, bytes }),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..60)
}

/// Where a read begins: one of the positions that were ever given, or one that never was.
fn from(number: usize, given: &[Position]) -> ReadFrom {
    match number {
        0 => ReadFrom::Unread,
        1 => ReadFrom::Latest,
        2 => ReadFrom::End,
        3 => ReadFrom::After(Position::new(3, 7)),
        4 => ReadFrom::After(Position::new(u64::MAX, 7)),
        5 => ReadFrom::After(Position::BEGINNING),
        _ => ReadFrom::After(given.get(number % given.len().max(1)).copied().unwrap_or_default()),
    }
}

/// From, end, gap, more, and of each entry the number before it, its own and its text.
type Same = (u64, u64, Option<GapKind>, bool, Vec<(u64, u64, String)>);

/// What is the same of two logs whose tags differ: numbers and texts.
fn same(page: &Page) -> Same {
    let entries = page.entries.iter();
    let entries = entries.map(|entry| (entry.prev.seq(), entry.at.seq(), entry.push.to_string())).collect();
    (page.from.seq(), page.end.seq(), page.gap, page.more, entries)
}

/// The position of the file for one of the memory's.
fn translated(from: ReadFrom, tags: &HashMap<Position, Position>) -> ReadFrom {
    match from {
        ReadFrom::After(after) => ReadFrom::After(tags.get(&after).copied().unwrap_or(after)),
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_file_is_what_the_memory_is(steps in steps(), entries in 1..8_usize, bytes in 250..900_usize) {
        let retention = Retention { entries, bytes, ..Retention::default() };
        let directory = std::env::temp_dir().join(format!("keywire-model-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("log.db");
        let open = || schema::open(&path, super::Durability::Normal).unwrap();
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(directory.join(format!("log.db{suffix}")));
        }
        let mut file: Connection = open();
        let mut memory = [Trail::default(), Trail::default()];
        // From each position of the memory to that of the file.
        let (mut given, mut tags) = (Vec::new(), HashMap::new());
        let keys = [Key::new("alice").unwrap(), Key::new("bob").unwrap()];
        let mut total = 0;
        for (now, step) in (1000..).zip(steps) {
            match step {
                Step::Append { key, len, once } => {
                    let push = Push::message("a".repeat(len)).kept();
                    let draft = Draft::from(match once {
                        Some(once) => push.once(once.to_string()),
                        None => push,
                    });
                    let (here, change) = append(&file, &keys[key], &draft, now, &retention).unwrap();
                    let there = memory[key].append(&draft, now, &retention).unwrap();
                    total += change;
                    prop_assert_eq!((here.at.seq(), here.repeated), (there.at.seq(), there.repeated));
                    if !there.repeated {
                        prop_assert_eq!(here.prev.seq(), there.prev.seq());
                        given.push(there.at);
                        tags.insert(there.at, here.at);
                    }
                }
                Step::Seen { key, position } => {
                    let at = given.get(position % given.len().max(1)).copied().unwrap_or_default();
                    seen(&file, &keys[key], tags.get(&at).copied().unwrap_or(at)).unwrap();
                    memory[key].see(at);
                }
                Step::Forget { key } => {
                    total += forget(&file, &keys[key]).unwrap();
                    memory[key] = Trail::default();
                }
                Step::Read { key, from: number, entries, bytes } => {
                    let (from, limit) = (from(number, &given), Limit { entries, bytes });
                    let here = page(&file, &keys[key], translated(from, &tags), limit).unwrap();
                    let there = memory[key].read(from, limit, now, &retention);
                    prop_assert_eq!(same(&here), same(&there), "{:?}", from);
                }
                Step::Restart => {
                    drop(file);
                    file = open();
                }
            }
            prop_assert_eq!(total, memory.iter().map(|trail| trail.bytes() as i64).sum::<i64>());
        }
    }
}

#[test]
fn what_is_too_old_goes_in_slices() {
    let directory = std::env::temp_dir().join(format!("keywire-trim-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = schema::open(&directory.join("log.db"), super::Durability::Normal).unwrap();
    let retention = Retention::default();
    let draft = Draft::from(Push::message("a").kept().once("1"));
    let day = 24 * 60 * 60 * 1000;
    let keys: Vec<_> = (0..2500).map(|number| Key::new(number.to_string()).unwrap()).collect();
    file.execute_batch("BEGIN").unwrap();
    for (number, key) in keys.iter().enumerate() {
        append(&file, key, &draft, number as u64 * 1000, &retention).unwrap();
    }
    file.execute_batch("COMMIT").unwrap();
    let mut trimmer = super::trim::Trimmer::new(retention, u64::MAX);
    let mut trim = |now| {
        let mut slices = 1;
        while trimmer.trim(&file, 0, now).unwrap().more {
            slices += 1;
        }
        slices
    };
    let count = |table: &str| -> i64 {
        file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    // The first thousand is more than seven days old.
    trim(7 * day + 1_000_000);
    assert_eq!((count("entries"), count("keys"), count("once")), (1500, 2500, 0));
    assert!(trim(8 * day) > 1);
    assert_eq!((count("entries"), count("keys")), (0, 2500));
    let first = page(&file, &keys[0], ReadFrom::After(Position::BEGINNING), Limit { entries: 1, bytes: 1 });
    assert_eq!(first.unwrap().gap, Some(GapKind::Trimmed));
    let mut trimmer = super::trim::Trimmer::new(retention, u64::MAX);
    while trimmer.trim(&file, 0, 31 * day).unwrap().more {}
    assert_eq!(count("keys"), 0);
    let _ = std::fs::remove_dir_all(directory);
}

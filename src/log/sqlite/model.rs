//! The file against the log in memory, under random calls.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use proptest::prelude::*;
use rusqlite::Connection;

use super::append::{append, forget, seen};
use super::read::page;
use super::schema;
use super::trim::Trimmer;
use crate::delivery::Position;
use crate::key::Key;
use crate::log::trail::Trail;
use crate::log::{Draft, GapKind, Limit, Page, ReadFrom, Retention};
use crate::message::Push;

#[derive(Debug, Clone)]
enum Step {
    Append {
        key: usize,
        len: usize,
        once: Option<u8>,
    },
    Seen {
        key: usize,
        position: usize,
    },
    Forget {
        key: usize,
    },
    Read {
        key: usize,
        from: usize,
        entries: usize,
        bytes: usize,
    },
    Restart,
    /// Time passes, and what is too old or too much goes.
    Later {
        by: u64,
    },
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
        2 => (1..80_u64).prop_map(|by| Step::Later { by }),
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

/// Removes what the file's writer removes when it is idle. Returns the bytes that are left.
fn trim(file: &Connection, retention: Retention, most: u64, mut total: u64, now: u64) -> u64 {
    let mut trimmer = Trimmer::new(retention, most);
    loop {
        let slice = trimmer.trim(file, total, now).unwrap();
        total -= slice.bytes;
        if !slice.more {
            return total;
        }
    }
}

fn bytes_of(memory: &[Trail]) -> u64 {
    memory.iter().map(|trail| trail.bytes() as u64).sum()
}

/// Limits that a few steps reach.
fn retentions() -> impl Strategy<Value = (Retention, u64)> {
    let limits = (1..8_usize, 250..900_usize, 300..1500_u64);
    let times = (1..100_u64, 1..100_u64, 1..150_u64);
    (limits, times).prop_map(|((entries, bytes, total), (age, mark, once))| {
        let [age, mark, once] = [age, mark, once].map(Duration::from_millis);
        (Retention { age, entries, bytes, mark, once, ..Retention::default() }, total)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_file_is_what_the_memory_is(steps in steps(), (retention, most) in retentions()) {
        let directory = std::env::temp_dir().join(format!("keywire-model-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("log.db");
        let open = || schema::open(&path, super::Durability::Normal).unwrap();
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(directory.join(format!("log.db{suffix}")));
        }
        // Making a file waits for the disk several times.
        static NEW: OnceLock<Vec<u8>> = OnceLock::new();
        let new = NEW.get_or_init(|| {
            drop(open());
            std::fs::read(&path).unwrap()
        });
        std::fs::write(&path, new).unwrap();
        let mut file: Connection = open();
        let mut memory = [Trail::default(), Trail::default()];
        // From each position of the memory to that of the file.
        let (mut given, mut tags) = (Vec::new(), HashMap::new());
        let keys = [Key::new("alice").unwrap(), Key::new("bob").unwrap()];
        // The entries of both keys, the oldest first. Some are gone.
        let mut order = Vec::new();
        let (mut total, mut now) = (0_i64, 1000);
        for step in steps {
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
                        order.push((key, there.at.seq()));
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
                    order.retain(|(of, _)| *of != key);
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
                Step::Later { by } => {
                    now += by;
                    total = trim(&file, retention, most, total.cast_unsigned(), now).cast_signed();
                    memory.iter_mut().for_each(|trail| trail.trim(now, &retention));
                    let mut oldest = order.iter();
                    while bytes_of(&memory) > most && let Some((key, seq)) = oldest.next() {
                        memory[*key].drop_first(*seq);
                    }
                    for (key, trail) in memory.iter_mut().enumerate() {
                        if trail.is_over(now, &retention) {
                            *trail = Trail::default();
                            order.retain(|(of, _)| *of != key);
                        }
                    }
                }
            }
            prop_assert_eq!(total.cast_unsigned(), bytes_of(&memory));
        }
        drop(file);
        let _ = std::fs::remove_dir_all(directory);
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

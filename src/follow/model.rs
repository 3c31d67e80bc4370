//! Runs followers, their log and their pages under random schedules: announcements that are lost or overtaken, pages that leave and
//! return, slow reads, full queues, trimming, a log that loses its tail. A judge checks what each page was told. Each mutant breaks
//! one rule and must be caught.

mod judge;
mod world;

use self::judge::judge;
use self::world::World;

/// The rule that a mutant breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutant {
    /// Positions are compared by their number alone.
    NoTag,
    /// An entry is sent live even if entries before it are missing.
    HoleSkipped,
    /// A page is not told of trimmed entries.
    TrimmingNotTold,
    /// An entry is sent live while older entries are still to come.
    LiveBeforeBacklog,
    /// Entries that are sent from the log do not move the position.
    ReplayDoesNotMove,
    /// A position beyond the end counts as no news.
    PastTheEnd,
    /// An announcement during a read is forgotten.
    HeardForgotten,
    /// The log is not read again after an announcement was lost.
    NoDoubt,
    /// The page moves its position before its handlers run.
    PositionBeforeHandlers,
    /// Entries that the user has seen on one device are trimmed for all devices.
    SeenTrims,
    /// An append with an unknown outcome is retried without its id.
    RetryWithoutOnce,
    /// A retry that finds its entry announces nothing.
    RetryTellsNobody,
    /// A full queue drops a kept push.
    DroppedWhenFull,
}

const MUTANTS: [Mutant; 13] = [
    Mutant::NoTag,
    Mutant::HoleSkipped,
    Mutant::TrimmingNotTold,
    Mutant::LiveBeforeBacklog,
    Mutant::ReplayDoesNotMove,
    Mutant::PastTheEnd,
    Mutant::HeardForgotten,
    Mutant::NoDoubt,
    Mutant::PositionBeforeHandlers,
    Mutant::SeenTrims,
    Mutant::RetryWithoutOnce,
    Mutant::RetryTellsNobody,
    Mutant::DroppedWhenFull,
];

const RUNS: u64 = 4000;

/// Runs one random schedule and judges it.
fn run(seed: u64, mutant: Option<Mutant>) -> Result<(), String> {
    let mut world = World::new(seed, mutant);
    for _ in 0..80 {
        world.step();
    }
    world.settle();
    judge(&world).map_err(|wrong| format!("run {seed}: {wrong}\n{world:#?}"))
}

#[test]
fn every_page_sees_every_entry_once_and_in_order_or_is_told() {
    for seed in 0..RUNS {
        if let Err(wrong) = run(seed, None) {
            panic!("{wrong}");
        }
    }
}

#[test]
fn each_mutant_is_caught() {
    for mutant in MUTANTS {
        let caught = (0..RUNS).find(|seed| run(*seed, Some(mutant)).is_err());
        println!("{mutant:?}: caught by run {caught:?}");
        assert!(caught.is_some(), "{mutant:?} was not caught in {RUNS} runs");
    }
}

//! Followers, their log and their pages under random schedules: announcements that are lost or overtaken, pages that go and come
//! back, slow reads, full queues, trimming, a log that loses its tail. A judge looks at what each page was told. Mutants break
//! one rule each, and must be caught.

mod judge;
mod world;

use self::judge::judge;
use self::world::World;

/// A rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutant {
    /// Positions are compared by their number alone.
    NoTag,
    /// An entry is sent live, whatever is missing before it.
    HoleSkipped,
    /// What was trimmed is not told.
    TrimmingNotTold,
    /// An entry is sent live while older ones are still to come.
    LiveBeforeBacklog,
    /// What was sent out of the log does not move the position.
    ReplayDoesNotMove,
    /// A position beyond the end is taken for no news.
    PastTheEnd,
    /// What is heard during a read is forgotten.
    HeardForgotten,
    /// Nobody looks again after an announcement was lost.
    NoDoubt,
    /// The page moves its position before its handlers run.
    PositionBeforeHandlers,
    /// What the user has seen on one device is trimmed for all.
    SeenTrims,
    /// An append whose outcome is not known is tried again without its id.
    RetryWithoutOnce,
    /// A retry that finds its entry tells nobody.
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

/// One random run, judged.
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

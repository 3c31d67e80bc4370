use std::collections::BTreeSet;

use super::world::{Heard, World};
use crate::delivery::Position;
use crate::log::{GapKind, Limit, ReadFrom, Retention};

/// Checks that each page was told exactly what it had to be told.
pub(super) fn judge(world: &World) -> Result<(), String> {
    for (page, tab) in world.pages.iter().enumerate() {
        page_is_right(world, &tab.heard, tab.at).map_err(|wrong| format!("page {page}: {wrong}"))?;
    }
    if let Some(late) = world.late.first() {
        return Err(format!("page {late} had to wait for a doubt, though it was told of everything"));
    }
    one_entry_for_each_send(world)
}

fn page_is_right(world: &World, heard: &[Heard], at: Option<Position>) -> Result<(), String> {
    let mut log = world.log.clone();
    let everything = Limit { entries: usize::MAX, bytes: usize::MAX };
    let retention = Retention::default();
    let there = log.read(ReadFrom::Latest, everything, 0, &retention);
    let end = there.end;
    let (mut seen, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    // No entry up to here is owed: the first position, or the position of the last gap.
    let mut owed_after: Option<Position> = None;
    let mut last: Option<Position> = None;
    // Whether a reset was told since an entry that the log lacks.
    let mut lost_untold = None;
    for event in heard {
        match event {
            Heard::From { asked, at, gap, log_end } => {
                if asked.is_none() || gap.is_some() {
                    owed_after = Some(*at);
                    last = Some(*at);
                    lost_untold = None;
                }
                if asked.is_none() && gap.is_some() {
                    return Err("a gap for a page that has seen nothing".into());
                }
                let missed = asked.is_some_and(|asked| at.seq() > asked.seq());
                if *gap == Some(GapKind::Trimmed) && !missed {
                    return Err(format!("a gap up to {at} without anything missing"));
                }
                let kept = world.retention.entries as u64;
                if *gap == Some(GapKind::Trimmed) && at.seq() + kept > log_end.seq() {
                    return Err(format!("up to {at} was trimmed, of a log that ends at {log_end}"));
                }
                if let (Some(asked), None) = (asked, gap)
                    && asked != at
                {
                    return Err(format!("{at} in place of {asked}, without a gap"));
                }
                if at.seq() > log_end.seq() {
                    return Err(format!("it begins at {at}, beyond the end {log_end}"));
                }
            }
            Heard::Gap { before, at, why } => {
                let missed = before.is_none_or(|before| at.seq() > before.seq());
                if *why == GapKind::Trimmed && !missed {
                    return Err(format!("a gap up to {at} without anything missing"));
                }
                if *why == GapKind::Reset && !world.failed_over {
                    return Err("a reset of a log that was never reset".into());
                }
                (owed_after, last, lost_untold) = (Some(*at), Some(*at), None);
            }
            Heard::Push { at, number } => {
                if last.is_some_and(|last| at.seq() <= last.seq()) {
                    return Err(format!("{at} after {last:?}"));
                }
                if !numbers.insert(*number) && !world.failed_over {
                    return Err(format!("push {number} twice"));
                }
                last = Some(*at);
                seen.insert((at.seq(), at.tag()));
                let is_there = there.entries.iter().any(|entry| entry.at == *at);
                if !is_there && at.seq() > there.from.seq() {
                    lost_untold = Some(*at);
                }
            }
        }
    }
    if let Some(lost) = lost_untold {
        return Err(format!("it saw {lost}, which the log has lost, and was not told"));
    }
    if at != Some(end) {
        return Err(format!("it ends at {at:?}, and the log at {end}"));
    }
    for entry in &there.entries {
        let owed = owed_after.is_some_and(|after| entry.at.seq() > after.seq());
        if owed && !seen.contains(&(entry.at.seq(), entry.at.tag())) {
            return Err(format!("{} is missing", entry.at));
        }
    }
    holes_were_told(heard)
}

/// Checks that numbers are contiguous, unless there is a gap.
fn holes_were_told(heard: &[Heard]) -> Result<(), String> {
    let mut at: Option<Position> = None;
    for event in heard {
        match event {
            Heard::From { at: from, .. } | Heard::Gap { at: from, .. } => at = Some(*from),
            Heard::Push { at: next, .. } => {
                if at.is_some_and(|at| next.seq() != at.seq() + 1) {
                    return Err(format!("{next} follows {at:?}"));
                }
                at = Some(*next);
            }
        }
    }
    Ok(())
}

/// Checks that each push is in the log once.
fn one_entry_for_each_send(world: &World) -> Result<(), String> {
    let mut log = world.log.clone();
    let everything = Limit { entries: usize::MAX, bytes: usize::MAX };
    let page = log.read(ReadFrom::Latest, everything, 0, &Retention::default());
    let mut texts = BTreeSet::new();
    match page.entries.iter().find(|entry| !texts.insert(entry.push.to_string())) {
        Some(twice) => Err(format!("{} is in the log twice", twice.push)),
        None => Ok(()),
    }
}

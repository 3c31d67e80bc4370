//! Sessions that are members of groups: their memory, and pushes to the groups.

use std::io;
use std::time::Duration;

use super::idle::{FIRST, settled};
use super::spread::rounds;
use super::{Measure, QUIET, Task};
use crate::load::fleet::Fleet;
use crate::load::frame;
use crate::load::report::Memory;
use crate::wire::own::{self, JOINED};

/// Number of groups of each session.
const GROUPS: usize = 10;
/// Number of members of each group.
const MEMBERS: usize = 100;
/// Pushes per command.
const PUSHES: usize = 200;

/// Each session must get rising numbers, and only pushes to its own groups.
pub fn run(task: &Task, measure: &mut Measure) -> io::Result<()> {
    drop(Fleet::open(&task.target, FIRST)?);
    let before = settled(task.pid)?;
    let mut fleet = Fleet::open(&task.target, task.sessions)?;
    let rooms = fleet.len() * GROUPS / MEMBERS;
    if rooms < GROUPS || !(fleet.len() * GROUPS).is_multiple_of(rooms) {
        return Err(io::Error::other(format!("{} sessions cannot form groups of {MEMBERS}", fleet.len())));
    }
    join(&mut fleet, rooms)?;
    let idle = settled(task.pid)?;
    let per_session = idle.saturating_sub(before) as f64 / fleet.len() as f64;
    measure.memory = Some(Memory { before, idle, after: idle, per_session });

    let names: Vec<_> = (0..rooms as u64).map(|number| own::room(number).into_bytes()).collect();
    // The round, and the number within it.
    let mut latest = vec![(0, 0); fleet.len()];
    let (mut got, expected) = (0, (PUSHES * fleet.len() * GROUPS / rooms) as u64);
    let asked = format!("G {PUSHES} {} {rooms}", task.size);
    rounds(task, &mut fleet, &asked, expected, measure, |member, number, room, messages| {
        let this = (got / expected, number + 1);
        got += 1;
        let mut own = (0..GROUPS).map(|place| (member * GROUPS + place) % rooms);
        messages.wrong += u64::from(!own.any(|number| names[number] == room));
        messages.out_of_order += u64::from(this <= latest[member]);
        latest[member] = this;
    })
}

fn join(fleet: &mut Fleet, rooms: usize) -> io::Result<()> {
    let mut missing = fleet.len();
    for member in 0..fleet.len() {
        let asked = format!("J {} {GROUPS} {rooms}", member * GROUPS);
        fleet.send(member, &frame::masked(frame::TEXT, asked.as_bytes()))?;
        missing -= joined(fleet, Duration::ZERO)?;
    }
    while missing > 0 {
        match joined(fleet, QUIET)? {
            0 => return Err(io::Error::other(format!("{missing} sessions have not joined"))),
            joined => missing -= joined,
        }
    }
    Ok(())
}

fn joined(fleet: &mut Fleet, wait: Duration) -> io::Result<usize> {
    let mut joined = 0;
    fleet.turn(wait, |_, payload, _| {
        if payload != JOINED.as_bytes() {
            return Err(io::Error::other(String::from_utf8_lossy(payload).into_owned()));
        }
        joined += 1;
        Ok(())
    })?;
    Ok(joined)
}

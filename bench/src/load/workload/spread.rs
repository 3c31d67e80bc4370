//! One session sends a command, and many sessions get messages.

use std::io;
use std::time::Instant;

use super::{Measure, QUIET, Task};
use crate::load::fleet::Fleet;
use crate::load::frame;
use crate::load::report::Messages;
use crate::wire;

/// Pushes per command.
const PUSHES: u64 = 20_000;

/// `count` broadcasts per command. All are received before the next command.
pub fn broadcasts(task: &Task, count: u64, measure: &mut Measure) -> io::Result<()> {
    let mut fleet = Fleet::open(&task.target, task.sessions)?;
    let mut next = vec![0; fleet.len()];
    let asked = format!("B {count} {}", task.size);
    let expected = count * fleet.len() as u64;
    rounds(task, &mut fleet, &asked, expected, measure, |member, number, key, messages| {
        messages.wrong += u64::from(key != b"*");
        messages.out_of_order += u64::from(number != next[member]);
        next[member] = (number + 1) % count;
    })
}

/// Broadcasts, timed only until the last has arrived. Nothing is read before that, so the server has all
/// processors.
pub fn unread(task: &Task, measure: &mut Measure) -> io::Result<()> {
    let mut fleet = Fleet::open(&task.target, task.sessions)?;
    let dialect = task.target.dialect;
    let asked = frame::masked(frame::TEXT, dialect.text(&format!("B 1 {}", task.size)).as_bytes());
    let mut round = |measure: &mut Measure| -> io::Result<bool> {
        let start = Instant::now();
        measure.messages.expected += fleet.len() as u64;
        fleet.send(0, &asked)?;
        let ready = fleet.all_ready(QUIET)?;
        measure.spreading += start.elapsed();
        fleet.drain(|_, payload| {
            let read = dialect.message(payload).and_then(wire::read_message);
            measure.messages.wrong += u64::from(read != Some((0, b"*")));
            measure.messages.received += 1;
        })?;
        Ok(ready)
    };
    round(&mut Measure::default())?;
    measure.during(task, |measure, end| {
        while round(measure)? && Instant::now() < end {}
        Ok(())
    })?;
    measure.wall = measure.spreading;
    Ok(())
}

/// Pushes to random keys, by this command. Each session must get rising numbers, and only pushes with its own key.
pub fn pushes(task: &Task, command: &str, measure: &mut Measure) -> io::Result<()> {
    let mut fleet = Fleet::open(&task.target, task.sessions)?;
    let keys: Vec<_> = (0..fleet.len()).map(|number| format!("user{number}").into_bytes()).collect();
    // The round, and the number within it.
    let mut latest = vec![(0, 0); keys.len()];
    let mut got = 0;
    let asked = format!("{command} {PUSHES} {} {}", task.size, keys.len());
    rounds(task, &mut fleet, &asked, PUSHES, measure, |member, number, key, messages| {
        let this = (got / PUSHES, number + 1);
        got += 1;
        messages.wrong += u64::from(key != keys[member]);
        messages.out_of_order += u64::from(this <= latest[member]);
        latest[member] = this;
    })
}

/// Sends the command and receives its messages, repeatedly, until the time is over. The first round is a warm-up.
pub(super) fn rounds(
    task: &Task,
    fleet: &mut Fleet,
    asked: &str,
    expected: u64,
    measure: &mut Measure,
    mut check: impl FnMut(usize, u64, &[u8], &mut Messages),
) -> io::Result<()> {
    let dialect = task.target.dialect;
    let asked = frame::masked(frame::TEXT, dialect.text(asked).as_bytes());
    let mut round = |measure: &mut Measure| -> io::Result<bool> {
        let Measure { messages, latencies, .. } = measure;
        let start = Instant::now();
        let mut missing = expected;
        messages.expected += expected;
        fleet.send(0, &asked)?;
        while missing > 0 {
            let came = fleet.turn(QUIET, |member, payload, _| {
                let read = dialect.message(payload).and_then(wire::read_message);
                match read {
                    Some((number, key)) if payload.len() == task.size => check(member, number, key, messages),
                    _ => messages.wrong += 1,
                }
                messages.received += 1;
                missing = missing.saturating_sub(1);
                latencies.add(start.elapsed(), 1);
                Ok(())
            })?;
            if !came {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let warm = &mut Measure::default();
    round(warm)?;
    let stray = warm.messages;
    measure.during(task, |measure, end| {
        while round(measure)? && Instant::now() < end {}
        Ok(())
    })?;
    measure.messages.wrong += stray.wrong;
    measure.messages.out_of_order += stray.out_of_order;
    Ok(())
}

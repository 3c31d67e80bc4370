//! The cost of idle sessions.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Measure, Task};
use crate::load::cpu::memory_kb;
use crate::load::fleet::Fleet;
use crate::load::report::Memory;

/// Number of sessions that come and go first, so that one-time allocations are not counted.
pub(super) const FIRST: usize = 64;
/// Time for which the memory must not change, and the timeout for that.
const STILL: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(5);

pub fn run(task: &Task, measure: &mut Measure) -> io::Result<()> {
    drop(Fleet::open(&task.target, FIRST)?);
    let before = settled(task.pid)?;
    let (fleet, idle) = measure.during(task, |measure, _| {
        let fleet = Fleet::open(&task.target, task.sessions)?;
        measure.messages.expected = task.sessions as u64;
        measure.messages.received = task.sessions as u64;
        Ok((fleet, settled(task.pid)?))
    })?;
    drop(fleet);
    let after = settled(task.pid)?;
    let per_session = idle.saturating_sub(before) as f64 / task.sessions.max(1) as f64;
    measure.memory = Some(Memory { before, idle, after, per_session });
    Ok(())
}

/// The resident memory when it no longer changes.
pub(super) fn settled(pid: u32) -> io::Result<u64> {
    let start = Instant::now();
    let mut memory = memory_kb(pid)?;
    loop {
        sleep(STILL);
        let now = memory_kb(pid)?;
        if now == memory || start.elapsed() > PATIENCE {
            return Ok(now);
        }
        memory = now;
    }
}

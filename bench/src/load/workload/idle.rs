//! What sessions cost that do nothing.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Measure, Task};
use crate::load::cpu::memory_kb;
use crate::load::fleet::Fleet;
use crate::load::report::Memory;

/// How many come and go first, so that what a server sets up once is not counted.
const FIRST: usize = 64;
/// How long the memory has to stand still, and how long that is waited for.
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

/// The resident memory once it stands still.
fn settled(pid: u32) -> io::Result<u64> {
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

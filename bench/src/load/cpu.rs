//! Processor time and memory of a process, from `/proc`.

use std::io;
use std::ops::Sub;

use serde::{Deserialize, Serialize};

/// Processor time, in seconds. The kernel counts in ticks of 10 ms, so a measurement must take seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Cpu {
    pub user: f64,
    pub system: f64,
}

/// Ticks per second, fixed by the kernel's ABI.
const TICKS: f64 = 100.0;

impl Cpu {
    /// Processor time of a process up to now, of all its threads.
    ///
    /// # Errors
    ///
    /// If there is no such process.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The second field, the name, may contain anything. Fields are counted after its bracket.
        let fields = stat.rsplit_once(") ").map(|(_, fields)| fields).unwrap_or_default();
        let mut fields = fields.split(' ').skip(11).map(|field| field.parse::<f64>().unwrap_or_default());
        let mut next = || fields.next().unwrap_or_default() / TICKS;
        Ok(Self { user: next(), system: next() })
    }

    #[must_use]
    pub fn total(self) -> f64 {
        self.user + self.system
    }

    /// Divided by the number of messages, in µs.
    #[must_use]
    pub fn per(self, messages: u64) -> Self {
        let micros = 1e6 / messages.max(1) as f64;
        Self { user: self.user * micros, system: self.system * micros }
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { user: self.user - before.user, system: self.system - before.system }
    }
}

/// The resident memory of a process in KiB.
///
/// # Errors
///
/// If there is no such process.
pub fn memory_kb(pid: u32) -> io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    number.ok_or_else(|| io::Error::other("no VmRSS"))
}

//! The report of a workload, printed as JSON.

use serde::{Deserialize, Serialize};

use super::cpu::Cpu;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    pub workload: String,
    pub sessions: usize,
    pub messages: Messages,
    /// Time from the first message sent to the last received, in seconds.
    pub wall: f64,
    /// Processor time of the server, in seconds.
    pub server: Cpu,
    /// Processor time of the load generator, in seconds.
    pub load: Cpu,
    /// Processor time of the server per message, in µs.
    pub per_message: Cpu,
    pub latency: Option<Latency>,
    pub memory: Option<Memory>,
}

/// The account of all messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    pub expected: u64,
    pub received: u64,
    pub lost: u64,
    /// Messages that came too early, too late or twice.
    pub out_of_order: u64,
    /// Messages with a wrong content or for another session.
    pub wrong: u64,
}

impl Messages {
    /// Whether each message came once, in order, to the right session.
    #[must_use]
    pub fn are_right(&self) -> bool {
        self.lost == 0 && self.out_of_order == 0 && self.wrong == 0
    }
}

/// Latency percentiles, in µs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
}

/// The server's resident memory, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    pub before: u64,
    pub idle: u64,
    /// Memory after all sessions have left.
    pub after: u64,
    pub per_session: f64,
}

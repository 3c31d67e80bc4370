//! What a workload found, as it goes out as JSON.

use serde::{Deserialize, Serialize};

use super::cpu::Cpu;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    pub workload: String,
    pub sessions: usize,
    pub messages: Messages,
    /// From the first message sent to the last received, in seconds.
    pub wall: f64,
    /// What the server used, in seconds.
    pub server: Cpu,
    /// What the load generator used, in seconds.
    pub load: Cpu,
    /// What the server used for one message, in µs.
    pub per_message: Cpu,
    pub latency: Option<Latency>,
    pub memory: Option<Memory>,
}

/// Every message is accounted for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    pub expected: u64,
    pub received: u64,
    pub lost: u64,
    /// Came before or after its turn, or twice.
    pub out_of_order: u64,
    /// Not what was to come, or not for whom it came to.
    pub wrong: u64,
}

impl Messages {
    /// Whether each came once, in its turn, to the right one.
    #[must_use]
    pub fn are_right(&self) -> bool {
        self.lost == 0 && self.out_of_order == 0 && self.wrong == 0
    }
}

/// In µs.
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
    /// When all have left.
    pub after: u64,
    pub per_session: f64,
}

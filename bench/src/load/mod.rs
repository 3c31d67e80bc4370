//! The load generator: one thread, raw sockets, epoll. It must cost much less than the servers.

mod cpu;
mod dialect;
mod fleet;
mod frame;
mod latency;
mod open;
mod report;
pub mod workload;

pub use cpu::{Cpu, memory_kb};
pub use dialect::Dialect;
pub use frame::{masked_text, read as read_frames};
pub use report::{Latency, Memory, Messages, Report};

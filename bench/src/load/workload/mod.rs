//! The workloads.

mod connect;
mod echo;
mod groups;
mod idle;
mod spread;

use std::io;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::cpu::Cpu;
use super::latency::Latencies;
pub use super::open::Target;
use super::report::{Memory, Messages, Report};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Workload {
    /// Broadcasts to all sessions, one at a time.
    Fanout,
    /// The same, but nothing is read before everything is sent: the time that the server alone needs.
    Spread,
    /// Broadcasts in bursts of 16.
    Burst,
    /// Pushes to random keys.
    Push,
    /// Pushes to random keys, sent by a thread of the server's application.
    Thread,
    /// Pushes to random groups, each session in ten. Also its memory. keywire only.
    Groups,
    /// Echo of text, one message in flight per session.
    Echo,
    /// Echo of text, 16 messages in flight per session.
    Echo16,
    /// A JSON command and its reply, one in flight per session.
    Json,
    /// Idle sessions.
    Idle,
    /// Connect, upgrade, close.
    Connect,
}

/// The parameters of a run.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    pub target: Target,
    /// Process id of the server.
    pub pid: u32,
    pub sessions: usize,
    /// Duration of the measurement. A round that has begun is finished.
    pub duration: Duration,
    /// Length of a message's payload.
    pub size: usize,
}

/// Time without a message after which missing messages count as lost.
const QUIET: Duration = Duration::from_secs(10);

impl Workload {
    /// Default number of sessions.
    #[must_use]
    pub fn sessions(self) -> usize {
        match self {
            Self::Fanout | Self::Spread | Self::Push | Self::Thread | Self::Idle => 10_000,
            Self::Groups => 19_000,
            Self::Burst => 1_000,
            Self::Echo | Self::Echo16 | Self::Json => 50,
            Self::Connect => 16,
        }
    }

    /// Default length of a message.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Echo | Self::Echo16 => 64,
            _ => 128,
        }
    }

    /// Runs the workload.
    ///
    /// # Errors
    ///
    /// If a session does not open, or ends.
    pub fn run(self, task: &Task) -> io::Result<Report> {
        let mut measure = Measure::default();
        match self {
            Self::Fanout => spread::broadcasts(task, 1, &mut measure)?,
            Self::Spread => spread::unread(task, &mut measure)?,
            Self::Burst => spread::broadcasts(task, 16, &mut measure)?,
            Self::Push => spread::pushes(task, "P", &mut measure)?,
            Self::Thread => spread::pushes(task, "T", &mut measure)?,
            Self::Groups => groups::run(task, &mut measure)?,
            Self::Echo => echo::texts(task, 1, &mut measure)?,
            Self::Echo16 => echo::texts(task, 16, &mut measure)?,
            Self::Json => echo::commands(task, &mut measure)?,
            Self::Idle => idle::run(task, &mut measure)?,
            Self::Connect => connect::run(task, &mut measure)?,
        }
        Ok(measure.report(self.name(), task.sessions))
    }

    /// Name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// The measurements of a workload.
#[derive(Default)]
struct Measure {
    messages: Messages,
    wall: Duration,
    /// The time in which messages were on their way, if that is not all of it.
    spreading: Duration,
    server: Cpu,
    load: Cpu,
    latencies: Latencies,
    memory: Option<Memory>,
}

impl Measure {
    /// Runs and measures `work`, which gets the time at which to stop.
    fn during<T>(
        &mut self,
        task: &Task,
        work: impl FnOnce(&mut Self, Instant) -> io::Result<T>,
    ) -> io::Result<T> {
        let (server, load) = (Cpu::of(task.pid)?, Cpu::of(std::process::id())?);
        let start = Instant::now();
        let result = work(self, start + task.duration)?;
        self.wall = start.elapsed();
        self.server = Cpu::of(task.pid)? - server;
        self.load = Cpu::of(std::process::id())? - load;
        Ok(result)
    }

    fn report(self, workload: String, sessions: usize) -> Report {
        let Self { mut messages, wall, server, load, latencies, memory, .. } = self;
        messages.lost = messages.expected.saturating_sub(messages.received);
        // A message came twice.
        messages.out_of_order += messages.received.saturating_sub(messages.expected);
        Report {
            workload,
            sessions,
            messages,
            wall: wall.as_secs_f64(),
            server,
            load,
            per_message: server.per(messages.received),
            latency: latencies.summary(),
            memory,
        }
    }
}

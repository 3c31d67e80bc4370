//! What is done to a server.

mod connect;
mod echo;
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
    /// One broadcast to all sessions, again and again.
    Fanout,
    /// The same, nothing read before all is sent: the time that the server alone needs.
    Spread,
    /// Broadcasts in bursts of 16.
    Burst,
    /// Pushes to random keys.
    Push,
    /// Text comes back, one message in flight on each session.
    Echo,
    /// Text comes back, 16 messages in flight on each session.
    Echo16,
    /// A JSON command and its reply, one in flight on each session.
    Json,
    /// Sessions that do nothing.
    Idle,
    /// Connect, upgrade, close.
    Connect,
}

/// All that is settled beforehand.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    pub target: Target,
    /// The server's process.
    pub pid: u32,
    pub sessions: usize,
    /// How long to measure. A round that has begun is brought to its end.
    pub duration: Duration,
    /// How long the payload of a message is.
    pub size: usize,
}

/// After how long without a message what is missing is lost.
const QUIET: Duration = Duration::from_secs(10);

impl Workload {
    /// How many sessions it has unless told otherwise.
    #[must_use]
    pub fn sessions(self) -> usize {
        match self {
            Self::Fanout | Self::Spread | Self::Push | Self::Idle => 10_000,
            Self::Burst => 1_000,
            Self::Echo | Self::Echo16 | Self::Json => 50,
            Self::Connect => 16,
        }
    }

    /// How long a message is unless told otherwise.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Echo | Self::Echo16 => 64,
            _ => 128,
        }
    }

    /// Does it.
    ///
    /// # Errors
    ///
    /// When a session does not come up or ends.
    pub fn run(self, task: &Task) -> io::Result<Report> {
        let mut measure = Measure::default();
        match self {
            Self::Fanout => spread::broadcasts(task, 1, &mut measure)?,
            Self::Spread => spread::unread(task, &mut measure)?,
            Self::Burst => spread::broadcasts(task, 16, &mut measure)?,
            Self::Push => spread::pushes(task, &mut measure)?,
            Self::Echo => echo::texts(task, 1, &mut measure)?,
            Self::Echo16 => echo::texts(task, 16, &mut measure)?,
            Self::Json => echo::commands(task, &mut measure)?,
            Self::Idle => idle::run(task, &mut measure)?,
            Self::Connect => connect::run(task, &mut measure)?,
        }
        Ok(measure.report(self.name(), task.sessions))
    }

    /// As it is called on the command line.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// What a workload finds out.
#[derive(Default)]
struct Measure {
    messages: Messages,
    wall: Duration,
    /// The part of the time in which messages were on their way, where that is not all of it.
    spreading: Duration,
    server: Cpu,
    load: Cpu,
    latencies: Latencies,
    memory: Option<Memory>,
}

impl Measure {
    /// Runs what is to be measured: `work` gets the moment at which to stop.
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
        // Came twice.
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

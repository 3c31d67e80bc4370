//! The load generator: does one thing to a server and says as JSON what that cost.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use keywire_bench::load::Dialect;
use keywire_bench::load::workload::{Target, Task, Workload};

/// Puts load on a bench server.
#[derive(Parser)]
struct Options {
    /// What to do.
    #[arg(value_enum)]
    workload: Workload,

    /// Where the server listens: only this machine itself.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9100")]
    server: SocketAddr,

    /// The server's process, of which the processor time and the memory are taken.
    #[arg(long)]
    pid: u32,

    /// How many sessions.
    #[arg(long, value_name = "N")]
    sessions: Option<usize>,

    /// How long to measure.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,

    /// The payload of a message in bytes.
    #[arg(long, value_name = "BYTES")]
    size: Option<usize>,

    /// How the server speaks.
    #[arg(long, value_enum, default_value_t = Dialect::Plain)]
    dialect: Dialect,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if !options.server.ip().is_loopback() || !options.server.is_ipv4() {
        eprintln!("{} is not of 127.0.0.0/8, and nothing else is put under load", options.server);
        return ExitCode::FAILURE;
    }
    let workload = options.workload;
    let task = Task {
        target: Target { address: options.server, dialect: options.dialect },
        pid: options.pid,
        sessions: options.sessions.unwrap_or_else(|| workload.sessions()).clamp(1, 100_000),
        duration: Duration::from_secs_f64(options.seconds.clamp(0.01, 120.0)),
        size: options.size.unwrap_or_else(|| workload.size()).clamp(64, 65_536),
    };
    match workload.run(&task) {
        Ok(report) => {
            println!("{}", serde_json::to_string(&report).unwrap_or_default());
            if report.messages.are_right() { ExitCode::SUCCESS } else { ExitCode::from(2) }
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

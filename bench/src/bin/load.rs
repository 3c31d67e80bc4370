//! The load generator: runs one workload against a server and prints its cost as JSON.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use keywire_bench::load::Dialect;
use keywire_bench::load::workload::{Target, Task, Workload};

/// Puts load on a bench server.
#[derive(Parser)]
struct Options {
    /// Workload.
    #[arg(value_enum)]
    workload: Workload,

    /// Address of the server, in 127.0.0.0/8.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9100")]
    server: SocketAddr,

    /// Process id of the server, for its processor time and memory.
    #[arg(long)]
    pid: u32,

    /// Number of sessions.
    #[arg(long, value_name = "N")]
    sessions: Option<usize>,

    /// Duration of the measurement in seconds.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,

    /// Payload of a message in bytes.
    #[arg(long, value_name = "BYTES")]
    size: Option<usize>,

    /// Protocol of the server.
    #[arg(long, value_enum, default_value_t = Dialect::Plain)]
    dialect: Dialect,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if !options.server.ip().is_loopback() || !options.server.is_ipv4() {
        eprintln!("--server {} is not in 127.0.0.0/8: the load is for this machine only", options.server);
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

//! `make bench`: measures all servers in turn, in several rounds, and writes the tables and plots.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use keywire_bench::load::workload::Workload;
use keywire_bench::suite::Plan;

/// Compares keywire with other servers.
#[derive(Parser)]
struct Options {
    /// Number of rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// Duration of each measurement in seconds.
    #[arg(long)]
    seconds: Option<f64>,

    /// Short measurements with a tenth of the sessions, only to show that the benchmarks work.
    #[arg(long)]
    quick: bool,

    /// Measure only these servers, by name, separated by commas.
    #[arg(long, value_delimiter = ',')]
    servers: Vec<String>,

    /// Measure only these workloads, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',')]
    workloads: Vec<Workload>,

    /// Path of the document. Its plots go into a directory of the same name. Default: docs/benchmarks.md, with
    /// --quick target/benchmarks.md.
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let document = if options.quick { "target/benchmarks.md" } else { "docs/benchmarks.md" };
    let plan = Plan {
        rounds: options.rounds.max(1),
        seconds: options.seconds.unwrap_or(if options.quick { 0.3 } else { 4.0 }),
        fewer: if options.quick { 10 } else { 1 },
        only: options.servers,
        workloads: options.workloads,
        document: options.document.unwrap_or_else(|| root.join(document)),
        root,
    };
    match plan.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

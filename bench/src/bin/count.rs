//! Instructions and allocations of keywire's bench server for each message, by callgrind. A clock that varies does not matter to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;

/// Counts instructions for each message.
#[derive(Parser)]
struct Options {
    /// Workloads to count. Default: all.
    #[arg(long, value_delimiter = ',')]
    workloads: Vec<String>,

    /// Table to compare with. A workload that needs over 3 % more instructions than the table says is an error.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,

    /// Where to write the table.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// A workload, its number of sessions, and the seconds of the shorter and of the longer run.
const WORKLOADS: [(&str, u32, [&str; 2]); 7] = [
    ("fanout", 500, ["1", "5"]),
    ("burst", 200, ["1", "5"]),
    ("push", 500, ["1", "5"]),
    ("echo", 50, ["1", "5"]),
    ("echo16", 50, ["1", "5"]),
    ("json", 50, ["1", "5"]),
    ("connect", 16, ["2", "8"]),
];

/// By how much a workload may grow.
const TOLERANCE: f64 = 1.03;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("count: {error}");
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn run(options: &Options) -> Result<bool, Failure> {
    let former: BTreeMap<String, u64> = match &options.check {
        Some(file) => serde_json::from_slice(&std::fs::read(file)?)?,
        None => BTreeMap::new(),
    };
    let (mut table, mut is_good) = (BTreeMap::new(), true);
    for (workload, sessions, seconds) in WORKLOADS {
        if !options.workloads.is_empty() && !options.workloads.iter().any(|name| name == workload) {
            continue;
        }
        let [short, long] = seconds.map(|seconds| measure(workload, sessions, seconds));
        let (short, long) = (short?, long?);
        // What begins and ends a run is in both.
        let instructions = long.0.saturating_sub(short.0) / (long.1 - short.1).max(1);
        let grown =
            former.get(workload).is_some_and(|former| instructions as f64 > *former as f64 * TOLERANCE);
        let note = former.get(workload).map_or_else(String::new, |former| format!("  was {former}"));
        println!(
            "{workload:8} {instructions:8} instructions a message{note}{}",
            if grown { "  GREW" } else { "" }
        );
        is_good &= !grown;
        table.insert(workload.to_owned(), instructions);
    }
    if let Some(file) = &options.save {
        std::fs::write(file, serde_json::to_string_pretty(&table)? + "\n")?;
    }
    Ok(is_good)
}

/// Instructions of the server, and messages.
fn measure(workload: &str, sessions: u32, seconds: &str) -> Result<(u64, u64), Failure> {
    let programs = std::env::current_exe()?.parent().ok_or("no directory")?.to_owned();
    let out = std::env::temp_dir().join(format!("keywire-count-{}", std::process::id()));
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut server = Server(
        Command::new("valgrind")
            .args(["--tool=callgrind", "--quiet", "--separate-threads=no"])
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(programs.join("keywire"))
            .args(["--threads", "1", "--listen", &format!("127.0.0.1:{port}")])
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("valgrind: {error}"))?,
    );
    wait_for(port)?;
    let load = Command::new(programs.join("load"))
        .args([workload, "--server", &format!("127.0.0.1:{port}"), "--seconds", seconds])
        .args(["--pid", &server.0.id().to_string(), "--sessions", &sessions.to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    let report: serde_json::Value = serde_json::from_slice(&load.stdout)?;
    let messages = report["messages"]["received"].as_u64().ok_or("a report without messages")?;
    server.terminate()?;
    let instructions = total(&out);
    std::fs::remove_file(&out)?;
    Ok((instructions?, messages))
}

/// The sum that callgrind writes at the end of its file.
fn total(out: &Path) -> Result<u64, Failure> {
    let text = std::fs::read_to_string(out)?;
    let line = text.lines().find_map(|line| line.strip_prefix("totals:").or(line.strip_prefix("summary:")));
    Ok(line.ok_or("callgrind wrote no sum")?.split_whitespace().next().ok_or("an empty sum")?.parse()?)
}

fn wait_for(port: u16) -> Result<(), Failure> {
    let end = Instant::now() + Duration::from_secs(60);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > end {
            return Err("the server does not listen".into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

struct Server(Child);

impl Server {
    /// Ends the server so that callgrind writes its file.
    fn terminate(&mut self) -> Result<(), Failure> {
        Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

//! One measurement: starts a new server, puts the load on it, ends it.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{available_parallelism, sleep};
use std::time::{Duration, Instant};

use super::build::PROFILE;
use super::servers::Server;
use crate::load::Report;
use crate::load::workload::Workload;

/// Cores of the server and the load generator.
#[derive(Debug, Clone, Copy)]
pub enum Cores {
    /// The server on the first core, the load generator on the second.
    Apart,
    /// The server on the first two cores, the load generator on a third if there is one.
    Shared,
}

impl Cores {
    fn server(self) -> &'static str {
        match self {
            Self::Apart => "0",
            Self::Shared => "0,1",
        }
    }

    fn load(self) -> &'static str {
        match self {
            Self::Apart => "1",
            Self::Shared if cores() > 2 => "2",
            Self::Shared => "0,1",
        }
    }
}

/// Number of cores of this machine.
pub fn cores() -> usize {
    available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Timeout for a server to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts the server, puts the load on it, and ends it.
pub fn measure(
    root: &Path,
    server: &Server,
    workload: Workload,
    threads: usize,
    cores: Cores,
    sessions: usize,
    seconds: f64,
) -> io::Result<Report> {
    let address = free_address()?;
    let running = Running::start(server, address, threads, cores)?;
    let mut load = on_cores(cores.load());
    load.arg(root.join("target").join(PROFILE).join("load"))
        .arg(workload.name())
        .args(["--server", &address.to_string()])
        .args(["--pid", &running.0.id().to_string()])
        .args(["--sessions", &sessions.to_string()])
        .args(["--seconds", &seconds.to_string()])
        .args(["--dialect", server.dialect]);
    let output = load.stderr(Stdio::piped()).stdout(Stdio::piped()).output()?;
    drop(running);
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let error = String::from_utf8_lossy(&output.stderr);
        io::Error::other(error.trim().to_owned())
    })
}

/// A server process that is killed when its handle is dropped.
struct Running(Child);

impl Running {
    fn start(server: &Server, address: SocketAddr, threads: usize, cores: Cores) -> io::Result<Self> {
        let mut command = on_cores(cores.server());
        command
            .args(&server.command)
            .args(["--listen", &address.to_string(), "--threads", &threads.to_string()])
            .stdout(Stdio::null());
        let mut running = Self(command.spawn()?);
        let start = Instant::now();
        while TcpStream::connect_timeout(&address, PATIENCE).is_err() {
            if let Some(status) = running.0.try_wait()? {
                return Err(io::Error::other(format!("ended with {status}")));
            }
            if start.elapsed() > PATIENCE {
                return Err(io::Error::other("does not listen"));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The process may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A command on these cores, with the highest limit on open files. `exec` keeps the process id: the shell becomes
/// `taskset`, which becomes the command.
fn on_cores(cores: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n "$(ulimit -Hn)" && exec taskset --cpu-list "$@""#, "sh", cores]);
    command
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

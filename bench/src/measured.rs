//! The server that is measured: this program once more, as a process of its own, so that its costs are not those of the clients.

use std::error::Error;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::load::{Cpu, memory_kb};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A server that ends when this is dropped.
pub struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts this program with these arguments, which make it a server that prints its address as a line.
    ///
    /// # Errors
    ///
    /// If the program does not start, or prints something else.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(Self { child, address: line.trim().parse()? })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// CPU time that it has used, in seconds.
    ///
    /// # Errors
    ///
    /// If the process has ended.
    pub fn cpu(&self) -> Result<f64> {
        Ok(Cpu::of(self.child.id())?.total())
    }

    /// Memory that it uses now, in KiB.
    ///
    /// # Errors
    ///
    /// If the process has ended.
    pub fn memory_kb(&self) -> Result<u64> {
        Ok(memory_kb(self.child.id())?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! The options and the runtime of a bench server.

use std::net::SocketAddr;

use clap::Parser;
use tokio::runtime::{Builder, Runtime};

/// A bench server.
#[derive(Debug, Parser)]
pub struct Options {
    /// Address to listen on.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9100")]
    pub listen: SocketAddr,

    /// Number of worker threads.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: usize,
}

impl Options {
    /// The runtime of `#[tokio::main]`, with this many workers. For one worker it is not `current_thread`, since
    /// backends do not use that.
    #[must_use]
    pub fn runtime(&self) -> Runtime {
        let runtime = Builder::new_multi_thread().worker_threads(self.threads).enable_all().build();
        runtime.expect("the system has threads and epoll")
    }
}

//! The options and the runtime of a bench server.

use std::net::SocketAddr;

use clap::Parser;
use tokio::runtime::{Builder, Runtime};

/// A bench server.
#[derive(Debug, Parser)]
pub struct Options {
    /// Where to listen.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9100")]
    pub listen: SocketAddr,

    /// How many worker threads the runtime has.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: usize,
}

impl Options {
    /// The runtime that `#[tokio::main]` makes, with this many workers. One worker is no `current_thread`: no
    /// backend runs on that.
    #[must_use]
    pub fn runtime(&self) -> Runtime {
        let runtime = Builder::new_multi_thread().worker_threads(self.threads).enable_all().build();
        runtime.expect("a runtime cannot be had only where there are no threads and no epoll")
    }
}

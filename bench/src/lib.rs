//! Shared code of the benchmark programs.
//!
//! - [`wire`]: the commands and messages of a bench server, the same for all servers;
//! - [`server`]: the options and the runtime of a bench server;
//! - [`load`]: the load generator;
//! - [`measured`]: a server of the small programs, in a process of its own, and [`page`]: a client of it;
//! - [`suite`]: runs all servers in turn, takes medians, writes the tables and plots.

pub mod crossing;
pub mod load;
pub mod measured;
pub mod page;
pub mod server;
pub mod suite;
pub mod wire;

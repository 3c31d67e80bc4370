//! Builds all servers and the load generator with full optimization.

use std::io;
use std::path::Path;
use std::process::Command;

use super::servers::{self, Server};

/// The profile of keywire's own bench programs, and the directory of its output.
pub const PROFILE: &str = "bench-lto";

/// Builds the requested servers, and always keywire's own. Returns the servers that are available.
pub fn all(root: &Path, wants: impl Fn(&Server) -> bool) -> io::Result<Vec<Server>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    eprintln!("== building keywire's bench server, the limit and the load generator");
    let own = ["build", "--locked", "--profile", PROFILE, "--package", "keywire-bench", "--bins"];
    run(Command::new(&cargo).args(own).current_dir(root))?;
    let mut servers = servers::own(&root.join("target").join(PROFILE));

    let peers = servers::peers(&root.join("target/peers/release"));
    if peers.iter().any(&wants) {
        eprintln!("== building the peers");
        let args = ["build", "--locked", "--release", "--target-dir", "target/peers", "--manifest-path"];
        run(Command::new(&cargo).args(args).arg("bench/peers/Cargo.toml").current_dir(root))?;
        servers.extend(peers);
    }

    let directory = root.join("bench/peers/node");
    let node = servers::node(directory.join("server.js"));
    if wants(&node) {
        let installed = directory.join("node_modules/ws").exists() || {
            let install = ["ci", "--no-audit", "--no-fund", "--prefix"];
            run(Command::new("npm").args(install).arg(&directory)).is_ok()
        };
        if installed {
            servers.push(node);
        } else {
            eprintln!("== npm cannot install ws: skipping the Node.js server");
        }
    }
    servers.retain(wants);
    Ok(servers)
}

fn run(command: &mut Command) -> io::Result<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?} failed: {status}"))) }
}

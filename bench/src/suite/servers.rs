//! The servers that are compared.

use std::path::{Path, PathBuf};

/// A bench server, and the command that starts it.
#[derive(Debug, Clone)]
pub struct Server {
    pub name: &'static str,
    /// Name in the tables.
    pub label: &'static str,
    pub command: Vec<PathBuf>,
    /// Value of `load --dialect`.
    pub dialect: &'static str,
}

/// Name of the server that is compared with the others.
pub const KEYWIRE: &str = "keywire";
/// Name of the same server behind warp.
pub const BEHIND_WARP: &str = "behind-warp";
/// Name of the server with the lowest possible cost.
pub const LIMIT: &str = "limit";

impl Server {
    pub fn is_keywire(&self) -> bool {
        self.name == KEYWIRE
    }

    pub fn is_limit(&self) -> bool {
        self.name == LIMIT
    }

    /// The same server with one more argument.
    pub fn with(&self, argument: &str) -> Self {
        let mut server = self.clone();
        server.command.push(argument.into());
        server
    }
}

/// keywire's bench server, and the limit.
pub fn own(binaries: &Path) -> Vec<Server> {
    let own = |name, label| Server { name, label, command: vec![binaries.join(name)], dialect: "plain" };
    let keywire = own(KEYWIRE, "**keywire**");
    let behind_warp = Server { name: BEHIND_WARP, label: "keywire behind warp", ..keywire.with("--warp") };
    vec![own(LIMIT, "limit: epoll and `write`"), keywire, behind_warp]
}

/// The Rust peers.
pub fn peers(binaries: &Path) -> Vec<Server> {
    let peer = |name, label, dialect| Server {
        name,
        label,
        command: vec![binaries.join(format!("peer-{name}"))],
        dialect,
    };
    vec![
        peer("tungstenite", "tokio-tungstenite, 4 KiB read buffer", "plain"),
        peer("warp", "warp, the chat example", "plain"),
        peer("axum", "axum, the same", "plain"),
        peer("socketioxide", "socketioxide", "socketio"),
    ]
}

/// The server that is not Rust.
pub fn node(script: PathBuf) -> Server {
    Server { name: "node", label: "Node.js, ws", command: vec!["node".into(), script], dialect: "plain" }
}

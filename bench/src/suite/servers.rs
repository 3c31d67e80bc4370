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
/// Name of the server with the lowest possible cost.
pub const LIMIT: &str = "limit";

impl Server {
    pub fn is_keywire(&self) -> bool {
        self.name == KEYWIRE
    }
}

/// keywire's bench server, and the limit.
pub fn own(binaries: &Path) -> Vec<Server> {
    let own = |name, label| Server { name, label, command: vec![binaries.join(name)], dialect: "plain" };
    vec![own(LIMIT, "limit: epoll and `write`"), own(KEYWIRE, "**keywire** behind warp")]
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

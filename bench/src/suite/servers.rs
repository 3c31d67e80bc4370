//! What is compared.

use std::path::{Path, PathBuf};

/// A bench server, ready to be started.
#[derive(Debug, Clone)]
pub struct Server {
    pub name: &'static str,
    /// What it stands for in the tables.
    pub label: &'static str,
    pub command: Vec<PathBuf>,
    /// As `load --dialect` calls it.
    pub dialect: &'static str,
}

/// The name of the server that all others are compared with.
pub const KEYWIRE: &str = "keywire";
/// The name of the server that nothing can be below.
pub const LIMIT: &str = "limit";

impl Server {
    pub fn is_keywire(&self) -> bool {
        self.name == KEYWIRE
    }
}

/// keywire's own: the real thing, and the least that a server can do.
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

/// The one that is not Rust.
pub fn node(script: PathBuf) -> Server {
    Server { name: "node", label: "Node.js, ws", command: vec!["node".into(), script], dialect: "plain" }
}

use std::sync::Arc;

use bytes::Bytes;
use sha1::{Digest as _, Sha1};

use super::connection::Connection;
use super::error::CallError;
use super::names::Partition;
use super::resp::{Value, encode};
use super::shards::Shards;

/// The way of a command to the server that has its keys.
pub(super) enum Commands {
    Single(Connection),
    Cluster(Arc<Shards>),
}

impl Commands {
    /// Sends a command whose keys are all in this partition.
    pub(super) async fn call(&self, partition: Partition, command: &[&[u8]]) -> Result<Value, CallError> {
        let mut bytes = Vec::with_capacity(64 + command.iter().map(|part| part.len() + 16).sum::<usize>());
        encode(&mut bytes, command);
        self.send(partition, bytes.into()).await
    }

    async fn send(&self, partition: Partition, command: Bytes) -> Result<Value, CallError> {
        match self {
            Self::Single(connection) => connection.send(command, false).await,
            Self::Cluster(shards) => shards.call(partition, command).await,
        }
    }

    /// Runs a script. A server that does not know it gets its text: a restart and a failover forget scripts.
    pub(super) async fn run(
        &self,
        script: &Script,
        partition: Partition,
        keys: &[&[u8]],
        arguments: &[&[u8]],
    ) -> Result<Value, CallError> {
        let count = keys.len().to_string();
        let build = |verb: &[u8], text: &str| {
            let mut parts = Vec::with_capacity(3 + keys.len() + arguments.len());
            parts.extend([verb, text.as_bytes(), count.as_bytes()]);
            parts.extend(keys);
            parts.extend(arguments);
            let mut bytes = Vec::with_capacity(64 + parts.iter().map(|part| part.len() + 16).sum::<usize>());
            encode(&mut bytes, &parts);
            Bytes::from(bytes)
        };
        match self.send(partition, build(b"EVALSHA", &script.hash)).await {
            Err(error) if error.code() == Some("NOSCRIPT") => {
                self.send(partition, build(b"EVAL", &script.text)).await
            }
            answer => answer,
        }
    }
}

/// A script, and the hash under which a server knows it.
#[derive(Debug)]
pub(super) struct Script {
    text: String,
    hash: String,
}

impl Script {
    pub(super) fn new(text: String) -> Self {
        let hash = Sha1::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { text, hash }
    }
}

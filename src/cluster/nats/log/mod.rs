//! A log on JetStream.

mod append;
mod back;
mod heads;
mod kept;
mod read;
mod seen;
mod store;
mod trim;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use self::heads::Heads;
use self::store::{Store, failed};
use super::client::Client;
use super::jetstream::{Stream, nanos};
use super::{NatsError, NatsOptions, subject};
use crate::cluster::NodeId;
use crate::delivery::Position;
use crate::key::Key;
use crate::log::{Appended, Draft, Limit, Log, LogError, Page, ReadFrom, Retention};

/// The log of a cluster on NATS: [`Nats::log`](super::Nats::log). Kept pushes survive the nodes, and are the same on all of them.
///
/// # Streams
///
/// The stream `{prefix}-log` has a message for each entry, with the subject `{prefix}.log.{key}`. The server itself announces an
/// entry to the nodes that have sessions of the key: it publishes it again with the subject that they are subscribed to. The stream
/// `{prefix}-seen` has a message for each key whose user has [seen](Log::seen) something. There are no consumers.
///
/// Keys are percent-encoded in subjects. Change the streams with NATS's own tools only if you know what follows from it.
///
/// # Appending
///
/// An entry is put into the stream only if the last entry of its key is the one that this node knows. If another node was faster,
/// the append is made again with the new one. A node remembers the ends of the last 8,192 keys at most, and otherwise asks for it
/// first, so an append takes one or two round trips.
///
/// An id of [`KeptPush::once`](crate::message::KeptPush::once) is JetStream's own `Nats-Msg-Id`. Servers remember these in memory.
///
/// # Retention
///
/// The server removes entries beyond [`Retention::entries`], and those older than [`Retention::mark`]. Readers do not get entries
/// that are older than [`Retention::age`], but they stay in the stream until their key gets more entries, or until `mark`: the last
/// entry proves what a page has missed. Beyond [`Retention::bytes`], a node removes the oldest entries of a key each time that it has
/// got an eighth of that, so it may have more for a while.
///
/// # Durability
///
/// JetStream acknowledges an entry before it is synced to the disk. It survives the end of the server process; a power cut of all
/// servers that have it may lose the last entries. Pages that have seen them are then told `Reset`. To sync each entry, set
/// `sync_interval: always` in the server's configuration. With three or more servers use
/// [`NatsOptions::replicas`].
///
/// The server keeps an index of all subjects in memory, so its memory grows with the number of keys.
#[derive(Clone)]
pub struct NatsLog(Arc<Store>);

impl NatsLog {
    pub(super) async fn open(
        client: &Arc<Client>,
        options: &NatsOptions,
        retention: Retention,
        node: NodeId,
    ) -> Result<Self, NatsError> {
        let NatsOptions { prefix, replicas, storage, log_bytes, .. } = options;
        let age = retention.age.max(retention.mark);
        let mut entries = json!({
            "subjects": [format!("{prefix}.log.*")],
            "storage": storage.name(),
            "max_msgs_per_subject": i64::try_from(retention.entries.max(1)).unwrap_or(i64::MAX),
            "max_age": nanos(age),
            "duplicate_window": nanos(retention.once.min(age)),
            "republish": {
                "src": format!("{prefix}.log.*"),
                "dest": format!("{}k.{{{{wildcard(1)}}}}", subject::of_topics(prefix)),
            },
        });
        if let Some(bytes) = log_bytes {
            entries["max_bytes"] = (*bytes).into();
        }
        let seen = json!({
            "subjects": [format!("{prefix}.seen.*")],
            "storage": storage.name(),
            "max_msgs_per_subject": 1,
            // It outlives the entry that it names.
            "max_age": nanos(age.saturating_add(retention.age)),
        });
        let entries = Stream::open(client, format!("{prefix}-log"), entries, *replicas).await?;
        let seen = Stream::open(client, format!("{prefix}-seen"), seen, *replicas).await?;
        let (client, prefix, heads) = (Arc::clone(client), prefix.clone(), Heads::new());
        Ok(Self(Arc::new(Store { client, entries, seen, node, prefix, retention, heads })))
    }
}

#[async_trait]
impl Log for NatsLog {
    async fn append(&self, key: &Key, draft: &Draft) -> Result<Appended, LogError> {
        append::append(&self.0, key, draft).await
    }

    async fn read(&self, key: &Key, from: ReadFrom, limit: Limit) -> Result<Page, LogError> {
        self.0.read(&self.0.line(key), from, limit).await.map_err(failed)
    }

    async fn end(&self, key: &Key) -> Result<Position, LogError> {
        let last = self.0.last(&self.0.line(key)).await.map_err(failed)?;
        Ok(last.map_or(Position::BEGINNING, |last| last.head.at))
    }

    async fn seen(&self, key: &Key, at: Position) -> Result<(), LogError> {
        self.0.see(&self.0.line(key), at).await.map_err(failed)
    }

    async fn forget(&self, key: &Key) -> Result<(), LogError> {
        let line = self.0.line(key);
        // An append that knows the end would otherwise only learn from the server that there is none.
        self.0.heads.turn(key).await.take(key, self.0.client.epoch());
        self.0.seen.purge(&line.seen, None).await.map_err(failed)?;
        self.0.entries.purge(&line.entries, None).await.map_err(failed)
    }

    fn shared(&self) -> bool {
        true
    }
}

impl fmt::Debug for NatsLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsLog").field("prefix", &self.0.prefix).finish_non_exhaustive()
    }
}

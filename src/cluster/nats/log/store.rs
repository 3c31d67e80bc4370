//! What the parts of the log share.

use std::sync::Arc;

use super::super::client::Client;
use super::super::jetstream::Stream;
use super::super::{NatsError, subject};
use super::heads::Heads;
use crate::cluster::{NodeId, Topic};
use crate::key::Key;
use crate::log::{LogError, Retention};

pub(super) struct Store {
    pub(super) client: Arc<Client>,
    pub(super) entries: Stream,
    pub(super) seen: Stream,
    pub(super) node: NodeId,
    pub(super) prefix: String,
    pub(super) retention: Retention,
    pub(super) heads: Heads,
}

/// The names of a key's log.
pub(super) struct Line {
    /// Subject of its entries.
    pub(super) entries: String,
    /// Subject of what was seen.
    pub(super) seen: String,
    pub(super) topic: Topic,
}

impl Store {
    pub(super) fn line(&self, key: &Key) -> Line {
        let token = subject::token(key.as_str());
        Line {
            entries: format!("{}.log.{token}", self.prefix),
            seen: format!("{}.seen.{token}", self.prefix),
            topic: Topic::key(key),
        }
    }
}

/// The failure of a call that has changed nothing, or nothing that a retry would not change as well.
pub(super) fn failed(error: NatsError) -> LogError {
    LogError::Failed(error.into())
}

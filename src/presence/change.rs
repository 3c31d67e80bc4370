use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::key::Key;

/// A key has come online or gone offline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The key.
    pub key: Key,
    /// Whether the key is online now.
    pub is_online: bool,
}

/// The changes that this node reports, from [`Hub::presence_changes`](crate::Hub::presence_changes). Each change of the cluster is
/// reported by one node.
#[derive(Debug)]
pub struct Changes(Receiver<Change>);

/// Changes were lost, since they were not read in time. [`Hub::online`](crate::Hub::online) tells the present state of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} changes of presence were lost, since they were not read in time")]
pub struct Missed(pub u64);

impl Changes {
    pub(crate) fn new(receiver: Receiver<Change>) -> Self {
        Self(receiver)
    }

    /// Waits for the next change. `None` when the hub has ended. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`Missed`] if this is called too seldom: more than 1,024 changes wait.
    pub async fn next(&mut self) -> Option<Result<Change, Missed>> {
        match self.0.recv().await {
            Ok(change) => Some(Ok(change)),
            Err(RecvError::Lagged(count)) => Some(Err(Missed(count))),
            Err(RecvError::Closed) => None,
        }
    }
}

use std::sync::Arc;

use super::shards::Shards;
use super::subscriber::Subscriber;

/// The subscriptions of this node.
pub(super) enum Subscriptions {
    Single(Subscriber),
    /// Sharded channels, each on the master of its partition.
    Cluster(Arc<Shards>),
}

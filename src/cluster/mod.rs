//! Clusters: several nodes whose hubs send to each other's sessions.

mod backplane;
mod form;
#[cfg(feature = "nats")]
mod nats;
mod node;
mod topic;

pub use self::backplane::{Backplane, BackplaneError, Event};
#[cfg(feature = "nats")]
pub use self::nats::{Nats, NatsError, NatsLog, NatsOptions, NatsPresence, NatsStorage};
pub use self::node::{InvalidNodeId, NodeId};
pub use self::topic::Topic;

//! Clusters: several nodes whose hubs send to each other's sessions.

mod backplane;
mod form;
mod node;
#[cfg(feature = "redis")]
mod redis;
mod topic;

pub use self::backplane::{Backplane, BackplaneError, Event};
pub use self::node::{InvalidNodeId, NodeId};
#[cfg(feature = "redis")]
pub use self::redis::{Redis, RedisError, RedisOptions};
pub use self::topic::Topic;

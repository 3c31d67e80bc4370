//! Clusters: several nodes whose hubs send to each other's sessions.

mod backplane;
mod form;
mod node;
mod topic;

pub use self::backplane::{Backplane, BackplaneError, Event};
pub use self::node::{InvalidNodeId, NodeId};
pub use self::topic::Topic;

//! Clusters: several nodes whose hubs send to each other's sessions, through an engine such as Redis or NATS.
//!
//! A node is a process with a hub. Each node has its own sessions, so alice's tabs may be on any of them. With a cluster,
//! `hub.send_to("alice", push)` on any node reaches all of them:
//!
//! ```
//! use keywire::auth::RawKey;
//! use keywire::cluster::MemoryBackplane;
//! use keywire::{Hub, Push};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // Two nodes in one process, as tests use them.
//! let backplane = MemoryBackplane::new();
//! let one = Hub::builder(RawKey::from_path()).cluster(backplane.join()).build();
//! let other = Hub::builder(RawKey::from_path()).cluster(backplane.join()).build();
//!
//! let delivery = one.send_to("alice", Push::message("to alice's tabs on both nodes")).await;
//! # let _ = (other, delivery);
//! # }
//! ```
//!
//! A send delivers to the sessions of its own node first, and then publishes to the others. A node subscribes to the topic of a
//! key from the key's first session to its last, so a message reaches only nodes that have the key.
//!
//! While the engine is away, delivery on each node continues. [`Delivery::remote`](crate::Delivery::remote) is then
//! [`Failed`](crate::store::Remote::Failed), and [`Hub::health`](crate::Hub::health) shows it. Pushes to sessions of other nodes
//! are lost meanwhile, unless they are [kept](crate::Push::kept).

mod backplane;
mod clustered;
mod doubts;
mod form;
mod health;
pub(crate) mod members;
mod memory;
#[cfg(feature = "nats")]
mod nats;
mod questions;
#[cfg(feature = "redis")]
mod redis;
pub(crate) mod requests;
mod settings;
#[cfg(any(feature = "redis", feature = "nats"))]
mod tls;
mod topic;

pub use self::backplane::{Backplane, BackplaneError, Event};
pub(crate) use self::clustered::{Clustered, Incoming};
pub(crate) use self::form::Question;
pub use self::health::{ClusterHealth, Health};
pub use self::members::GroupMembers;
pub use self::memory::MemoryBackplane;
#[cfg(feature = "nats")]
pub use self::nats::{Nats, NatsError, NatsLog, NatsOptions, NatsPresence, NatsStorage};
pub(crate) use self::questions::Answers;
#[cfg(feature = "redis")]
pub use self::redis::{Redis, RedisError, RedisOptions};
pub(crate) use self::settings::Timing;
pub use self::settings::{Cluster, Outage};
pub use self::topic::Topic;
pub use crate::delivery::{InvalidNodeId, NodeId};

/// Presence: which keys are online, on any node of a cluster.
pub mod presence {
    pub use crate::presence::{
        Change, Changes, ClusterCounts, MemoryPresence, Missed, NodeSessions, Presence, PresenceError,
        PresenceTiming, Renewed, Swept, Updated,
    };
}

/// For the fuzzer.
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    pub use super::form::fuzz::form;
    #[cfg(feature = "nats")]
    pub use super::nats::fuzz::wire;
    #[cfg(feature = "redis")]
    pub use super::redis::fuzz::resp;
}

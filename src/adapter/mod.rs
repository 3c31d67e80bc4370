//! Adapters for web frameworks: each collects the head, calls the hub, and runs the connection.

#[cfg(feature = "hyper")]
pub(crate) mod hyper;
#[cfg(feature = "warp")]
pub mod warp;

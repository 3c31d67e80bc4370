//! Web frameworks: each collects the head, asks the hub, and hands the connection over.

#[cfg(feature = "hyper")]
pub(crate) mod hyper;
#[cfg(feature = "warp")]
pub mod warp;

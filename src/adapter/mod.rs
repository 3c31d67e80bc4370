//! Web frameworks: each collects the head, asks the hub, and hands the connection over.

#[cfg(feature = "warp")]
mod upgraded;
#[cfg(feature = "warp")]
pub mod warp;

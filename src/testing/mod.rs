//! Checks for your own implementations of keywire's traits: what keywire's own are tested with.
//!
//! Each check is a function that panics if the contract is broken.

pub mod log;

//! Checks for your own implementations of keywire's traits. keywire's own implementations are tested with them too.
//!
//! Each check is a function that panics if the implementation violates the contract.

pub mod log;
pub mod presence;

//! Checks for your own implementations of keywire's traits. keywire's own implementations are tested with them too.
//!
//! Each check is a function that panics if the implementation violates the contract.

pub mod backplane;
pub mod extractor;
pub mod handler;
pub mod log;
pub mod presence;
pub mod store;
mod tab;

pub use tab::{Refused, Tab, TabBuilder};

use crate::delivery::Position;
use crate::key::Key;

/// A key that no other run uses.
fn new_key(name: &str) -> Key {
    let random = Position::BEGINNING.next(name).tag();
    Key::new(format!("{random:016x} {name}")).expect("a key")
}

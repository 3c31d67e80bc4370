//! What tests of an application need: a browser tab in memory, and checks for its own implementations of keywire's traits.
//!
//! [`Tab`] is a client of a real hub, without a server. For a handler function alone,
//! [`Session::detached`](crate::Session::detached) is enough, which needs no feature.
//!
//! Each module has the contract of one trait. Each check is a function that panics if the implementation violates the contract.
//! keywire's own implementations are tested with them too.

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

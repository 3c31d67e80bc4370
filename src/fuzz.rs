//! Functions for the fuzzer, one per target. They panic if a check fails.
//!
//! They are not part of the API. The targets are in `fuzz/`. The tests run the same functions on `fuzz/corpus/`.

mod decoder;
mod envelope;
#[cfg(feature = "deflate")]
mod inflater;
mod opening;

pub use crate::cluster::fuzz::form;
#[cfg(feature = "redis")]
pub use crate::cluster::fuzz::resp;
#[cfg(feature = "nats")]
pub use crate::cluster::fuzz::wire;
#[cfg(feature = "serve")]
pub use crate::serve::fuzz::head;
pub use decoder::{End, MAX, Owned, decoder};
pub use envelope::envelope;
#[cfg(feature = "deflate")]
pub use inflater::inflater;
pub use opening::opening;

#[cfg(test)]
pub(crate) use decoder::{assert_alike, decode};

/// Needs tungstenite, which is a dependency of the tests only. The fuzz target includes the file by its path.
#[cfg(test)]
pub(crate) mod tungstenite;

#[cfg(test)]
mod corpus;

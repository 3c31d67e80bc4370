//! What the fuzzer calls: one function per target, which panics when something is wrong.
//!
//! No part of the API. The targets are in `fuzz/`; the tests run the same functions over `fuzz/corpus/`.

mod decoder;
mod envelope;
#[cfg(feature = "deflate")]
mod inflater;
mod opening;

pub use decoder::{End, MAX, Owned, decoder};
pub use envelope::envelope;
#[cfg(feature = "deflate")]
pub use inflater::inflater;
pub use opening::opening;

#[cfg(test)]
pub(crate) use decoder::{assert_alike, decode};

/// Needs tungstenite, which this crate has for its tests only: the fuzz target takes in the file by its path.
#[cfg(test)]
pub(crate) mod tungstenite;

#[cfg(test)]
mod corpus;

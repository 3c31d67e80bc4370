//! The push API, over real sockets.
#![cfg(all(feature = "push-api", feature = "serve", feature = "warp"))]

#[path = "../support/mod.rs"]
mod support;

mod api;
mod cluster;
#[cfg(feature = "metrics")]
mod counted;
mod documents;
mod errors;
mod failures;
mod mounts;
mod openapi;
mod routes;
mod secrets;

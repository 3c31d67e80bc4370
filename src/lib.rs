//! A live wire to every logged-in user of a web backend.
//!
//! A browser opens `ws://host/websocket/{key}`. From then on any part of the backend can send to that user:
//! `hub.send_to("alice", push)` reaches all of alice's tabs. Three traits decide the rest:
//! - a [`KeyExtractor`] authenticates a client: [`RawKey`](auth::RawKey), `JwtKey`, several in turn, or your own;
//! - a [`MessageHandler`] handles its messages: a [`Switch`] over the flag, or your own;
//! - a [`SessionStore`] holds the sessions: [`MemoryStore`](store::MemoryStore), or your own.
//!
//! ```no_run
//! # #[cfg(all(feature = "serve", feature = "warp"))] mod example {
//! use keywire::{Reply, prelude::*};
//! use warp::Filter;
//!
//! async fn relay(session: Session, envelope: Envelope) -> HandlerResult {
//!     let to = envelope.reception.ok_or(Reply::error(Code::MALFORMED, "reception missing"))?;
//!     let push = Push::data(&envelope.body).with_flag("inform").with_sender(&envelope.sender);
//!     session.hub().send_to(to, push).await;
//!     Ok(Reply::none())
//! }
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let hub = Hub::builder(RawKey::from_path()).handler(Switch::new().inform(relay)).build();
//!     hub.send_to("alice", Push::message("from anywhere")).await;
//!     let routes = keywire::adapter::warp::websocket("websocket", hub.clone()).or(warp::fs::dir("page"));
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8090").await?;
//!     keywire::serve(listener, warp::service(routes)).run().await;
//!     Ok(())
//! }
//! # } fn main() {}
//! ```
//! # Features
//! | feature | default | |
//! |---|---|---|
//! | `warp`, `axum` | yes, no | adapters for warp and axum, `adapter::warp` and `adapter::axum` |
//! | `serve`, `tls` | yes, no | server for production, `keywire::serve`; TLS for it, `serve::Tls` |
//! | `hyper`, `http2` | yes, no | `adapter::hyper`, for anything on hyper; WebSockets over HTTP/2, where your server speaks it |
//! | `jwt`, `jwks` | yes, no | keys from signed tokens, `JwtKey`; verifying keys from a URL, `Jwks::from_url` |
//! | `client` | no | a client that reconnects, for services and tests, `client::Client` |
//! | `deflate` | no | compressed messages, `Compression::deflate` |
//! | `sqlite` | no | a log of kept pushes in a file, `log::SqliteLog` |
//! | `redis`, `nats` | no | a cluster on Redis, Valkey or NATS: `cluster::Redis`, `cluster::Nats` |
//! | `push-api` | no | HTTP API through which other services push, `adapter::push_api` |
//! | `testing` | no | a browser tab for tests, `testing::Tab`; checks for your own implementations of the traits |
//! | `metrics` | no | metrics for the recorder of the `metrics` facade, `metrics::METRICS` |
#![cfg_attr(docsrs, feature(doc_cfg))]
pub mod auth;
mod group;
mod handshake;
mod key;
pub mod limits;
mod origin;
mod path_key;
mod peer;
mod refusal;
mod rejection;

// Messages and what is sent: plain data.
mod close;
mod compression;
mod delivery;
mod frame;
pub mod message;
mod text;

// Handlers, sessions, their store, logs, clusters, and the hub that joins them.
pub mod cluster;
mod follow;
pub mod handler;
mod hub;
pub mod log;
mod outbox;
mod presence;
pub mod session;
pub mod store;

// From the opening request to the close frame; the clients.
pub mod adapter;
mod browser;
#[cfg(feature = "client")]
pub mod client;
mod connection;
mod push_api;
#[cfg(feature = "serve")]
pub mod serve;
mod turns;
mod upgrade;
mod websocket;

// Tools.
mod app_call;
mod buffer_pool;
mod deadline;
mod docs;
mod excerpt;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod invisible;
pub mod metrics;
pub mod prelude;
mod span;
#[cfg(feature = "testing")]
pub mod testing;
mod timer;

pub use async_trait::async_trait;
pub use auth::KeyExtractor;
pub use delivery::Delivery;
pub use handler::{HandlerResult, MessageHandler, Reply, Switch};
pub use hub::{Hub, HubBuilder};
pub use key::{Identity, Key};
pub use limits::Config;
pub use message::{Envelope, Push};
#[cfg(feature = "serve")]
pub use serve::serve;
pub use session::Session;
pub use store::SessionStore;

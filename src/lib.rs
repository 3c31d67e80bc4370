//! A live wire to every logged-in user of a web backend.
//!
//! A browser opens `ws://host/websocket/{key}`. From then on any part of the backend can say
//! `hub.send_to("alice", push)`, and all of alice's tabs show it. Three traits decide the rest:
//!
//! - a [`KeyExtractor`] finds out who a client is: [`RawKey`], `JwtKey`, one after the other, or your own;
//! - a [`MessageHandler`] does what a client's messages ask for: a [`Switch`] over the flag, or your own;
//! - a [`SessionStore`] holds the live sessions: [`MemoryStore`], or your own.
//!
//! ```no_run
//! # #[cfg(all(feature = "serve", feature = "warp"))]
//! # mod example {
//! use std::time::Duration;
//!
//! use keywire::{Code, Envelope, HandlerResult, Hub, Push, RawKey, Reply, Session, Switch};
//! use serde::Deserialize;
//! use warp::Filter;
//!
//! #[derive(Deserialize)]
//! struct Mine {
//!     difficulty: u8,
//! }
//!
//! async fn relay(session: Session, envelope: Envelope) -> HandlerResult {
//!     let to = envelope.reception.ok_or(Reply::error(Code::MALFORMED, "to whom?"))?;
//!     let push = Push::data(&envelope.body).with_flag("inform").with_sender(&envelope.sender);
//!     session.hub().send_to(to, push).await;
//!     Ok(Reply::none())
//! }
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let hub = Hub::builder()
//!         .keys(RawKey::from_path())
//!         .handler(
//!             Switch::new()
//!                 .command(|session: Session, mine: Mine| async move {
//!                     session.send(Push::data(mine.difficulty));
//!                     Ok(Reply::ok("mining"))
//!                 })
//!                 .inform(relay),
//!         )
//!         .build();
//!
//!     let push = hub.clone();
//!     tokio::spawn(async move {
//!         loop {
//!             tokio::time::sleep(Duration::from_secs(10)).await;
//!             push.send_to("alice", Push::message("block found")).await;
//!         }
//!     });
//!
//!     // The page comes from the server that it connects to: those of other origins are refused, see `Origins`.
//!     let files = warp::fs::dir("page");
//!     let routes = keywire::warp::websocket("websocket", hub.clone()).or(files);
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8090").await?;
//!     let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
//!     keywire::serve(listener, warp::service(routes)).graceful(&hub, stop).run().await;
//!     Ok(())
//! }
//! # }
//! # fn main() {}
//! ```
//!
//! A page needs no library: `new WebSocket(url)` does. [`BROWSER_CLIENT`] is one that comes back after a lost
//! connection. The README has a server with its page, to copy and run.
//!
//! # Features
//!
//! | feature | default | |
//! |---|---|---|
//! | `warp` | yes | the adapter for warp, `keywire::warp` |
//! | `serve` | yes | a server for production, `keywire::serve` |
//! | `hyper` | yes | `Connection::run_upgraded`, for an adapter of your own to axum or anything on hyper |
//! | `jwt` | yes | keys out of signed tokens, `JwtKey` |
//! | `jwks` | no | keys that an identity provider publishes at a URL, `Jwks::from_url` |
//! | `client` | no | `client::Client`, a client that comes back, for services and tests |
//! | `deflate` | no | `Compression::deflate`: messages compressed for clients that offer it |
//! | `metrics` | no | `METRICS`: what happens, counted and timed for the recorder of the `metrics` facade |
//!
//! Without any of them there is the core, for an adapter of your own: [`Hub::upgrade`].

#![cfg_attr(docsrs, feature(doc_cfg))]

// Who, and by what right.
mod extract;
mod handshake;
mod key;
mod limits;
mod origin;
mod path_key;
mod peer;
mod refusal;
mod rejection;

// What is said.
mod close;
mod frame;
mod message;
mod text;

// What it does.
mod handler;

// Where it goes.
mod compression;
mod config;
mod delivery;
mod drain;
mod hub;
mod outbox;
mod session;
mod store;

// How it gets there.
mod adapter;
mod connection;
#[cfg(feature = "serve")]
mod serve;
mod turns;
mod underway;
mod upgrade;
mod websocket;

// The other side.
mod browser;
#[cfg(feature = "client")]
pub mod client;

mod app_call;
mod deadline;
mod excerpt;
mod invisible;
mod metrics;
mod span;

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;

pub use async_trait::async_trait;

#[cfg(feature = "metrics")]
pub use self::metrics::{METRICS, Metric, MetricKind};
pub use browser::BROWSER_CLIENT;
pub use close::{Closed, ClosedBy};
pub use compression::Compression;
pub use config::{Config, SessionPolicy, SlowPolicy};
pub use delivery::{Delivery, InvalidSessionId, Order, Outcome, Recipients, Remote, SessionId, Target};
pub use extract::{
    AndThen, ExtractFn, KeyExtractor, Map, MemoryTickets, Or, RawKey, Source, Ticket, TicketError,
    TicketHash, TicketKey, TicketStore, Tickets, extract_fn,
};
#[cfg(feature = "jwt")]
pub use extract::{
    InvalidJwks, InvalidVerifyingKey, Jwks, JwksError, JwtAlgorithm, JwtKey, TrustedKeys,
    UnknownJwtAlgorithm, VerifyingKey, VerifyingKeys,
};
pub use frame::{Frame, FrameKind, InvalidFrame};
pub use handler::{
    Failure, HandlerError, HandlerFn, HandlerResult, Hook, HookKind, IntoHook, IntoRoute, MessageHandler,
    Reply, Route, RouteKind, Switch, handler_fn,
};
pub use handshake::Handshake;
pub use hub::{Hub, HubBuilder};
pub use key::{Identity, InvalidKey, Key};
pub use limits::{InvalidNetwork, Limits, Rate, TrustedProxies};
pub use message::{Code, Envelope, Flag, Json, JsonError, Malformed, MessageId, Push};
pub use origin::Origins;
pub use path_key::PathKey;
pub use peer::Peer;
pub use rejection::Rejection;
#[cfg(feature = "serve")]
pub use serve::{Listener, RequestBody, Serve, ServeConfig, serve, serve_hyper};
pub use session::{Extensions, Sent, SentFrame, Session};
pub use store::{Counts, Inserted, MemoryStore, Removed, SessionStore, StoreError};
pub use text::Text;
pub use upgrade::{Connection, Upgrade};
pub use websocket::{CloseCode, InvalidCloseCode};

#[cfg(feature = "warp")]
pub use adapter::warp;

/// Compiles and runs the code of the README as an outside crate would.
#[cfg(all(doctest, feature = "jwt", feature = "serve", feature = "warp"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// Compiles and runs the code of the guide to authentication.
#[cfg(all(doctest, feature = "jwks", feature = "warp"))]
#[doc = include_str!("../docs/authentication.md")]
struct Authentication;

/// Compiles and runs the code of the guide to numbers and logs.
#[cfg(all(doctest, feature = "metrics"))]
#[doc = include_str!("../docs/observability.md")]
struct Observability;

/// Compiles and runs the code of the guide to proxies.
#[cfg(doctest)]
#[doc = include_str!("../docs/proxies.md")]
struct Proxies;

//! Adapters for web frameworks, and the types for your own adapter: [`Hub::upgrade`](crate::Hub::upgrade) takes a [`Handshake`] and
//! returns an [`Upgrade`], which is the response with its [`Connection`].

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(feature = "warp")]
pub mod warp;

pub use crate::browser::BROWSER_CLIENT;
pub use crate::handshake::Handshake;
pub use crate::path_key::PathKey;
pub use crate::peer::PeerAddr;
pub use crate::upgrade::{Connection, Upgrade};

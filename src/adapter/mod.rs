//! Adapters for web frameworks, and the types for your own adapter: [`Hub::upgrade`](crate::Hub::upgrade) takes a [`Handshake`] and
//! returns an [`Upgrade`], which is the response with its [`Connection`].

#[cfg(feature = "warp")]
pub mod warp;

/// An HTTP API through which other services push: programs in other languages, scheduled jobs, `curl`.
///
/// [`PushApi`](push_api::PushApi) is the API. `docs/push-api.md` in the package has its routes, errors and examples.
#[cfg(feature = "push-api")]
pub mod push_api {
    pub use crate::push_api::{OPENAPI, PushApi, SecretError};
}

pub use crate::browser::BROWSER_CLIENT;
pub use crate::handshake::Handshake;
pub use crate::path_key::PathKey;
pub use crate::peer::PeerAddr;
pub use crate::upgrade::{Connection, Upgrade};

//! Names that most servers use: `use keywire::prelude::*;`.
//!
//! No name in here is one of warp's or axum's, so [`Reply`](crate::Reply) and [`Rejection`](crate::auth::Rejection) are
//! imported by name.

#[cfg(feature = "jwt")]
pub use crate::auth::JwtKey;
pub use crate::auth::{KeyExtractor, Origins, RawKey};
pub use crate::handler::{HandlerResult, MessageHandler, Switch};
pub use crate::message::{Code, Envelope, Flag, Push};
pub use crate::session::CloseCode;
pub use crate::store::{Delivery, Recipients, SessionStore};
pub use crate::{Config, Hub, Identity, Key, Session, async_trait};

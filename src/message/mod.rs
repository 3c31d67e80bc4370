//! The JSON of the wire. No other module parses it.
//!
//! A client sends an [`Envelope`], and the server sends a [`Push`]. Their bodies stay raw [`Json`] until a type is requested. A
//! [`Frame`] is what is sent: pushes, text or bytes, encoded once for all recipients.

mod code;
pub(crate) mod depth;
mod envelope;
mod flag;
mod framed;
mod id;
mod json;
mod kept;
mod push;

pub use code::Code;
pub use envelope::{Envelope, InvalidBody, Malformed};
pub use flag::Flag;
pub use id::MessageId;
pub use json::{Json, JsonError};
pub use kept::KeptPush;
pub use push::Push;

pub use crate::frame::{Frame, FrameKind, InvalidFrame};
pub use crate::text::Text;

use serde::{Deserialize, Serialize};

use crate::frame::Frame;
use crate::websocket::CloseCode;

/// What a [`SessionStore`](crate::SessionStore) does with each recipient: sending, broadcasting and disconnecting are
/// one path.
///
/// An order is plain data. Serialized, it can be carried to another process; a frame is validated when it is read there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Order {
    /// Send this frame.
    Deliver(Frame),
    /// End the session with this close code and reason.
    Close(CloseCode, Box<str>),
}

use serde::{Deserialize, Serialize};

use super::Entry;
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
    /// Send this kept push. A session that follows the log of its key gets it at its place in the log.
    Keep(Box<Entry>),
    /// End the session with this close code and reason.
    Close(CloseCode, Box<str>),
    /// Read the log again: it may have entries that were not announced. Nothing for a session that does not follow it.
    CatchUp,
}

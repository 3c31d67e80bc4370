//! What is sent to which sessions, and what became of it: plain data, which can cross to another process.

mod answer;
mod entry;
mod kept;
mod message;
mod node_id;
mod order;
mod outcome;
mod position;
mod recipients;
mod session_id;

pub(crate) use answer::RequestId;
pub use answer::{Answer, RequestError};
pub use entry::Entry;
#[cfg(feature = "testing")]
pub(crate) use entry::split_place;
pub use kept::Kept;
pub use message::Message;
pub use node_id::{InvalidNodeId, NodeId};
pub use order::Order;
pub use outcome::{Delivery, Outcome, Remote};
pub use position::{InvalidPosition, Position};
pub use recipients::{Recipients, Target};
pub use session_id::{InvalidSessionId, SessionId};

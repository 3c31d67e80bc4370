//! What is sent to which sessions, and what became of it: plain data, which can cross to another process.

mod order;
mod outcome;
mod recipients;
mod session_id;

pub use order::Order;
pub use outcome::{Delivery, Outcome, Remote};
pub use recipients::{Recipients, Target};
pub use session_id::{InvalidSessionId, SessionId};

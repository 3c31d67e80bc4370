//! WebSocket framing (RFC 6455), the server's side, without any I/O.
//!
//! Bytes go in, events come out, and the other way round. Nothing in here knows of a key, a hub, JSON or a runtime.
//! The layer is strict: what the RFC forbids a client to send is a [`Violation`], and each violation names the close
//! code to answer with. No extension is ever negotiated.
//!
//! | room | idea |
//! |---|---|
//! | `encoder` | the server's frames (section 5.2) |
//! | `close` | close codes and the payload of a close frame (sections 5.5.1 and 7.4) |
//! | `violation` | what a client can do wrong |

// Until the connection drives this layer, only the tests use it.
#![allow(dead_code, unused_imports)]

mod close;
mod encoder;
mod mask;
mod opcode;
mod utf8;
mod violation;

pub use close::CloseCode;
pub(crate) use close::CloseFrame;
pub(crate) use encoder::{MAX_HEADER, close, frame, header, ping, pong, write_frame};
pub(crate) use opcode::OpCode;
pub(crate) use violation::Violation;

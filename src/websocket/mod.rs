//! WebSocket framing (RFC 6455), server side, without I/O.
//!
//! The decoder turns bytes into events, and the encoder turns messages into bytes. This room knows no key, hub, JSON or runtime. It
//! is strict: anything that the RFC forbids a client to send is a [`Violation`] with a close code. The only extension is
//! permessage-deflate (RFC 7692), a feature.
//!
//! | room | idea |
//! |---|---|
//! | `opening` | the HTTP request for a WebSocket, and the response (section 4.2; RFC 8441 for HTTP/2) |
//! | `decoder`, `event` | decoding a client's bytes into events (sections 5 and 6.2) |
//! | `encoder` | the server's frames (section 5.2) |
//! | `close`, `close_code` | the payload of a close frame, and its codes (sections 5.5.1 and 7.4) |
//! | `violation` | the errors of a client |
//! | `header`, `mask`, `opcode` | the parts of a frame's head |
//! | `message`, `utf8` | a data message that arrives in pieces, or compressed |
//! | `deflate` | compression, decompression and their negotiation; `plain` without the feature |

mod close;
mod close_code;
mod decoder;
#[cfg(feature = "deflate")]
mod deflate;
#[cfg(not(feature = "deflate"))]
#[path = "plain.rs"]
mod deflate;
mod encoder;
mod event;
mod header;
mod mask;
mod message;
mod opcode;
mod opening;
mod utf8;
mod violation;

pub(crate) use close::CloseFrame;
pub use close_code::{CloseCode, InvalidCloseCode};
pub(crate) use decoder::Decoder;
#[cfg(all(any(test, fuzzing), feature = "deflate"))]
pub(crate) use deflate::inflate;
pub(crate) use deflate::{compress, negotiate};
#[cfg(feature = "testing")]
pub(crate) use encoder::client_frame;
pub(crate) use encoder::{close, frame, header, ping, pong, split_frame, validate_frames, write_frame};
pub(crate) use event::Event;
pub(crate) use opcode::OpCode;
pub(crate) use opening::{Head, Opening, OpeningError, check};
pub(crate) use violation::Violation;

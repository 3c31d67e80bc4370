//! permessage-deflate (RFC 7692) without context takeover.
//!
//! Each message is compressed on its own, so a session needs no compressor. Each thread has one compressor and one inflater, which
//! are reset for every message.
//!
//! | room | idea |
//! |---|---|
//! | `offer` | a client's offers, and the response (section 7.1) |
//! | `compress` | compressing frames (7.2.1) |
//! | `inflate` | inflating a client's message, up to a limit (7.2.2) |

mod compress;
mod inflate;
mod offer;

pub(crate) use compress::compress;
pub(crate) use inflate::inflate;
pub(crate) use offer::negotiate;

#[cfg(test)]
pub(super) mod tests;

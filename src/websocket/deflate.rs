//! permessage-deflate (RFC 7692), where neither side remembers a message once it is over.
//!
//! So no session holds a compressor: a thread has one, and one inflater, and they start afresh with every message.
//!
//! | room | idea |
//! |---|---|
//! | `offer` | what a client offers, and the answer (section 7.1) |
//! | `compress` | frames get shorter (7.2.1) |
//! | `inflate` | a client's message gets long again, but not too long (7.2.2) |

mod compress;
mod inflate;
mod offer;

pub(crate) use compress::compress;
pub(crate) use inflate::inflate;
pub(crate) use offer::negotiate;

#[cfg(test)]
pub(super) mod tests;

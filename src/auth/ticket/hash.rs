use std::fmt;

use sha2::{Digest as _, Sha256};

/// The SHA-256 of a ticket. A store keeps it in place of the ticket.
///
/// Someone who reads the store, its backups or its traffic cannot open a connection with the hash. Stores need no comparison in
/// constant time: only a client that has the ticket knows its hash, so the time of a lookup reveals nothing about the ticket. A
/// ticket has 256 random bits and needs neither a salt nor a slow hash.
///
/// [`Display`](fmt::Display) writes the hash in hexadecimal, as a key for a database.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TicketHash([u8; 32]);

impl TicketHash {
    pub(super) fn of(secret: &[u8; 32]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for TicketHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TicketHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

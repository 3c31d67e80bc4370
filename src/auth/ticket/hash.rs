use std::fmt;

use sha2::{Digest as _, Sha256};

/// What a store knows of a ticket: its SHA-256.
///
/// Who reads the store, its backups or its traffic finds nothing to open a connection with. And how long it takes
/// to look a hash up says nothing about the ticket, so nobody needs to compare in constant time: who does not know
/// the ticket cannot choose the hash, and a ticket of 256 random bits needs neither salt nor a slow hash.
///
/// [`Display`](fmt::Display) shows it in hexadecimal, as a key for a database.
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

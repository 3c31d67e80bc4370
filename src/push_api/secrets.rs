use std::error::Error;

use sha2::{Digest as _, Sha256};

/// Secrets of an API. Only their salted hashes are stored.
pub(super) struct Secrets {
    salt: [u8; 32],
    hashes: Box<[[u8; 32]]>,
}

/// Shortest secret, in bytes.
const MIN_BYTES: usize = 16;

/// A [`PushApi`](super::PushApi) cannot have these secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// There is no secret.
    #[error("a push API needs at least one secret")]
    Missing,
    /// A secret is too short.
    #[error("a secret of a push API must have at least {MIN_BYTES} bytes")]
    TooShort,
    /// A secret contains a character that is not visible ASCII, for example a space or a line break at its end.
    #[error("a secret of a push API must consist of visible ASCII characters")]
    Character,
    /// The operating system has no random numbers.
    #[error("no random numbers for the secrets of a push API")]
    Random(#[source] Box<dyn Error + Send + Sync>),
}

impl Secrets {
    pub(super) fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Result<Self, SecretError> {
        let mut salt = [0; 32];
        getrandom::getrandom(&mut salt).map_err(|error| SecretError::Random(error.into()))?;
        let hashes = secrets.into_iter().map(|secret| match secret.as_ref().as_bytes() {
            secret if secret.len() < MIN_BYTES => Err(SecretError::TooShort),
            secret if !secret.iter().all(u8::is_ascii_graphic) => Err(SecretError::Character),
            secret => Ok(hash(&salt, secret)),
        });
        let hashes = hashes.collect::<Result<Box<[_]>, _>>()?;
        if hashes.is_empty() { Err(SecretError::Missing) } else { Ok(Self { salt, hashes }) }
    }

    /// Whether this is one of the secrets.
    ///
    /// The time tells nothing about the secrets: it depends on how the hashes differ, and nobody can choose a hash without
    /// knowing the salt. So this needs no crate for comparisons in constant time, and trusts no optimizer.
    pub(super) fn contains(&self, secret: &[u8]) -> bool {
        let hash = hash(&self.salt, secret);
        self.hashes.iter().fold(false, |found, other| found | (*other == hash))
    }
}

fn hash(salt: &[u8; 32], secret: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(salt).chain_update(secret).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_secret_is_accepted_and_nothing_else() {
        let secrets = Secrets::new(["0123456789abcdef", "fedcba9876543210"]).unwrap();
        assert!(secrets.contains(b"0123456789abcdef") && secrets.contains(b"fedcba9876543210"));
        for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF", " 0123456789abcdef"] {
            assert!(!secrets.contains(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn weak_secrets_are_refused() {
        assert!(matches!(Secrets::new::<&str>([]), Err(SecretError::Missing)));
        for weak in ["", "123456789012345"] {
            let secrets = Secrets::new(["0123456789abcdef", weak]);
            assert!(matches!(secrets, Err(SecretError::TooShort)), "{weak}");
        }
        for other in ["0123456789abcdef\n", "0123456789 abcdef", "0123456789abcdefé"] {
            assert!(matches!(Secrets::new([other]), Err(SecretError::Character)), "{other}");
        }
    }
}

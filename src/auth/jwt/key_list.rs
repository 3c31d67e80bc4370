use super::key::VerifyingKey;
use super::token::Token;

/// Keys with their names. Names may be missing and may repeat (RFC 7517, section 4.5).
#[derive(Debug, Default)]
pub(super) struct KeyList(pub(super) Vec<(Option<String>, VerifyingKey)>);

impl KeyList {
    /// The key for `token`, if exactly one fits. Equal keys count as one.
    pub(super) fn find(&self, token: &Token<'_>) -> Option<VerifyingKey> {
        let named = |kid: &Option<String>| token.kid.is_none() || *kid == token.kid;
        let mut meant = self
            .0
            .iter()
            .filter(|(kid, key)| named(kid) && key.algorithm() == token.algorithm)
            .map(|(_, key)| key);
        let first = meant.next()?;
        meant.all(|key| key.is(first)).then(|| first.clone())
    }

    /// Removes all keys of this name. Returns whether one was there.
    pub(super) fn remove(&mut self, kid: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(name, _)| name.as_deref() != Some(kid));
        self.0.len() < before
    }
}

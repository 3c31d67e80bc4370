//! Authentication: extractors of keys, credentials, origins.

mod combine;
mod function;
#[cfg(feature = "jwt")]
mod jwt;
mod raw;
mod source;
mod ticket;

use std::sync::Arc;

use async_trait::async_trait;

pub use combine::{AndThen, Map, Or};
pub use function::{ExtractFn, extract_fn};
#[cfg(feature = "jwt")]
pub use jwt::{
    InvalidJwks, InvalidVerifyingKey, Jwks, JwksError, JwtAlgorithm, JwtKey, TrustedKeys,
    UnknownJwtAlgorithm, VerifyingKey, VerifyingKeys,
};
pub use raw::RawKey;
pub use source::CredentialSource;
pub use ticket::{MemoryTickets, Ticket, TicketError, TicketHash, TicketKey, TicketStore, Tickets};

use crate::handshake::Handshake;
use crate::key::Identity;
pub use crate::key::InvalidKey;
pub use crate::origin::Origins;
pub use crate::rejection::Rejection;

/// Decides who opens a connection.
///
/// ```
/// use std::collections::HashMap;
///
/// use keywire::adapter::Handshake;
/// use keywire::auth::Rejection;
/// use keywire::{Identity, Key, KeyExtractor, async_trait};
///
/// /// Lets in whoever has an API key from a table.
/// struct ApiKeys(HashMap<String, Key>);
///
/// #[async_trait]
/// impl KeyExtractor for ApiKeys {
///     async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
///         let api_key = handshake.header("x-api-key")?.ok_or(Rejection::Missing)?;
///         let key = self.0.get(api_key).ok_or(Rejection::Invalid)?;
///         Ok(Identity::new(key.clone()))
///     }
/// }
/// ```
///
/// A closure does as well: [`extract_fn`].
///
/// # Contract
///
/// - No credential where this extractor looks: [`Rejection::Missing`], and nothing else is `Missing`. Then
///   [`or`](KeyExtractor::or) asks the next one. A wrong credential must never let the next one decide.
/// - The key is checked, not believed: whoever can choose it can read another's messages.
/// - What is slow belongs behind `.await`: the opening waits for it, nobody else does.
///
/// # Errors
///
/// A [`Rejection`], which becomes an HTTP status or a close code. It tells the client the kind of failure only.
///
/// # Cancel safety
///
/// The future is dropped when the client goes away before it is done, and after
/// [`Config::handler_timeout`](crate::Config::handler_timeout): the client is then asked to come back.
#[async_trait]
pub trait KeyExtractor: Send + Sync + 'static {
    /// Finds out who is asking.
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection>;

    /// Checks a fresh credential that a client sends over its open session (`kw:refresh`), so that the session
    /// lives on. [`Rejection::Missing`] by default: this extractor knows none.
    ///
    /// The session keeps its key: if this says that the credential is another's, the session ends with 4507.
    ///
    /// ```
    /// use keywire::adapter::Handshake;
    /// use keywire::auth::Rejection;
    /// use keywire::{Identity, Key, KeyExtractor, async_trait};
    ///
    /// struct Passes;
    ///
    /// impl Passes {
    ///     fn check(&self, pass: &str) -> Result<Identity, Rejection> {
    ///         let key = pass.strip_prefix("pass of ").ok_or(Rejection::Invalid)?;
    ///         Key::new(key).map(Identity::new).map_err(|_| Rejection::Invalid)
    ///     }
    /// }
    ///
    /// #[async_trait]
    /// impl KeyExtractor for Passes {
    ///     async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
    ///         self.check(handshake.bearer()?.ok_or(Rejection::Missing)?)
    ///     }
    ///
    ///     async fn refresh(&self, credential: &str) -> Result<Identity, Rejection> {
    ///         self.check(credential)
    ///     }
    /// }
    /// ```
    async fn refresh(&self, _credential: &str) -> Result<Identity, Rejection> {
        Err(Rejection::Missing)
    }

    /// Asks `other` where this one finds no credential, or a cookie that is [ambiguous](Rejection::Ambiguous). A wrong one
    /// is refused without asking.
    ///
    /// ```
    /// use keywire::auth::RawKey;
    /// use keywire::KeyExtractor;
    ///
    /// let extractor = RawKey::from_path().or(RawKey::from_query("key"));
    /// # let _ = extractor;
    /// ```
    ///
    /// Both extractors share the keys. Where each names users of its own, the `7` of one and the `7` of the other are
    /// one user, who reads the messages of both. [`map`](KeyExtractor::map) or [`and_then`](KeyExtractor::and_then)
    /// with a prefix keeps them apart:
    ///
    /// ```
    /// use keywire::auth::{RawKey, Rejection};
    /// use keywire::{Identity, Key, KeyExtractor};
    ///
    /// fn prefixed(prefix: &str, identity: Identity) -> Result<Identity, Rejection> {
    ///     let key = Key::new(format!("{prefix}:{}", identity.key())).map_err(|_| Rejection::Invalid)?;
    ///     Ok(identity.with_key(key))
    /// }
    ///
    /// let customers = RawKey::from_header("x-customer");
    /// let customers = customers.and_then(|identity: Identity| async move { prefixed("customer", identity) });
    /// let staff = RawKey::from_header("x-staff");
    /// let staff = staff.and_then(|identity: Identity| async move { prefixed("staff", identity) });
    /// let extractor = customers.or(staff);
    /// # let _ = extractor;
    /// ```
    fn or<E: KeyExtractor>(self, other: E) -> Or<Self, E>
    where
        Self: Sized,
    {
        Or::new(self, other)
    }

    /// Changes the identity that this one finds. [`Identity::with_key`] keeps its end and all that it carries.
    fn map<F>(self, change: F) -> Map<Self, F>
    where
        Self: Sized,
        F: Fn(Identity) -> Identity + Send + Sync + 'static,
    {
        Map::new(self, change)
    }

    /// Checks the identity further, in a database for example, and may refuse it.
    ///
    /// ```
    /// use keywire::auth::{RawKey, Rejection};
    /// use keywire::{Identity, KeyExtractor};
    ///
    /// let extractor = RawKey::from_path().and_then(|identity: Identity| async move {
    ///     if identity.key().as_str() == "mallory" { Err(Rejection::Forbidden) } else { Ok(identity) }
    /// });
    /// # let _ = extractor;
    /// ```
    fn and_then<F, Fut>(self, check: F) -> AndThen<Self, F>
    where
        Self: Sized,
        F: Fn(Identity) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Identity, Rejection>> + Send,
    {
        AndThen::new(self, check)
    }
}

#[async_trait]
impl<E: KeyExtractor + ?Sized> KeyExtractor for Arc<E> {
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
        (**self).extract(handshake).await
    }

    async fn refresh(&self, credential: &str) -> Result<Identity, Rejection> {
        (**self).refresh(credential).await
    }
}

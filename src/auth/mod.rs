//! Authentication: key extractors, credentials and origins.

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

/// Authenticates an opening: extracts the user's key from the request.
///
/// ```
/// use std::collections::HashMap;
///
/// use keywire::adapter::Handshake;
/// use keywire::auth::Rejection;
/// use keywire::{Identity, Key, KeyExtractor, async_trait};
///
/// /// Accepts clients with an API key from a table.
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
/// [`extract_fn`] makes an extractor from a closure.
///
/// # Contract
///
/// - Return [`Rejection::Missing`] only if the request has no credential where this extractor looks.
///   [`or`](KeyExtractor::or) then asks the next extractor. The next extractor must never decide about a wrong credential.
/// - Verify the key. A client that can choose its key can read the messages of another user.
/// - Do slow work behind `.await`. Only this opening waits for it.
///
/// # Errors
///
/// The server turns a [`Rejection`] into an HTTP status or a close code. The client learns only the kind of failure.
///
/// # Cancel safety
///
/// keywire drops the future if the client disconnects, and after [`Config::handler_timeout`](crate::Config::handler_timeout). After
/// the timeout the client is asked to come back.
#[async_trait]
pub trait KeyExtractor: Send + Sync + 'static {
    /// The identity of the client that sent this request.
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection>;

    /// Checks a new credential that a client sends over its open session (`kw:refresh`) to extend the session. Default:
    /// [`Rejection::Missing`], which means that this extractor does not support refreshing.
    ///
    /// The session keeps its key. A credential for another key ends the session with close code 4507.
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

    /// Falls back to `other` if the request has no credential for this extractor, or if its cookie is
    /// [ambiguous](Rejection::Ambiguous). A wrong credential is refused at once.
    ///
    /// ```
    /// use keywire::auth::RawKey;
    /// use keywire::KeyExtractor;
    ///
    /// let extractor = RawKey::from_path().or(RawKey::from_query("key"));
    /// # let _ = extractor;
    /// ```
    ///
    /// Both extractors share one set of keys. If each has its own user numbers, the `7` of one extractor and the `7` of the other
    /// are one key, and this key gets the messages of both users. Add a prefix with [`map`](KeyExtractor::map) or
    /// [`and_then`](KeyExtractor::and_then) to keep them apart:
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

    /// Changes the identity. [`Identity::with_key`] keeps the expiry and the values.
    fn map<F>(self, change: F) -> Map<Self, F>
    where
        Self: Sized,
        F: Fn(Identity) -> Identity + Send + Sync + 'static,
    {
        Map::new(self, change)
    }

    /// Checks the identity further, for example in a database, and may refuse it.
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

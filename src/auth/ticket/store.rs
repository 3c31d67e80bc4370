use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::TicketHash;
use crate::key::Identity;

/// A store of unused tickets. Implement it if several nodes share tickets, since a client may connect to another node than the one
/// that issued its ticket.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use std::time::{Duration, Instant};
///
/// use keywire::auth::{TicketError, TicketHash, TicketStore};
/// use keywire::{Identity, Key, async_trait};
///
/// /// Stands in for a database that stores strings.
/// #[derive(Default)]
/// struct Texts(Mutex<HashMap<String, (String, Instant)>>);
///
/// #[async_trait]
/// impl TicketStore for Texts {
///     async fn put(&self, ticket: TicketHash, identity: Identity, lifetime: Duration) -> Result<(), TicketError> {
///         let entry = (identity.key().to_string(), Instant::now() + lifetime);
///         self.0.lock().unwrap().insert(ticket.to_string(), entry);
///         Ok(())
///     }
///
///     async fn take(&self, ticket: TicketHash) -> Result<Option<Identity>, TicketError> {
///         // Redis: `GETDEL`. SQL: `DELETE ... RETURNING`.
///         let Some((key, end)) = self.0.lock().unwrap().remove(&ticket.to_string()) else { return Ok(None) };
///         let key = Key::new(key).map_err(|error| TicketError::Unavailable(error.into()))?;
///         Ok((Instant::now() < end).then(|| Identity::new(key)))
///     }
///
///     // Redis: `GET`. SQL: `SELECT`.
///     async fn peek(&self, ticket: TicketHash) -> Result<Option<Identity>, TicketError> {
///         let Some((key, end)) = self.0.lock().unwrap().get(&ticket.to_string()).cloned() else { return Ok(None) };
///         let key = Key::new(key).map_err(|error| TicketError::Unavailable(error.into()))?;
///         Ok((Instant::now() < end).then(|| Identity::new(key)))
///     }
/// }
/// ```
///
/// # Contract
///
/// - `take` finds and removes a ticket in one atomic step: if two calls race for one ticket, only one gets it.
/// - `take` and `peek` do not find an expired ticket. The store removes expired tickets eventually.
/// - The number of tickets is bounded.
/// - A store keeps the key of an identity, its [`Identity::expires_at`], and those application values from [`Identity::with`] that
///   it can serialize.
///
/// # Cancel safety
///
/// keywire may drop any of these futures before it completes. The operation has then happened completely or not at all.
#[async_trait]
pub trait TicketStore: Send + Sync + 'static {
    /// Stores the identity of a ticket for `lifetime`.
    ///
    /// # Errors
    ///
    /// [`TicketError::Full`] if there are too many tickets. [`TicketError::Unavailable`] if the store fails.
    async fn put(
        &self,
        ticket: TicketHash,
        identity: Identity,
        lifetime: Duration,
    ) -> Result<(), TicketError>;

    /// Finds and removes a ticket. `None` if it is absent or has expired.
    ///
    /// # Errors
    ///
    /// [`TicketError::Unavailable`] if the store fails.
    async fn take(&self, ticket: TicketHash) -> Result<Option<Identity>, TicketError>;

    /// Finds a ticket and leaves it in the store, so that an opening that is refused for another reason does not use it up.
    /// keywire calls [`TicketStore::take`] afterwards. Default: [`TicketError::Unsupported`], after which keywire takes the ticket
    /// before the other checks.
    ///
    /// # Errors
    ///
    /// [`TicketError::Unavailable`] if the store fails.
    async fn peek(&self, _ticket: TicketHash) -> Result<Option<Identity>, TicketError> {
        Err(TicketError::Unsupported)
    }
}

/// A ticket could not be issued or taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// There are too many unused tickets, for this key or in total.
    #[error("too many unused tickets")]
    Full,
    /// The store or the system's source of random numbers is unavailable.
    #[error("tickets unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The store cannot look at a ticket without taking it ([`TicketStore::peek`]).
    #[error("this ticket store cannot peek")]
    Unsupported,
}

// Every method is forwarded: otherwise the trait's default would replace the store's own method.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: TicketStore + ?Sized> TicketStore for Arc<S> {
    async fn put(
        &self,
        ticket: TicketHash,
        identity: Identity,
        lifetime: Duration,
    ) -> Result<(), TicketError> {
        (**self).put(ticket, identity, lifetime).await
    }

    async fn take(&self, ticket: TicketHash) -> Result<Option<Identity>, TicketError> {
        (**self).take(ticket).await
    }

    async fn peek(&self, ticket: TicketHash) -> Result<Option<Identity>, TicketError> {
        (**self).peek(ticket).await
    }
}

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::TicketHash;
use crate::key::Identity;

/// Where tickets wait to be used. Write one where several nodes share them: the node that a client connects to need
/// not be the one that gave it the ticket.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use std::time::{Duration, Instant};
///
/// use keywire::auth::{TicketError, TicketHash, TicketStore};
/// use keywire::{Identity, Key, async_trait};
///
/// /// Stands for a database in which only texts can be kept.
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
///         // In Redis it is `GETDEL`, in SQL `DELETE ... RETURNING`.
///         let Some((key, end)) = self.0.lock().unwrap().remove(&ticket.to_string()) else { return Ok(None) };
///         let key = Key::new(key).map_err(|error| TicketError::Unavailable(error.into()))?;
///         Ok((Instant::now() < end).then(|| Identity::new(key)))
///     }
///
///     // In Redis it is `GET`, in SQL `SELECT`.
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
/// - `take` finds and removes in one step: of two that take the same ticket at the same moment one gets it.
/// - What is past its lifetime is not found, and is removed some time.
/// - There is a bound to what is kept.
/// - Of an identity a store keeps the key, [`Identity::expires_at`], and what the application itself has put in by
///   [`Identity::with`], as far as it knows how to write that down.
///
/// # Cancel safety
///
/// Each future may be dropped before its end: the ticket is then there or not.
#[async_trait]
pub trait TicketStore: Send + Sync + 'static {
    /// Keeps an identity for whoever comes with the ticket within `lifetime`.
    ///
    /// # Errors
    ///
    /// [`TicketError::Full`] if too many wait already, [`TicketError::Unavailable`] if it cannot be kept.
    async fn put(
        &self,
        ticket: TicketHash,
        identity: Identity,
        lifetime: Duration,
    ) -> Result<(), TicketError>;

    /// Finds and removes. None if it is not there, or no more.
    ///
    /// # Errors
    ///
    /// [`TicketError::Unavailable`] if nobody knows.
    async fn take(&self, ticket: TicketHash) -> Result<Option<Identity>, TicketError>;

    /// Finds and leaves it there, so that an opening that is refused for another reason does not use it up. What it says
    /// opens nothing: [`TicketStore::take`] decides afterwards.
    ///
    /// # Errors
    ///
    /// [`TicketError::Unsupported`] by default: then the ticket is taken before anything else is known.
    /// [`TicketError::Unavailable`] if nobody knows.
    async fn peek(&self, _ticket: TicketHash) -> Result<Option<Identity>, TicketError> {
        Err(TicketError::Unsupported)
    }
}

/// Why a ticket is neither issued nor taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// Too many tickets wait to be used, of this key or of all.
    #[error("too many unused tickets")]
    Full,
    /// The store, or the system's source of random numbers, does not answer.
    #[error("tickets unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The store cannot look at a ticket without taking it ([`TicketStore::peek`]).
    #[error("this ticket store cannot peek")]
    Unsupported,
}

// A method with a default that is not forwarded would be replaced by it.
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

//! Tickets: single-use credentials that may be in a URL.

mod hash;
mod memory;
mod store;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, Serializer};

pub use hash::TicketHash;
pub use memory::MemoryTickets;
pub use store::{TicketError, TicketStore};

use super::source::read_only;
use super::{CredentialSource, KeyExtractor};
use crate::excerpt::Excerpt;
use crate::handshake::Handshake;
use crate::key::Identity;
use crate::rejection::Rejection;

/// Issues tickets. Each ticket opens one connection.
///
/// Proxies and servers log URLs, so a token that is valid for an hour should not be in a URL. A ticket may be in a URL, since it is
/// valid for 30 s and for one use. A page fetches a ticket from a route that authenticates the user like the application's other
/// routes, and opens the socket with it:
///
/// ```js
/// const { ticket } = await (await fetch('/ticket', { method: 'POST' })).json();
/// const socket = new WebSocket(`wss://${location.host}/websocket?ticket=${ticket}`);
/// ```
///
/// ```no_run
/// # #[cfg(feature = "warp")]
/// # async fn example() {
/// use keywire::auth::{TicketKey, Tickets};
/// use keywire::{Hub, Identity, Key};
/// use serde_json::json;
/// use warp::{Filter, Reply, http::StatusCode};
///
/// /// `POST /ticket`, behind a proxy that authenticates the user. Any other authentication works as well.
/// async fn hand_out(user: String, tickets: Tickets) -> warp::reply::Response {
///     let Ok(key) = Key::new(user) else { return StatusCode::UNAUTHORIZED.into_response() };
///     match tickets.issue(Identity::new(key)).await {
///         Ok(ticket) => {
///             let answer = warp::reply::json(&json!({ "ticket": ticket }));
///             warp::reply::with_header(answer, "cache-control", "no-store").into_response()
///         }
///         Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
///     }
/// }
///
/// let tickets = Tickets::new();
/// let hub = Hub::builder(TicketKey::new(&tickets)).build();
/// let ticket = warp::post()
///     .and(warp::path!("ticket"))
///     .and(warp::header("x-forwarded-user"))
///     .and(warp::any().map(move || tickets.clone()))
///     .then(hand_out);
/// let routes = keywire::adapter::warp::websocket("websocket", hub).or(ticket);
/// warp::serve(routes).run(([127, 0, 0, 1], 8090)).await;
/// # }
/// ```
///
/// Issue tickets to authenticated users only: a client that requests unlimited tickets fills the store. [`MemoryTickets`] keeps at
/// most 64 for each key.
///
/// Clones share the store.
#[derive(Clone)]
pub struct Tickets {
    store: Arc<dyn TicketStore>,
    lifetime: Duration,
}

impl Tickets {
    /// Tickets in the memory of this process, valid for 30 s.
    #[must_use]
    pub fn new() -> Self {
        Self::in_store(MemoryTickets::new())
    }

    /// Tickets in another store, for example a store that several nodes share. Valid for 30 s.
    #[must_use]
    pub fn in_store(store: impl TicketStore) -> Self {
        Self { store: Arc::new(store), lifetime: Duration::from_secs(30) }
    }

    /// Lifetime of a ticket. Default: 30 s, which is enough for a page that fetches the ticket when it connects.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Issues a ticket that opens one connection as `identity`. The session expires with the identity.
    ///
    /// # Errors
    ///
    /// [`TicketError::Full`] if there are too many unused tickets. [`TicketError::Unavailable`] if the store is unavailable.
    ///
    /// # Cancel safety
    ///
    /// An unused ticket may stay in the store until it expires.
    pub async fn issue(&self, identity: Identity) -> Result<Ticket, TicketError> {
        let mut secret = [0; 32];
        getrandom::getrandom(&mut secret).map_err(|error| TicketError::Unavailable(Box::new(error)))?;
        let ticket = Ticket(URL_SAFE_NO_PAD.encode(secret));
        self.store.put(TicketHash::of(&secret), identity, self.lifetime).await?;
        Ok(ticket)
    }

    /// Uses up a ticket and returns its identity.
    ///
    /// # Errors
    ///
    /// - [`Rejection::Invalid`] if the string cannot be a ticket.
    /// - [`Rejection::Expired`] if the ticket has expired, was used or was never issued. The client does not learn which of the
    ///   three, and may come back with a new ticket.
    /// - [`Rejection::Unavailable`] if the store is unavailable.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the ticket may be used up.
    pub async fn take(&self, ticket: &str) -> Result<Identity, Rejection> {
        good(self.store.take(hash(ticket)?).await)
    }

    /// Reads the identity of a ticket, and uses the ticket up after all other checks of the opening.
    async fn present(&self, ticket: &str, handshake: &Handshake) -> Result<Identity, Rejection> {
        let hash = hash(ticket)?;
        if handshake.is_deferring() {
            match self.store.peek(hash).await {
                Err(TicketError::Unsupported) => {}
                peeked => {
                    let identity = good(peeked)?;
                    let tickets = self.clone();
                    handshake.defer(Box::pin(async move { good(tickets.store.take(hash).await).map(drop) }));
                    return Ok(identity);
                }
            }
        }
        good(self.store.take(hash).await)
    }
}

fn hash(ticket: &str) -> Result<TicketHash, Rejection> {
    let mut secret = [0; 32];
    // A longer string does not fit into `secret` and is an error, so no long string is decoded.
    match URL_SAFE_NO_PAD.decode_slice(ticket, &mut secret) {
        Ok(32) => Ok(TicketHash::of(&secret)),
        _ => Err(Rejection::Invalid),
    }
}

/// The identity from a store, unless it has expired.
fn good(found: Result<Option<Identity>, TicketError>) -> Result<Identity, Rejection> {
    let identity = found.map_err(|error| {
        let cause = match error {
            TicketError::Unavailable(cause) => cause.to_string(),
            error @ (TicketError::Full | TicketError::Unsupported) => error.to_string(),
        };
        tracing::error!(error = %Excerpt(&cause), "ticket store unavailable");
        Rejection::Unavailable
    })?;
    identity.filter(|identity| !identity.is_over()).ok_or(Rejection::Expired)
}

impl Default for Tickets {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

/// A ticket for a client: 43 characters that are valid anywhere in a URL. It is serialized as a string.
///
/// A ticket is a credential. [`Debug`] does not show it.
#[derive(Clone)]
pub struct Ticket(String);

impl Ticket {
    /// The ticket as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Ticket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").finish_non_exhaustive()
    }
}

/// An extractor that accepts tickets and uses them up.
///
/// A ticket is used up after all other checks. If an opening is refused for another reason, for example too many sessions of the
/// key, the ticket stays valid, provided that the store can [peek](TicketStore::peek).
///
/// The ticket is in `?ticket=`. Do not add a [source](TicketKey::sources) that also holds another credential, for example the path:
/// this extractor takes that credential for a ticket and refuses it, so the next extractor of [`or`](KeyExtractor::or) never sees
/// it.
///
/// ```
/// use keywire::auth::{RawKey, TicketKey, Tickets};
/// use keywire::{Hub, KeyExtractor};
///
/// let tickets = Tickets::new();
/// let keys = TicketKey::new(&tickets).or(RawKey::from_header("x-forwarded-user"));
/// let hub = Hub::builder(keys).build();
/// # let _ = hub;
/// ```
#[derive(Debug, Clone)]
pub struct TicketKey {
    tickets: Tickets,
    sources: Cow<'static, [CredentialSource]>,
}

impl TicketKey {
    /// An extractor for these tickets.
    #[must_use]
    pub fn new(tickets: &Tickets) -> Self {
        const QUERY: &[CredentialSource] = &[CredentialSource::Query(Cow::Borrowed("ticket"))];
        Self { tickets: tickets.clone(), sources: Cow::Borrowed(QUERY) }
    }

    /// Places for a ticket. Default: `?ticket=`. A request with two tickets is refused.
    #[must_use]
    pub fn sources(mut self, sources: impl IntoIterator<Item = CredentialSource>) -> Self {
        self.sources = sources.into_iter().collect();
        self
    }
}

#[async_trait]
impl KeyExtractor for TicketKey {
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
        let ticket = read_only(&self.sources, handshake)?;
        self.tickets.present(&ticket.ok_or(Rejection::Missing)?, handshake).await
    }

    /// Uses up a ticket that the client sends.
    async fn refresh(&self, ticket: &str) -> Result<Identity, Rejection> {
        self.tickets.take(ticket).await
    }
}

#[cfg(test)]
mod tests;

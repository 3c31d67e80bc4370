//! Tickets: credentials for one time, which may stand in a URL.

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

/// Issues tickets, each of which opens one connection.
///
/// A URL ends up in the logs of proxies and servers, so a token that is good for an hour should not stand in one. A
/// ticket may: it is good for 30 s and for a single use. A page fetches one from a route that knows who asks, by
/// whatever the application's other routes know it by, and opens the socket with it:
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
/// /// `POST /ticket`, behind a proxy that has checked the user. Anything that knows who asks will do here.
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
/// Who may ask for tickets without end fills the store for everybody else, so the route takes them from users that
/// it knows, and [`MemoryTickets`] keeps a few for each.
///
/// A clone issues from the same store.
#[derive(Clone)]
pub struct Tickets {
    store: Arc<dyn TicketStore>,
    lifetime: Duration,
}

impl Tickets {
    /// Tickets in this process's memory, good for 30 s.
    #[must_use]
    pub fn new() -> Self {
        Self::in_store(MemoryTickets::new())
    }

    /// Tickets in a store that other nodes know too, good for 30 s.
    #[must_use]
    pub fn in_store(store: impl TicketStore) -> Self {
        Self { store: Arc::new(store), lifetime: Duration::from_secs(30) }
    }

    /// How long a ticket is good: 30 s by default, which is time enough for a page that fetches it when it needs it.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// A ticket by which one connection can be opened as `identity`. If the identity expires, so will the session.
    ///
    /// # Errors
    ///
    /// [`TicketError::Full`] if too many wait to be used, [`TicketError::Unavailable`] if the store is.
    ///
    /// # Cancel safety
    ///
    /// A ticket that nobody knows may be left in the store until it is over.
    pub async fn issue(&self, identity: Identity) -> Result<Ticket, TicketError> {
        let mut secret = [0; 32];
        getrandom::getrandom(&mut secret).map_err(|error| TicketError::Unavailable(Box::new(error)))?;
        let ticket = Ticket(URL_SAFE_NO_PAD.encode(secret));
        self.store.put(TicketHash::of(&secret), identity, self.lifetime).await?;
        Ok(ticket)
    }

    /// Uses a ticket up.
    ///
    /// # Errors
    ///
    /// [`Rejection::Invalid`] if it cannot be a ticket. [`Rejection::Expired`] if it is over, used, or was never
    /// issued, of which nobody is told which: with a new one the client may come back. [`Rejection::Unavailable`] if
    /// the store is.
    ///
    /// # Cancel safety
    ///
    /// The ticket may have been used up.
    pub async fn take(&self, ticket: &str) -> Result<Identity, Rejection> {
        good(self.store.take(hash(ticket)?).await)
    }

    /// Looks whose a ticket is, and uses it up once nothing else speaks against the opening.
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
    // One more byte than a ticket has is an error as well, so nothing long is ever decoded.
    match URL_SAFE_NO_PAD.decode_slice(ticket, &mut secret) {
        Ok(32) => Ok(TicketHash::of(&secret)),
        _ => Err(Rejection::Invalid),
    }
}

/// The identity that a store has found, if it still lasts.
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

/// What is handed to a client: 43 characters that can stand anywhere in a URL. It becomes a text in JSON.
///
/// It is a credential: [`Debug`] does not show it.
#[derive(Clone)]
pub struct Ticket(String);

impl Ticket {
    /// The text that the client presents.
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

/// Lets in whoever has a ticket, and uses it up.
///
/// A ticket is used up last: an opening that is refused for another reason, such as too many sessions of the key, leaves
/// it good, where the store can [peek](TicketStore::peek).
///
/// The ticket stands in `?ticket=`. Where it may also stand in a place of another credential, in the path for
/// example, this extractor takes that for a ticket and refuses it, so no other can follow it by
/// [`or`](KeyExtractor::or) there.
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
    /// Takes the tickets that are issued here.
    #[must_use]
    pub fn new(tickets: &Tickets) -> Self {
        const QUERY: &[CredentialSource] = &[CredentialSource::Query(Cow::Borrowed("ticket"))];
        Self { tickets: tickets.clone(), sources: Cow::Borrowed(QUERY) }
    }

    /// Where tickets stand, in place of `?ticket=`. Two of them are refused.
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

    /// A new ticket, which is used up by this.
    async fn refresh(&self, ticket: &str) -> Result<Identity, Rejection> {
        self.tickets.take(ticket).await
    }
}

#[cfg(test)]
mod tests;

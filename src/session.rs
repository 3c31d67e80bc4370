//! Sessions: the handle of one live connection, and how it ends.

mod detached;
mod extensions;
mod following;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

pub use self::detached::{Sent, SentFrame};
pub use self::extensions::Extensions;
pub use crate::close::{Closed, ClosedBy};
pub use crate::delivery::{InvalidSessionId, SessionId};
use crate::delivery::{Order, Outcome, Recipients, Target};
use crate::follow::{FollowFrom, Follower};
use crate::frame::Frame;
use crate::hub::Hub;
use crate::key::{Identity, Key};
use crate::limits::Config;
use crate::message::Push;
use crate::metrics::Metrics;
use crate::outbox::{Outbox, Owned, Owner};
use crate::peer::CompactPeer;
pub use crate::websocket::{CloseCode, InvalidCloseCode};

/// A handle on one live connection of a key: one tab, one device.
///
/// A clone copies a pointer. A handle that is kept after the connection ended does no harm: what is sent to
/// it is [`Outcome::Gone`].
#[derive(Clone)]
pub struct Session(Arc<Owned<Inner>>);

struct Inner {
    id: SessionId,
    key: Key,
    state: Mutex<State>,
    peer: Option<CompactPeer>,
    /// Whether the client asked for `keywire.v1`, and so understands its close codes.
    speaks_v1: bool,
    /// Whether permessage-deflate was negotiated.
    compresses: bool,
    /// Whether it holds a session permit, which is released once.
    has_permit: AtomicBool,
    /// Counts the pongs of the client, whoever pinged.
    pongs: AtomicU8,
    /// What `kw:refresh` has used up of its rate.
    refreshes: AtomicU32,
    /// Its place in the log of its key, if it follows that.
    follower: Option<Box<Mutex<Follower>>>,
    hub: Hub,
}

impl Owner for Inner {
    fn config(&self) -> &Config {
        self.hub.config()
    }

    fn metrics(&self) -> &Metrics {
        self.hub.metrics()
    }
}

/// What changes while the session lives, beside the outbox. No code of the application's runs under its lock.
struct State {
    /// `None` where there is nothing in it but the key.
    identity: Option<Arc<Identity>>,
    /// One word while there are none. Each value is an `Arc`.
    extensions: http::Extensions,
}

impl Session {
    #[cfg(test)]
    pub(crate) fn new(
        hub: Hub,
        identity: Identity,
        peer: Option<SocketAddr>,
        speaks_v1: bool,
        compresses: bool,
    ) -> Self {
        Self::with_id(SessionId::next(), hub, identity, peer, speaks_v1, compresses, None)
    }

    /// A session whose id was drawn when its opening began.
    pub(crate) fn with_id(
        id: SessionId,
        hub: Hub,
        identity: Identity,
        peer: Option<SocketAddr>,
        speaks_v1: bool,
        compresses: bool,
        follow: Option<FollowFrom>,
    ) -> Self {
        Self(Arc::new(Owned::new(Inner {
            id,
            key: identity.key().clone(),
            state: Mutex::new(State { identity: kept(identity), extensions: http::Extensions::new() }),
            peer: peer.map(CompactPeer::from),
            speaks_v1,
            compresses,
            has_permit: AtomicBool::new(false),
            pongs: AtomicU8::new(0),
            refreshes: AtomicU32::new(0),
            follower: follow.map(|from| Box::new(Mutex::new(Follower::new(from)))),
            hub,
        })))
    }

    /// What tells this session apart from all others, on other nodes too.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// Whose session it is.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.0.key
    }

    /// All that the extractor found out.
    #[must_use]
    pub fn identity(&self) -> Arc<Identity> {
        let identity = self.state().identity.clone();
        identity.unwrap_or_else(|| Arc::new(Identity::new(self.key().clone())))
    }

    /// Puts a later credential of the same key in the place of the present one. One that ends earlier changes
    /// nothing: perhaps the client has sent an older one again.
    pub(crate) fn renew(&self, identity: Identity) {
        let mut state = self.state();
        let present = &mut state.identity;
        let Some(expires_at) = present.as_ref().and_then(|present| present.expires_at()) else { return };
        if identity.expires_at().is_none_or(|later| later >= expires_at) {
            *present = kept(identity);
        }
    }

    /// When the credential ends, if it does.
    pub(crate) fn expires_at(&self) -> Option<SystemTime> {
        self.state().identity.as_ref()?.expires_at()
    }

    /// The time until the credential expires, if it does.
    pub(crate) fn time_to_expiry(&self) -> Option<Duration> {
        Some(self.expires_at()?.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// The client's address: past the proxies that are trusted ([`TrustedProxies`](crate::limits::TrustedProxies)), and an IPv4
    /// address always as such. `None` where the transport has no addresses, or where a trusted proxy does not say where
    /// the client is: then it is not known, and must not be taken for an address that is allowed more than others. The scope of a link-local address is left out.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.0.peer.map(SocketAddr::from)
    }

    /// The hub it is connected to: the way to everybody else.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.0.hub
    }

    /// Sends to this session alone. Does not wait: the message is queued, or the session was too slow and is
    /// being closed, or it is gone.
    pub fn send(&self, push: Push) -> Outcome {
        let frame = Frame::push(&push);
        // A frame that nobody else gets needs no count of its owners.
        if self.0.compresses { self.send_frame(&frame) } else { self.send_plain(frame) }
    }

    /// [`Session::send`] for what is encoded already, or is no push.
    pub fn send_frame(&self, frame: &Frame) -> Outcome {
        if self.0.compresses {
            let config = self.0.hub.config();
            return self.push(frame.compressed(config.compression).clone(), frame.count());
        }
        self.send_plain(frame.clone())
    }

    /// The reply to a message of this session's. It is sent even if the session is ending, when the message came before
    /// the end. For the connection's own task.
    pub(crate) fn reply(&self, frame: Frame) -> Outcome {
        let (config, messages) = (self.hub().config(), frame.count());
        // A frame that nobody else gets needs no count of its owners.
        let bytes = match self.0.compresses {
            true => frame.compressed(config.compression).clone(),
            false => frame.into_bytes(),
        };
        let len = bytes.len();
        let outcome = self.0.reply(bytes, messages);
        self.hub().metrics().sent(outcome, messages, len);
        outcome
    }

    fn send_plain(&self, frame: Frame) -> Outcome {
        let messages = frame.count();
        self.push(frame.into_bytes(), messages)
    }

    fn push(&self, bytes: Bytes, messages: usize) -> Outcome {
        let len = bytes.len();
        let outcome = self.0.push(bytes, messages);
        self.hub().metrics().sent(outcome, messages, len);
        outcome
    }

    /// Ends the session, behind what has been sent to it. The client comes back or not as the code tells it.
    pub fn close(&self, code: CloseCode, reason: impl Into<Box<str>>) -> Outcome {
        let closed = match code {
            // Only those who asked for it know what 4005 means.
            CloseCode::DRAIN if !self.0.speaks_v1 => Closed::by_server(CloseCode::GOING_AWAY, ""),
            code => Closed::by_server(code, reason),
        };
        self.0.outbox.close(closed)
    }

    /// Carries an order out: what a [`SessionStore`](crate::SessionStore) does for each recipient.
    pub fn apply(&self, order: &Order) -> Outcome {
        match order {
            Order::Deliver(frame) => self.send_frame(frame),
            Order::Keep(entry) => self.keep(entry),
            Order::Close(code, reason) => self.close(*code, reason.clone()),
        }
    }

    /// Whether messages are still taken.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.outbox.is_open()
    }

    pub(crate) fn has_permit(&self) -> &AtomicBool {
        &self.0.has_permit
    }

    /// The client has sent a pong: whoever asked whether it lives has the answer.
    pub(crate) fn answered(&self) {
        self.0.outbox.answered();
        self.0.pongs.fetch_add(1, Ordering::Relaxed);
        self.hub().answers().notify_waiters();
    }

    /// How many pongs have come, which begins again at 0 after 255.
    pub(crate) fn pongs(&self) -> u8 {
        self.0.pongs.load(Ordering::Relaxed)
    }

    pub(crate) fn refreshes(&self) -> &AtomicU32 {
        &self.0.refreshes
    }

    pub(crate) fn compresses(&self) -> bool {
        self.0.compresses
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The identity, if it says more than the key, of which the session has a copy anyway.
fn kept(identity: Identity) -> Option<Arc<Identity>> {
    (!identity.is_bare()).then(|| Arc::new(identity))
}

impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Session {}

impl Hash for Session {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

/// Recipients by their handles.
impl Recipients {
    /// One session.
    #[must_use]
    pub fn session(session: &Session) -> Self {
        Target::Session(session.key().clone(), session.id()).into()
    }

    /// The same without this session.
    #[must_use]
    pub fn except(mut self, session: &Session) -> Self {
        self.except = Some(session.id());
        self
    }

    /// Whether `session` is one of them.
    #[must_use]
    #[inline]
    pub fn includes(&self, session: &Session) -> bool {
        self.match_id(session.key(), session.id())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.0.id).field("key", &self.0.key).finish_non_exhaustive()
    }
}

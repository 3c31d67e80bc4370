//! Sessions: handles of live connections.

mod detached;
mod extensions;
mod following;
mod groups;
mod recipients;
mod requests;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

pub use self::detached::{Sent, SentFrame};
pub use self::extensions::Extensions;
pub use self::groups::{JoinError, Joined, Left};
pub use self::requests::{Answered, Answers};
pub(crate) use self::requests::{Elsewhere, Report, Request};
use crate::buffer_pool::{self, SHORT};
pub use crate::close::{Closed, ClosedBy};
use crate::deadline::time_of_day;
pub use crate::delivery::{Answer, InvalidSessionId, RequestError, SessionId};
use crate::delivery::{Order, Outcome};
use crate::follow::{FollowFrom, Follower};
use crate::frame::Frame;
pub use crate::group::{Group, InvalidGroup};
use crate::handshake::Dialect;
use crate::hub::Hub;
use crate::key::{Identity, Key};
use crate::limits::Config;
use crate::message::Push;
use crate::metrics::Metrics;
use crate::outbox::{Frames, Outbox, Owned, Owner};
use crate::peer::CompactPeer;
use crate::timer::Timer;
pub use crate::websocket::{CloseCode, InvalidCloseCode};

/// Handle of one live connection of a key, for example of one browser tab.
///
/// A clone copies a pointer. A handle may outlive the connection: sending then returns [`Outcome::Gone`].
#[derive(Clone)]
pub struct Session(Arc<Owned<Inner>>);

struct Inner {
    hub: Hub,
    key: Key,
    /// What the client understands.
    dialect: Dialect,
    /// Whether permessage-deflate was negotiated.
    compresses: bool,
    /// Whether the session holds a session permit. The permit is released once.
    has_permit: AtomicBool,
    /// Number of the client's pongs.
    pongs: AtomicU8,
    /// See [`Session::set_slot`].
    slot: AtomicU32,
    seldom: Box<Seldom>,
}

/// What a plain message does not need. It fits into the second gap that glibc leaves for each session, beside the socket's entry in
/// tokio's driver: 50 bytes less.
struct Seldom {
    id: SessionId,
    state: Mutex<State>,
    peer: Option<CompactPeer>,
    /// The used part of the rate of `kw:refresh`.
    refreshes: AtomicU32,
    /// Position in the log of the key, if the session follows the log.
    follower: Option<Box<Mutex<Follower>>>,
    /// Wakes the connection's task for the next of its timeouts.
    timer: Timer,
}

impl Owner for Inner {
    fn config(&self) -> &Config {
        self.hub.config()
    }

    fn metrics(&self) -> &Metrics {
        self.hub.metrics()
    }
}

/// Mutable state, besides the outbox. No application code runs under its lock.
struct State {
    /// `None` if the identity has neither an expiry nor values.
    identity: Option<Arc<Identity>>,
    /// One word if empty. Each value is an `Arc`.
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
        let dialect = if speaks_v1 { Dialect::V1 } else { Dialect::Plain };
        Self::with_id(SessionId::next(), hub, identity, peer, dialect, compresses, None)
    }

    /// A session with the id of its opening.
    pub(crate) fn with_id(
        id: SessionId,
        hub: Hub,
        identity: Identity,
        peer: Option<SocketAddr>,
        dialect: Dialect,
        compresses: bool,
        follow: Option<FollowFrom>,
    ) -> Self {
        Self(Arc::new(Owned::new(Inner {
            hub,
            key: identity.key().clone(),
            dialect,
            compresses,
            has_permit: AtomicBool::new(false),
            pongs: AtomicU8::new(0),
            slot: AtomicU32::new(0),
            seldom: Box::new(Seldom {
                id,
                state: Mutex::new(State { identity: kept(identity), extensions: http::Extensions::new() }),
                peer: peer.map(CompactPeer::from),
                refreshes: AtomicU32::new(0),
                follower: follow.map(|from| Box::new(Mutex::new(Follower::new(from)))),
                timer: Timer::default(),
            }),
        })))
    }

    /// Loads the session into the cache, see [`Outbox::touch`].
    pub(crate) fn touch(&self) {
        self.0.outbox.touch();
    }

    /// The id of this session, unique on all nodes.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.seldom.id
    }

    /// The key of this session.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.0.key
    }

    /// The identity from the extractor, or from the last refresh.
    #[must_use]
    pub fn identity(&self) -> Arc<Identity> {
        let identity = self.state().identity.clone();
        identity.unwrap_or_else(|| Arc::new(Identity::new(self.key().clone())))
    }

    /// Replaces the identity by that of a newer credential of the same key. Ignores a credential that expires earlier, since the
    /// client may have sent an old one again.
    pub(crate) fn renew(&self, identity: Identity) {
        let mut state = self.state();
        let present = &mut state.identity;
        let Some(expires_at) = present.as_ref().and_then(|present| present.expires_at()) else { return };
        if identity.expires_at().is_none_or(|later| later >= expires_at) {
            let former = mem::replace(present, kept(identity));
            // The values in it are the application's, and so is what their end does.
            drop(state);
            drop(former);
        }
    }

    /// The expiry of the credential, if it has one.
    pub(crate) fn expires_at(&self) -> Option<SystemTime> {
        self.state().identity.as_ref()?.expires_at()
    }

    /// The time until the credential expires, if it has an expiry.
    pub(crate) fn time_to_expiry(&self) -> Option<Duration> {
        Some(self.expires_at()?.duration_since(time_of_day()).unwrap_or_default())
    }

    /// The client's address, resolved behind [`TrustedProxies`](crate::limits::TrustedProxies). IPv4-mapped IPv6 addresses are shown
    /// as IPv4. The scope of a link-local address is left out. `None` if the transport has no addresses, or if a trusted
    /// proxy does not name the client: do not give an unknown address more rights than others.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.0.seldom.peer.map(SocketAddr::from)
    }

    /// The hub of this session, to reach other sessions.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.0.hub
    }

    /// Sends to this session only, without waiting. The [`Outcome`] tells whether the message was queued, the client is too slow, or
    /// the session has ended.
    pub fn send(&self, push: Push) -> Outcome {
        self.push(self.encode(&push), 1)
    }

    /// [`Session::send`] for a message that is already encoded or is not a push.
    pub fn send_frame(&self, frame: &Frame) -> Outcome {
        let bytes = match self.0.compresses {
            true => frame.compressed(self.hub().config().compression),
            false => frame.bytes(),
        };
        self.push_copy(bytes, frame.count(), || bytes.clone().into())
    }

    /// [`Session::apply`] for an order that no other session gets: one short message is copied, not shared.
    pub(crate) fn apply_alone(&self, order: &Order) -> Outcome {
        match order {
            Order::Deliver(frame)
                if frame.count() == 1 && !self.0.compresses && frame.as_bytes().len() <= SHORT =>
            {
                self.push_copy(frame.as_bytes(), 1, || Frames::copy(frame.as_bytes()))
            }
            order => self.apply(order),
        }
    }

    /// The frame of a push for this session alone. A short one needs no allocation.
    fn encode(&self, push: &Push) -> Frames {
        if self.0.compresses {
            return Frame::push(push).compressed(self.hub().config().compression).clone().into();
        }
        // Its header has four bytes at most.
        if push.plain_len() + 4 > SHORT {
            return Frame::push(push).into_bytes().into();
        }
        let mut buffer = buffer_pool::take();
        Frame::write_text(&mut buffer, |out| push.write(out));
        buffer.into()
    }

    /// [`Session::reply`] with a push.
    pub(crate) fn reply_push(&self, push: &Push) -> Outcome {
        self.reply_frames(self.encode(push), 1)
    }

    /// Sends the reply to a message of this session. Works while the session ends too, if the message came before the end. For the
    /// connection's own task.
    pub(crate) fn reply(&self, frame: Frame) -> Outcome {
        let messages = frame.count();
        // A frame for one session needs no reference count.
        let bytes = match self.0.compresses {
            true => frame.compressed(self.hub().config().compression).clone(),
            false => frame.into_bytes(),
        };
        self.reply_frames(bytes.into(), messages)
    }

    /// [`Session::reply`] with text that is framed already, in a pooled buffer.
    #[inline(always)]
    pub(crate) fn reply_text(&self, frame: Vec<u8>) -> Outcome {
        match self.0.compresses {
            true => self.reply(Frame::several(frame.into(), 1)),
            false => self.reply_frames(frame.into(), 1),
        }
    }

    #[inline(always)]
    fn reply_frames(&self, frames: Frames, messages: usize) -> Outcome {
        let len = frames.len();
        let outcome = self.0.reply(frames, messages);
        self.hub().metrics().sent(outcome, messages, len);
        outcome
    }

    fn push(&self, frames: Frames, messages: usize) -> Outcome {
        let len = frames.len();
        let outcome = self.0.push(frames, messages);
        self.hub().metrics().sent(outcome, messages, len);
        outcome
    }

    #[inline(always)]
    fn push_copy(&self, bytes: &[u8], messages: usize, frames: impl FnOnce() -> Frames) -> Outcome {
        let outcome = self.0.push_copy(bytes, messages, frames);
        self.hub().metrics().sent(outcome, messages, bytes.len());
        outcome
    }

    /// Ends the session after the messages in its queue. The close code tells the client whether to come back.
    pub fn close(&self, code: CloseCode, reason: impl Into<Box<str>>) -> Outcome {
        let closed = match code {
            // Only clients that offered `keywire.v1` understand 4005.
            CloseCode::DRAIN if self.0.dialect == Dialect::Plain => {
                Closed::by_server(CloseCode::GOING_AWAY, "")
            }
            code => Closed::by_server(code, reason),
        };
        self.0.outbox.close(closed)
    }

    /// Applies an order, as a [`SessionStore`](crate::SessionStore) does for each recipient.
    pub fn apply(&self, order: &Order) -> Outcome {
        match order {
            Order::Deliver(frame) => self.send_frame(frame),
            Order::Keep(entry) => self.keep(entry),
            Order::Close(code, reason) => self.close(*code, reason.clone()),
            Order::CatchUp => self.catch_up(),
        }
    }

    /// Whether the session still accepts messages.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.outbox.is_open()
    }

    pub(crate) fn has_permit(&self) -> &AtomicBool {
        &self.0.has_permit
    }

    /// Records a pong of the client, and notifies the waiters for a sign of life. Returns whether they have asked for it.
    pub(crate) fn answered(&self) -> bool {
        let probed = self.0.outbox.answered();
        self.0.pongs.fetch_add(1, Ordering::Relaxed);
        self.hub().answers().notify_waiters();
        probed
    }

    /// Number of the client's pongs. Wraps after 255.
    pub(crate) fn pongs(&self) -> u8 {
        self.0.pongs.load(Ordering::Relaxed)
    }

    pub(crate) fn refreshes(&self) -> &AtomicU32 {
        &self.0.seldom.refreshes
    }

    pub(crate) fn timer(&self) -> &Timer {
        &self.0.seldom.timer
    }

    /// Differs from that of any other session while this handle is held. Known without a look at the session.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Keeps where a store has the session, so that the store needs no table. A session can be in several stores, so it is a hint.
    pub(crate) fn set_slot(&self, slot: usize) {
        self.0.slot.store(u32::try_from(slot).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    pub(crate) fn slot(&self) -> usize {
        self.0.slot.load(Ordering::Relaxed) as usize
    }

    pub(crate) fn compresses(&self) -> bool {
        self.0.compresses
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.seldom.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The identity, unless it is only the key: the session already has the key.
fn kept(identity: Identity) -> Option<Arc<Identity>> {
    (!identity.is_bare()).then(|| Arc::new(identity))
}

impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        self.0.seldom.id == other.0.seldom.id
    }
}

impl Eq for Session {}

impl Hash for Session {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.seldom.id.hash(state);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.0.seldom.id)
            .field("key", &self.0.key)
            .finish_non_exhaustive()
    }
}

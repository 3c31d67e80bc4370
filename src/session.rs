//! One live connection, as everybody but its own task sees it.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use serde::{Serialize, Serializer};

use crate::close::Closed;
use crate::frame::Frame;
use crate::hub::Hub;
use crate::key::{Identity, Key};
use crate::message::Push;
use crate::outbox::Outbox;
use crate::store::{Order, Outcome};
use crate::websocket::CloseCode;

/// A handle on one live connection of a key: one tab, one device.
///
/// A clone copies a pointer. A handle that is kept after the connection ended does no harm: what is sent to
/// it is [`Outcome::Gone`].
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    id: SessionId,
    key: Key,
    /// `None` where there is nothing in it but the key.
    identity: Mutex<Option<Arc<Identity>>>,
    peer: Option<SocketAddr>,
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
    hub: Hub,
    outbox: Outbox,
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
        Self::with_id(SessionId::next(), hub, identity, peer, speaks_v1, compresses)
    }

    /// A session whose id was drawn when its opening began.
    pub(crate) fn with_id(
        id: SessionId,
        hub: Hub,
        identity: Identity,
        peer: Option<SocketAddr>,
        speaks_v1: bool,
        compresses: bool,
    ) -> Self {
        Self(Arc::new(Inner {
            id,
            key: identity.key().clone(),
            identity: Mutex::new(kept(identity)),
            peer,
            speaks_v1,
            compresses,
            has_permit: AtomicBool::new(false),
            pongs: AtomicU8::new(0),
            refreshes: AtomicU32::new(0),
            hub,
            outbox: Outbox::default(),
        }))
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
        let identity = self.lock_identity().clone();
        identity.unwrap_or_else(|| Arc::new(Identity::new(self.key().clone())))
    }

    /// Puts a later credential of the same key in the place of the present one. One that ends earlier changes
    /// nothing: perhaps the client has sent an older one again.
    pub(crate) fn renew(&self, identity: Identity) {
        let mut present = self.lock_identity();
        let Some(expires_at) = present.as_ref().and_then(|present| present.expires_at()) else { return };
        if identity.expires_at().is_none_or(|later| later >= expires_at) {
            *present = kept(identity);
        }
    }

    /// When the credential ends, if it does.
    pub(crate) fn expires_at(&self) -> Option<SystemTime> {
        self.lock_identity().as_ref()?.expires_at()
    }

    /// The client's address: past the proxies that are trusted ([`TrustedProxies`](crate::TrustedProxies)), and an IPv4
    /// address always as such. `None` where the transport has no addresses, or where a trusted proxy does not say where
    /// the client is: then it is not known, and must not be taken for an address that is allowed more than others.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.0.peer
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
            return self.push(frame.compressed(config.compression).clone(), frame.messages());
        }
        self.send_plain(frame.clone())
    }

    /// The reply to a message of this session's. It is sent even if the session is ending, when the message came before
    /// the end. For the connection's own task.
    pub(crate) fn reply(&self, frame: Frame) -> Outcome {
        let (config, messages) = (self.hub().config(), frame.messages());
        // A frame that nobody else gets needs no count of its owners.
        let bytes = match self.0.compresses {
            true => frame.compressed(config.compression).clone(),
            false => frame.into_bytes(),
        };
        let len = bytes.len();
        let outcome = self.0.outbox.reply(bytes, messages, config, self);
        self.hub().metrics().sent(outcome, messages, len);
        outcome
    }

    fn send_plain(&self, frame: Frame) -> Outcome {
        let messages = frame.messages();
        self.push(frame.into_bytes(), messages)
    }

    fn push(&self, bytes: Bytes, messages: usize) -> Outcome {
        let (hub, len) = (self.hub(), bytes.len());
        let outcome = self.0.outbox.push(bytes, messages, hub.config(), self);
        hub.metrics().sent(outcome, messages, len);
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
            Order::Close(code, reason) => self.close(*code, reason.clone()),
            Order::Enlist(roll) => {
                roll.add(self);
                Outcome::Accepted
            }
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

    fn lock_identity(&self) -> MutexGuard<'_, Option<Arc<Identity>>> {
        self.0.identity.lock().unwrap_or_else(PoisonError::into_inner)
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

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.0.id).field("key", &self.0.key).finish_non_exhaustive()
    }
}

/// What tells one session apart from all others, on other nodes and after a restart too.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    /// Drawn at random when the process starts.
    process: u64,
    number: u64,
}

impl SessionId {
    pub(crate) const MIN: Self = Self { process: 0, number: 0 };
    pub(crate) const MAX: Self = Self { process: u64::MAX, number: u64::MAX };

    /// One id more. Within a process they rise.
    pub(crate) fn next() -> Self {
        static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one("keywire"));
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        Self { process: *PROCESS, number: NUMBER.fetch_add(1, Ordering::Relaxed) }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.process, self.number)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

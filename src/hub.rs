//! The hub: what a backend holds on to.

mod identify;

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::Notify;

use crate::app_call::{CallError, call_app};
use crate::config::Config;
use crate::delivery::{Delivery, Order, Recipients};
use crate::drain::Drain;
use crate::excerpt::Excerpt;
use crate::extract::KeyExtractor;
use crate::frame::Frame;
use crate::handler::{MessageHandler, Switch};
use crate::key::{InvalidKey, Key};
use crate::limits::Admission;
use crate::metrics::{Metrics, Stopwatch};
use crate::origin::Origins;
use crate::refusal::RefusalLog;
use crate::session::Session;
use crate::store::{Counts, MemoryStore, SessionStore};
use crate::turns::Turns;
use crate::underway::Underway;
use crate::websocket::CloseCode;

/// Every live connection of a backend, and the way to reach them.
///
/// A clone copies a pointer; put one into the state of whatever has something to say. There are no type
/// parameters: what was given to the builder is behind it.
///
/// ```
/// use keywire::{Hub, Push, RawKey};
///
/// # async fn example() {
/// let hub = Hub::builder().keys(RawKey::from_path()).build();
///
/// // Somewhere else, any time later:
/// let delivery = hub.send_to("alice", Push::message("your build is green")).await;
/// println!("{} sessions of alice took it", delivery.delivered);
/// # }
/// ```
///
/// # Cancel safety
///
/// A sending future that is dropped before its end may have reached some of the recipients.
#[derive(Clone)]
pub struct Hub(Arc<Core>);

struct Core {
    keys: Arc<dyn KeyExtractor>,
    handler: Arc<dyn MessageHandler>,
    store: Arc<dyn SessionStore>,
    origins: Origins,
    admission: Admission,
    config: Config,
    metrics: Metrics,
    drain: Drain,
    underway: Underway,
    refusal_log: RefusalLog,
    /// Told of each pong.
    answers: Notify,
    turns: Turns,
}

impl Hub {
    /// Begins a hub. [`HubBuilder::keys`] must be given, the rest has defaults.
    pub fn builder() -> HubBuilder {
        HubBuilder::default()
    }

    /// Sends to all sessions of a key: one push, or several (`[Push; N]`, `Vec<Push>`) in their order and in one write.
    ///
    /// A string that is no valid key reaches no session: see [`Delivery::invalid_key`].
    pub async fn send_to<K>(&self, key: K, message: impl Into<Frame>) -> Delivery
    where
        K: TryInto<Key>,
        K::Error: Into<InvalidKey>,
    {
        match valid(key) {
            Ok(key) => self.send(&Recipients::key(key), message).await,
            Err(error) => Delivery::to_invalid_key(error),
        }
    }

    /// Sends to all sessions: one push or several, see [`Hub::send_to`].
    pub async fn broadcast(&self, message: impl Into<Frame>) -> Delivery {
        self.send(&Recipients::everyone(), message).await
    }

    /// Sends to the sessions that `to` includes: one push or several, see [`Hub::send_to`]. Each push is encoded once for
    /// all of them.
    pub async fn send(&self, to: &Recipients, message: impl Into<Frame>) -> Delivery {
        self.dispatch(to, &Order::Deliver(message.into())).await
    }

    /// Closes all sessions of a key with 4505, after which its clients do not come back. That includes sessions whose
    /// opening has begun: after this returns, none of them enters.
    pub async fn disconnect<K>(&self, key: K) -> Delivery
    where
        K: TryInto<Key>,
        K::Error: Into<InvalidKey>,
    {
        match valid(key) {
            Ok(key) => {
                self.close_sessions(&Recipients::key(key), CloseCode::DISCONNECTED, "disconnected").await
            }
            Err(error) => Delivery::to_invalid_key(error),
        }
    }

    /// Closes the sessions that `of` includes, with a close code and a reason of the application's. That includes sessions
    /// whose opening has begun.
    pub async fn close_sessions(
        &self,
        of: &Recipients,
        code: CloseCode,
        reason: impl Into<Box<str>>,
    ) -> Delivery {
        self.dispatch(of, &Order::Close(code, reason.into())).await
    }

    /// Gives an order to the sessions that `to` includes: what all of the above do.
    pub async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
        let since = Stopwatch::start();
        // First: a session that enters the store in between is met there.
        let underway = self.underway().apply(to, order);
        let dispatched = self.ask_store("dispatch", || self.store().dispatch(to, order)).await;
        self.metrics().dispatched(since);
        let mut delivery = dispatched.unwrap_or_else(|_| Delivery::unknown());
        delivery.delivered += underway.delivered;
        delivery
    }

    /// The live sessions of a key on this node, the oldest first. Empty if the store fails or the key is invalid (both are
    /// logged).
    pub async fn sessions<K>(&self, key: K) -> Vec<Session>
    where
        K: TryInto<Key>,
        K::Error: Into<InvalidKey>,
    {
        match valid(key) {
            Ok(key) => self.sessions_of(&Recipients::key(key)).await.unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    pub(crate) async fn sessions_of(&self, of: &Recipients) -> Result<Vec<Session>, CallError> {
        self.ask_store("sessions", || self.store().sessions(of)).await
    }

    /// The number of sessions and keys of this node. 0 if the store fails (logged).
    pub async fn counts(&self) -> Counts {
        self.ask_store("counts", || self.store().counts()).await.unwrap_or_default()
    }

    pub(crate) fn keys(&self) -> &dyn KeyExtractor {
        &*self.0.keys
    }

    pub(crate) fn handler(&self) -> &dyn MessageHandler {
        &*self.0.handler
    }

    /// The store itself: its `Arc` is a store too, and each of its calls would make one more future.
    pub(crate) fn store(&self) -> &dyn SessionStore {
        &*self.0.store
    }

    /// Calls the store, with a time limit and its panics caught. Logs a failure.
    pub(crate) fn ask_store<F: Future + Unpin>(
        &self,
        call: &'static str,
        begin: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<F::Output, CallError>> {
        call_app(self.config().store_timeout, begin).inspect(move |done| {
            if let Err(error) = done {
                let failure = error.to_string();
                tracing::error!(call, failure = %Excerpt(&failure), "the session store failed");
            }
        })
    }

    pub(crate) fn origins(&self) -> &Origins {
        &self.0.origins
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.0.admission
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(crate) fn drain(&self) -> &Drain {
        &self.0.drain
    }

    pub(crate) fn underway(&self) -> &Underway {
        &self.0.underway
    }

    pub(crate) fn refusal_log(&self) -> &RefusalLog {
        &self.0.refusal_log
    }

    pub(crate) fn answers(&self) -> &Notify {
        &self.0.answers
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.0.turns
    }
}

/// The key, or why it is none.
fn valid<K>(key: K) -> Result<Key, InvalidKey>
where
    K: TryInto<Key>,
    K::Error: Into<InvalidKey>,
{
    key.try_into().map_err(|error| {
        let error = error.into();
        tracing::warn!(%error, "not sent: invalid key");
        error
    })
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("config", &self.0.config).finish_non_exhaustive()
    }
}

/// Puts a [`Hub`] together.
#[derive(Default)]
#[must_use]
pub struct HubBuilder {
    keys: Option<Arc<dyn KeyExtractor>>,
    handler: Option<Arc<dyn MessageHandler>>,
    store: Option<Arc<dyn SessionStore>>,
    origins: Origins,
    config: Config,
}

impl HubBuilder {
    /// Who somebody is. There is no default: to believe everybody must be somebody's choice.
    pub fn keys(mut self, keys: impl KeyExtractor) -> Self {
        self.keys = Some(Arc::new(keys));
        self
    }

    /// What messages do. Without it each of them is answered with code `44`, and the hub still pushes.
    pub fn handler(mut self, handler: impl MessageHandler) -> Self {
        self.handler = Some(Arc::new(handler));
        self
    }

    /// Where sessions live: a [`MemoryStore`] by default.
    pub fn store(mut self, store: impl SessionStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// From whose pages a browser may connect: the server's own by default.
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// The limits.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The hub.
    ///
    /// With the feature `metrics` it reports to the recorder that is installed now.
    ///
    /// # Panics
    ///
    /// When [`HubBuilder::keys`] was not given.
    pub fn build(self) -> Hub {
        let Some(keys) = self.keys else {
            panic!("a hub needs to know who somebody is: Hub::builder().keys(..)");
        };
        Hub(Arc::new(Core {
            keys,
            handler: self.handler.unwrap_or_else(|| Arc::new(Switch::new())),
            store: self.store.unwrap_or_else(|| Arc::new(MemoryStore::new())),
            origins: self.origins,
            admission: Admission::new(&self.config.limits),
            config: self.config,
            metrics: Metrics::register(),
            drain: Drain::default(),
            underway: Underway::default(),
            refusal_log: RefusalLog::default(),
            answers: Notify::new(),
            turns: Turns::new(),
        }))
    }
}

impl fmt::Debug for HubBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

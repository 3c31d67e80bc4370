//! The hub: the handle of a backend.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::Notify;

use crate::app_call::{CallError, call_app};
use crate::config::Config;
use crate::drain::Drain;
use crate::excerpt::Excerpt;
use crate::extract::KeyExtractor;
use crate::frame::Frame;
use crate::handler::{MessageHandler, Switch};
use crate::key::Key;
use crate::limits::Admission;
use crate::message::Push;
use crate::metrics::{Metrics, Stopwatch};
use crate::origin::Origins;
use crate::refusal::RefusalLog;
use crate::session::Session;
use crate::store::{Counts, Delivery, MemoryStore, Order, Recipients, SessionStore};
use crate::turns::Turns;
use crate::underway::Underway;
use crate::websocket::CloseCode;

/// All live connections of a backend, and the way to send to them.
///
/// A clone copies a pointer. Put one into the state of everything that sends. A hub has no type parameters.
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
/// A send whose future is dropped may have reached some of the recipients.
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
    /// Notified of each pong.
    answers: Notify,
    turns: Turns,
}

impl Hub {
    /// Builder of a hub. [`HubBuilder::keys`] is required, the rest has defaults.
    pub fn builder() -> HubBuilder {
        HubBuilder::default()
    }

    /// Sends to every session of a key. A string that is no valid key has no sessions.
    pub async fn send_to(&self, key: impl TryInto<Key>, push: Push) -> Delivery {
        match key.try_into() {
            Ok(key) => self.send(&Recipients::key(key), push).await,
            Err(_) => Delivery::default(),
        }
    }

    /// Sends to everyone.
    pub async fn broadcast(&self, push: Push) -> Delivery {
        self.send(&Recipients::everyone(), push).await
    }

    /// Sends to the sessions that `to` includes. The push is encoded once.
    pub async fn send(&self, to: &Recipients, push: Push) -> Delivery {
        self.dispatch(to, &Order::Deliver(Frame::push(&push))).await
    }

    /// Sends several pushes to every session of a key, in order and in one write.
    pub async fn send_many<'a>(
        &self,
        key: impl TryInto<Key>,
        pushes: impl IntoIterator<Item = &'a Push>,
    ) -> Delivery {
        match key.try_into() {
            Ok(key) => self.dispatch(&Recipients::key(key), &Order::Deliver(Frame::pushes(pushes))).await,
            Err(_) => Delivery::default(),
        }
    }

    /// Sends several pushes to everyone, in order and in one write for each session.
    pub async fn broadcast_many<'a>(&self, pushes: impl IntoIterator<Item = &'a Push>) -> Delivery {
        self.dispatch(&Recipients::everyone(), &Order::Deliver(Frame::pushes(pushes))).await
    }

    /// Ends every session of a key with 4505, after which its clients do not come back. Sessions whose opening has begun
    /// are included: once this returns, none of them begins.
    pub async fn disconnect(&self, key: impl TryInto<Key>) -> Delivery {
        match key.try_into() {
            Ok(key) => self.close(&Recipients::key(key), CloseCode::DISCONNECTED, "disconnected").await,
            Err(_) => Delivery::default(),
        }
    }

    /// Ends the sessions that `to` includes with this code and reason. Sessions whose opening has begun are included.
    pub async fn close(&self, to: &Recipients, code: CloseCode, reason: impl Into<Box<str>>) -> Delivery {
        self.dispatch(to, &Order::Close(code, reason.into())).await
    }

    /// Dispatches an order to the sessions that `to` includes. All methods above call it.
    pub async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
        let since = Stopwatch::start();
        // Before the store, so that a session that enters the store meanwhile is found there.
        let underway = self.underway().apply(to, order);
        let dispatched = self.ask_store("dispatch", || self.store().dispatch(to, order)).await;
        self.metrics().dispatched(since);
        let mut delivery = dispatched.unwrap_or_else(|_| Delivery::unknown());
        delivery.delivered += underway.delivered;
        delivery
    }

    /// The live sessions of a key on this node, oldest first. Empty if the store fails (logged).
    pub async fn sessions(&self, key: impl TryInto<Key>) -> Vec<Session> {
        match key.try_into() {
            Ok(key) => self.sessions_of(&key).await.unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    pub(crate) async fn sessions_of(&self, key: &Key) -> Result<Vec<Session>, CallError> {
        self.ask_store("sessions", || self.store().sessions(key)).await
    }

    /// Number of sessions and keys on this node. Zero if the store fails (logged).
    pub async fn counts(&self) -> Counts {
        self.ask_store("counts", || self.store().counts()).await.unwrap_or_default()
    }

    pub(crate) fn keys(&self) -> &dyn KeyExtractor {
        &*self.0.keys
    }

    pub(crate) fn handler(&self) -> &dyn MessageHandler {
        &*self.0.handler
    }

    /// The inner store. Its `Arc` is a store too, but each call of that makes one more future.
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

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("config", &self.0.config).finish_non_exhaustive()
    }
}

/// Builder of a [`Hub`].
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
    /// Extractor of keys. Required: trusting every client must be an explicit choice.
    pub fn keys(mut self, keys: impl KeyExtractor) -> Self {
        self.keys = Some(Arc::new(keys));
        self
    }

    /// Handler of messages. Default: every message is answered with code `44`.
    pub fn handler(mut self, handler: impl MessageHandler) -> Self {
        self.handler = Some(Arc::new(handler));
        self
    }

    /// Store of sessions. Default: [`MemoryStore`].
    pub fn store(mut self, store: impl SessionStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Origins whose pages may connect. Default: the server's own.
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// Limits, timeouts and policies. Default: [`Config::default`].
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Builds the hub. With the feature `metrics` it reports to the recorder that is installed now.
    ///
    /// # Panics
    ///
    /// If [`HubBuilder::keys`] was not called.
    pub fn build(self) -> Hub {
        let Some(keys) = self.keys else {
            panic!("a hub needs a key extractor: call `HubBuilder::keys`");
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

//! The hub: what a backend holds on to.

mod attendance;
mod builder;
mod cluster;
pub(crate) mod drain;
mod elsewhere;
mod foreign;
mod groups;
mod health;
mod identify;
mod joined;
mod keep;
mod log;
mod members;
mod presence;
mod requests;
mod shutdown;
pub(crate) mod underway;

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::Notify;

use self::attendance::HubPresence;
pub use self::builder::HubBuilder;
use self::joined::Joined;
pub(crate) use self::log::HubLog;

use crate::app_call::{CallError, call_app, catch_panic};
use crate::auth::KeyExtractor;
use crate::delivery::{Delivery, Message, NodeId, Order, Recipients};
use crate::excerpt::Excerpt;
use crate::handler::MessageHandler;
use crate::hub::drain::Drain;
use crate::hub::underway::Underway;
use crate::key::{InvalidKey, Key};
use crate::limits::Admission;
use crate::limits::Config;
use crate::metrics::{Metrics, Stopwatch};
use crate::origin::Origins;
use crate::refusal::RefusalLog;
use crate::session::Session;
use crate::store::{Counts, SessionStore};
use crate::turns::Turns;
use crate::websocket::CloseCode;

/// Every live connection of a backend, and the way to reach them.
///
/// A clone copies a pointer; put one into the state of whatever has something to say. There are no type
/// parameters: what was given to the builder is behind it.
///
/// ```
/// use keywire::auth::RawKey;
/// use keywire::{Hub, Push};
///
/// # async fn example() {
/// let hub = Hub::builder(RawKey::from_path()).build();
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
    /// The store of this node alone. Without a cluster the same as `store`.
    here: Arc<dyn SessionStore>,
    joined: Option<Joined>,
    node: NodeId,
    presence: Option<HubPresence>,
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
    log: Option<HubLog>,
}

impl Hub {
    /// Sends to all sessions of a key: one push, or several (`[Push; N]`, `Vec<Push>`) in their order and in one write.
    ///
    /// A string that is no valid key reaches no session: see [`Delivery::invalid_key`].
    pub async fn send_to<K>(&self, key: K, message: impl Into<Message>) -> Delivery
    where
        K: TryInto<Key>,
        K::Error: Into<InvalidKey>,
    {
        match valid(key) {
            Ok(key) => {
                let to = Recipients::key(key);
                let order = match message.into().into_order(&to) {
                    Ok(order) => order,
                    Err(push) => return self.keep(&to, push).await,
                };
                self.dispatch(&to, &order).await
            }
            Err(error) => Delivery::to_invalid_key(error),
        }
    }

    /// Sends to all sessions: one push or several, see [`Hub::send_to`].
    pub async fn broadcast(&self, message: impl Into<Message>) -> Delivery {
        self.send(&Recipients::everyone(), message).await
    }

    /// Sends to the sessions that `to` includes: one push or several, see [`Hub::send_to`]. Each push is encoded once for
    /// all of them.
    pub async fn send(&self, to: &Recipients, message: impl Into<Message>) -> Delivery {
        let order = match message.into().into_order(to) {
            Ok(order) => order,
            Err(push) => return self.keep(to, push).await,
        };
        self.dispatch(to, &order).await
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
        let underway = self.underway().apply(to, order).delivered;
        // By itself, so that the future does not hold its result while it waits.
        if let Some(delivery) = self.dispatch_now(to, order) {
            return self.dispatched(since, underway, delivery);
        }
        let dispatched = self.ask_store("dispatch", || self.store().dispatch(to, order)).await;
        self.dispatched(since, underway, dispatched.unwrap_or_else(|_| Delivery::unknown()))
    }

    fn dispatched(&self, since: Stopwatch, underway: usize, mut delivery: Delivery) -> Delivery {
        self.metrics().dispatched(since);
        delivery.delivered += underway;
        delivery
    }

    fn dispatch_now(&self, to: &Recipients, order: &Order) -> Option<Delivery> {
        catch_panic(|| self.store().dispatch_now(to, order)).unwrap_or_else(|panic| {
            store_failed("dispatch", &panic);
            Some(Delivery::unknown())
        })
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
        self.ask_counts().await.unwrap_or_default()
    }

    pub(crate) async fn ask_counts(&self) -> Result<Counts, CallError> {
        self.ask_store("counts", || self.store().counts()).await
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
                store_failed(call, error);
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

    pub(crate) fn log(&self) -> Option<&HubLog> {
        self.0.log.as_ref()
    }
}

/// Logs a failure of the store.
#[cold]
fn store_failed(call: &'static str, error: &CallError) {
    let failure = error.to_string();
    tracing::error!(call, failure = %Excerpt(&failure), "the session store failed");
}

/// The key, or why it is none.
fn valid<K>(key: K) -> Result<Key, InvalidKey>
where
    K: TryInto<Key>,
    K::Error: Into<InvalidKey>,
{
    key.try_into().map_err(|error| {
        let error = error.into();
        tracing::warn!(%error, "invalid key");
        error
    })
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("config", &self.0.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::RawKey;
    use crate::message::Push;

    #[test]
    fn sending_is_a_small_future() {
        let hub = Hub::builder(RawKey::from_path()).build();
        let sent = hub.send_to("alice", Push::message(""));
        // A handler's future holds it. Beyond 1032 bytes glibc's allocator has no cache for each thread.
        assert!(size_of_val(&sent) <= 576, "{} bytes", size_of_val(&sent));
    }
}

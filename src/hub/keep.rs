//! Kept pushes: appended to the log of their key, then sent.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};

use super::{Hub, HubLog, valid};
use crate::app_call::{CallError, call_app};
use crate::delivery::{Delivery, Entry, Kept, Message, Order, Position, Recipients, Remote, Target};
use crate::excerpt::Excerpt;
use crate::key::{InvalidKey, Key};
use crate::log::{Appended, Draft, Limit, LogError, Page, ReadFrom};
use crate::message::KeptPush;
use crate::metrics::Stopwatch;

/// Number of appends of [`Hub::send_to_each`] in flight.
const APPENDS: usize = 256;

/// Kept pushes.
impl Hub {
    /// Sends a push to several keys: to each as [`Hub::send_to`] does. Of a [kept](crate::Push::kept) push the logs are written
    /// at the same time, up to 256 of them. Returns the deliveries in the order of the keys.
    ///
    /// ```
    /// # async fn example(hub: keywire::Hub) {
    /// use keywire::Push;
    ///
    /// let bill = Push::message("your bill is ready").kept();
    /// for (key, delivery) in ["alice", "bob"].iter().zip(hub.send_to_each(["alice", "bob"], bill).await) {
    ///     println!("{key}: {:?}", delivery.kept);
    /// }
    /// # }
    /// ```
    pub async fn send_to_each<K>(
        &self,
        keys: impl IntoIterator<Item = K>,
        message: impl Into<Message>,
    ) -> Vec<Delivery>
    where
        K: TryInto<Key>,
        K::Error: Into<InvalidKey>,
    {
        let message = message.into();
        let keys: Vec<_> = keys.into_iter().map(valid).collect();
        let sent = keys.into_iter().map(|key| {
            let message = message.clone();
            async move {
                match key {
                    Ok(key) => self.send(&Recipients::key(key), message).await,
                    Err(error) => Delivery::to_invalid_key(error),
                }
            }
        });
        stream::iter(sent).buffered(APPENDS).collect().await
    }

    /// The end of a key's log: the position of the last push that was kept for it. Take it before you load the state of a page,
    /// and let the page follow from there: then it misses nothing in between.
    ///
    /// # Errors
    ///
    /// [`LogError::Failed`] if the hub has no log, the key is invalid or the log failed; [`LogError::Unknown`] if it gave no
    /// answer within [`Config::store_timeout`](crate::Config::store_timeout).
    pub async fn end<K>(&self, key: K) -> Result<Position, LogError>
    where
        K: TryInto<Key>,
        K::Error: Into<InvalidKey>,
    {
        let (log, key) = (self.required_log()?, valid(key).map_err(failed)?);
        self.ask_log("end", || log.log.end(&key)).await
    }

    /// Removes everything that the log has about a key, for a closed account. Pages that follow it are told of a gap.
    ///
    /// # Errors
    ///
    /// As [`Hub::end`].
    pub async fn forget<K>(&self, key: K) -> Result<(), LogError>
    where
        K: TryInto<Key>,
        K::Error: Into<InvalidKey>,
    {
        let (log, key) = (self.required_log()?, valid(key).map_err(failed)?);
        self.ask_log("forget", || log.log.forget(&key)).await?;
        self.doubt(&key).await;
        Ok(())
    }

    /// Appends a kept push, and then sends it. If it was not appended, nobody gets it.
    ///
    /// Boxed, since it would enlarge the future of every other send.
    pub(super) fn keep<'a>(&'a self, to: &'a Recipients, push: Box<KeptPush>) -> BoxFuture<'a, Delivery> {
        Box::pin(self.append_and_send(to, push))
    }

    async fn append_and_send(&self, to: &Recipients, push: Box<KeptPush>) -> Delivery {
        let (Some(log), Target::Key(key), None) = (self.log(), &to.target, to.except) else {
            self.warn_not_kept(to);
            let order = Message::from(push.push()).into_order(to);
            return self.dispatch(to, &order.unwrap_or_else(|push| Order::Deliver(push.push().into()))).await;
        };
        let draft = Draft::from(*push);
        let since = Stopwatch::start();
        // Dropped before the end, the push may be in the log and nobody was told.
        let unsure = Unsure { hub: self, key };
        let metrics = self.metrics().log();
        let done = |kept| metrics.appended(kept, draft.push().len(), since);
        let delivery = match self.ask_log("append", || log.log.append(key, &draft)).await {
            Ok(Appended { at, repeated: true, .. }) => {
                done(Kept::Again(at));
                // Perhaps the outcome of the first was not known, and nobody was told then.
                self.doubt(key).await;
                Delivery { kept: Kept::Again(at), ..Delivery::default() }
            }
            Ok(Appended { at, prev, time, announced, .. }) => {
                done(Kept::At(at));
                let entry = Entry { at, prev, time, push: draft.push().clone() };
                let order = Order::Keep(Box::new(entry));
                let delivery = match announced {
                    false => self.dispatch(to, &order).await,
                    // The other nodes have it from the log.
                    true => Delivery { remote: Remote::Published, ..self.dispatch_here(to, &order).await },
                };
                if delivery.incomplete {
                    log.doubts.fetch_add(1, Ordering::Relaxed);
                }
                Delivery { kept: Kept::At(at), ..delivery }
            }
            Err(LogError::Unknown(_)) => {
                done(Kept::Unknown);
                log.doubts.fetch_add(1, Ordering::Relaxed);
                Delivery { kept: Kept::Unknown, ..Delivery::default() }
            }
            Err(LogError::Failed(_) | LogError::TooLarge { .. }) => {
                done(Kept::Failed);
                Delivery { kept: Kept::Failed, ..Delivery::default() }
            }
        };
        std::mem::forget(unsure);
        delivery
    }

    /// The followers of a key read its log again.
    async fn doubt(&self, key: &Key) {
        self.dispatch(&Recipients::key(key.clone()), &Order::CatchUp).await;
    }

    /// Reads the log for a follower.
    pub(crate) async fn read_log(&self, key: &Key, from: ReadFrom, limit: Limit) -> Result<Page, LogError> {
        let log = self.required_log()?;
        let _permit = log.reads.acquire().await.map_err(failed)?;
        let _reading = Reading::begin(self);
        self.ask_log("read", || log.log.read(key, from, limit)).await
    }

    /// The user has seen everything up to this position.
    pub(crate) async fn log_seen(&self, key: &Key, at: Position) -> Result<(), LogError> {
        let log = self.required_log()?;
        self.ask_log("seen", || log.log.seen(key, at)).await
    }

    fn required_log(&self) -> Result<&HubLog, LogError> {
        self.log().ok_or_else(|| failed("the hub has no log. Setting: HubBuilder::log"))
    }

    /// Calls the log, with a time limit and its panics caught. Logs a failure.
    async fn ask_log<T, F>(&self, call: &'static str, begin: impl FnOnce() -> F) -> Result<T, LogError>
    where
        F: Future<Output = Result<T, LogError>> + Unpin,
    {
        let answer = call_app(self.config().store_timeout, begin).await;
        let answer = answer.unwrap_or_else(|error: CallError| Err(LogError::Unknown(error.into())));
        if let Err(error) = &answer {
            let failure = match std::error::Error::source(error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            };
            tracing::error!(call, failure = %Excerpt(&failure), "the log of kept pushes failed");
        }
        answer
    }

    /// Warns once: an application that asks for this asks for it often.
    fn warn_not_kept(&self, to: &Recipients) {
        static WARNED: AtomicBool = AtomicBool::new(false);
        if WARNED.swap(true, Ordering::Relaxed) {
            return;
        }
        match self.log() {
            None => tracing::warn!("a push is not kept: the hub has no log. Setting: HubBuilder::log"),
            Some(_) => tracing::warn!(?to, "a push is not kept: only a push to one key is"),
        }
    }
}

fn failed(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> LogError {
    LogError::Failed(why.into())
}

/// A read in flight, which may be dropped before its end.
struct Reading<'a> {
    hub: &'a Hub,
    since: Stopwatch,
}

impl<'a> Reading<'a> {
    fn begin(hub: &'a Hub) -> Self {
        hub.metrics().log().reading();
        Self { hub, since: Stopwatch::start() }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.hub.metrics().log().read(self.since);
    }
}

/// Between an append and the dispatch. If the caller drops the future there, the followers of the key look for themselves.
struct Unsure<'a> {
    hub: &'a Hub,
    key: &'a Key,
}

impl Drop for Unsure<'_> {
    fn drop(&mut self) {
        if let Some(log) = self.hub.log() {
            log.doubts.fetch_add(1, Ordering::Relaxed);
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (hub, key) = (self.hub.clone(), self.key.clone());
            runtime.spawn(async move { hub.doubt(&key).await });
        }
    }
}

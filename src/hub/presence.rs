//! Presence of a hub's keys: records how many sessions each key has here, and reports who has come and gone.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, timeout, timeout_at};

use super::attendance::Touched;
use super::{Core, Hub, valid};
use crate::app_call::call_app;
use crate::deadline::after;
use crate::delivery::{NodeId, Recipients};
use crate::key::{InvalidKey, Key};
use crate::limits::SessionPolicy;
use crate::presence::{
    Change, Changes, ClusterCounts, NodeSessions, PresenceError, PresenceTiming, Steady, Swept, Updated,
};
use crate::websocket::CloseCode;

/// Keys in one update.
const BATCH: usize = 500;

/// Changes that wait for the handler's hooks.
const REPORTS: usize = 65_536;

/// The first and the longest delay before a failed update is repeated.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// Presence: who is online.
impl Hub {
    /// Whether a key has a session: on any node with [`presence`](crate::HubBuilder::presence), otherwise on this node.
    ///
    /// A key that has left still counts for [`PresenceTiming::delay`](crate::cluster::presence::PresenceTiming::delay), and for the lease of
    /// its node if that was killed.
    ///
    /// # Errors
    ///
    /// If the record of presence cannot be read, or the key is invalid.
    pub async fn online<K>(&self, key: K) -> Result<bool, PresenceError>
    where
        K: TryInto<Key>,
        K::Error: Into<InvalidKey>,
    {
        Ok(!self.presence(key).await?.is_empty())
    }

    /// The nodes that have sessions of a key, and how many: of the cluster with [`presence`](crate::HubBuilder::presence), otherwise
    /// this node alone.
    ///
    /// # Errors
    ///
    /// As [`Hub::online`].
    pub async fn presence<K>(&self, key: K) -> Result<Vec<NodeSessions>, PresenceError>
    where
        K: TryInto<Key>,
        K::Error: Into<InvalidKey>,
    {
        let key = valid(key).map_err(PresenceError::new)?;
        match &self.0.presence {
            Some(presence) => {
                let keys = [key];
                let nodes = self.ask_presence(presence.record.nodes(&keys)).await?;
                Ok(nodes.into_iter().next().unwrap_or_default())
            }
            None => {
                let sessions = self.sessions(key).await.len();
                let node = self.node();
                Ok((sessions > 0).then_some(NodeSessions { node, sessions }).into_iter().collect())
            }
        }
    }

    /// The number of nodes, keys and sessions of the cluster, with [`presence`](crate::HubBuilder::presence), otherwise of this node.
    ///
    /// # Errors
    ///
    /// If the record of presence cannot be read.
    pub async fn cluster_counts(&self) -> Result<ClusterCounts, PresenceError> {
        match &self.0.presence {
            Some(presence) => self.ask_presence(presence.record.counts()).await,
            None => {
                let here = self.counts().await;
                Ok(ClusterCounts { nodes: 1, keys: here.keys, sessions: here.sessions })
            }
        }
    }

    /// The keys that come online and go offline, from now on, as this node reports them: each change of the cluster is reported by
    /// one node. Without [`presence`](crate::HubBuilder::presence) nothing is reported.
    ///
    /// ```
    /// # async fn example(hub: keywire::Hub) {
    /// use keywire::Push;
    ///
    /// let mut changes = hub.presence_changes();
    /// while let Some(change) = changes.next().await {
    ///     let Ok(change) = change else { continue };
    ///     hub.broadcast(Push::data(&change).with_flag("presence")).await;
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn presence_changes(&self) -> Changes {
        match &self.0.presence {
            Some(presence) => Changes::new(presence.changes.subscribe()),
            None => Changes::new(broadcast::channel(1).1),
        }
    }

    /// Whether there is a record of presence, so that counts are those of a cluster.
    #[cfg(feature = "push-api")]
    pub(crate) fn has_presence(&self) -> bool {
        self.0.presence.is_some()
    }

    /// The id of this node in its cluster.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.0.node
    }

    /// A session of the key has entered or left the store.
    pub(crate) fn touch_presence(&self, key: &Key) {
        if let Some(presence) = &self.0.presence {
            presence.touched.pending().touch(key.clone());
            presence.touched.wake.notify_one();
        }
    }

    /// Starts to record the presence of this node's keys, if that is configured.
    pub(super) fn keep_presence(&self) {
        let Some(presence) = &self.0.presence else { return };
        // Ends with the keeper. A hook that hangs must not keep the keeper from renewing the lease.
        let (reports, mut changes) = mpsc::channel::<Change>(REPORTS);
        let hub = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            while let Some(change) = changes.recv().await {
                let Some(hub) = hub.upgrade().map(Hub) else { return };
                hub.call_presence_hook(&change).await;
            }
        });
        let keeper = Keeper {
            hub: Arc::downgrade(&self.0),
            touched: presence.touched.clone(),
            timing: presence.timing,
            retry: RETRY.0,
            steady: Steady::default(),
            reports,
        };
        let task = tokio::spawn(keeper.run());
        presence.end_with_hub(task.abort_handle());
    }

    pub(super) async fn ask_presence<T>(
        &self,
        call: impl Future<Output = Result<T, PresenceError>>,
    ) -> Result<T, PresenceError> {
        timeout(self.config().store_timeout, call)
            .await
            .unwrap_or_else(|_| Err(PresenceError::new("no answer in time. Setting: Config::store_timeout")))
    }

    /// Closes the newest sessions of a key on this node if the cluster has too many of it. The policy of the store knows this node
    /// alone. Only the node whose sessions have exceeded the limit closes some.
    async fn enforce_cap(&self, key: &Key, updated: Updated) {
        let cap = match self.config().policy {
            SessionPolicy::Many { cap } => cap.get(),
            SessionPolicy::Reject => 1,
            SessionPolicy::Replace => return,
        };
        if updated.after <= cap || updated.after <= updated.before {
            return;
        }
        let excess = (updated.after - cap).min(updated.after - updated.before);
        let sessions = self.sessions_of(&Recipients::key(key.clone())).await.unwrap_or_default();
        for session in sessions.iter().rev().take(excess) {
            tracing::info!(%key, "closed: the key has too many sessions in the cluster. Setting: Config::policy");
            session.close(CloseCode::TOO_MANY_SESSIONS, "too many sessions");
        }
    }

    /// Lets the lease of this node end soon: its keys leave after the delay, unless they come back on other nodes.
    pub(super) async fn end_presence(&self) {
        let Some(presence) = &self.0.presence else { return };
        let lease = presence.timing.delay.max(Duration::from_secs(1));
        if let Err(error) = self.ask_presence(presence.record.renew(presence.node, lease)).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the lease of this node was not shortened"
            );
        }
    }

    /// Calls the handler's hook for a change.
    async fn call_presence_hook(&self, Change { key, is_online }: &Change) {
        let limit = self.config().handler_timeout;
        let called = match is_online {
            true => call_app(limit, || self.handler().joined(key)).await,
            false => call_app(limit, || self.handler().left(key)).await,
        };
        if let Err(error) = called {
            tracing::error!(%key, is_online, %error, "a hook of presence failed");
            self.metrics().hook_failed();
        }
    }
}

/// The task that records the presence of a hub's keys. It does not keep the hub alive.
struct Keeper {
    hub: Weak<Core>,
    touched: Arc<Touched>,
    timing: PresenceTiming,
    retry: Duration,
    steady: Steady,
    /// Changes for the handler's hooks.
    reports: mpsc::Sender<Change>,
}

impl Keeper {
    async fn run(mut self) {
        let (mut beat, mut sweeps) = (Instant::now(), false);
        loop {
            let Some(hub) = self.hub.upgrade().map(Hub) else { return };
            if beat <= Instant::now() {
                self.renew(&hub).await;
                beat = after(Instant::now(), self.timing.lease / 3);
                sweeps = self.steady.has_lasted(self.timing.lease, Instant::now());
            }
            sweeps = sweeps && self.sweep(&hub).await;
            let failed = !self.record(&hub).await;
            drop(hub);
            let due = self.touched.pending().wake(Instant::now());
            if failed {
                let retry = after(Instant::now(), self.retry);
                self.retry = (self.retry * 2).min(RETRY.1);
                tokio::time::sleep_until(retry.min(beat)).await;
            } else if !sweeps && !self.touched.pending().is_due() {
                self.retry = RETRY.0;
                let until = due.map_or(beat, |due| due.min(beat));
                let _ = timeout_at(until, self.touched.wake.notified()).await;
            }
        }
    }

    /// Records the numbers of sessions of the keys that are due. Returns whether that worked.
    async fn record(&self, hub: &Hub) -> bool {
        let keys = self.touched.pending().take(BATCH);
        if keys.is_empty() {
            return true;
        }
        let counted = join_all(keys.into_iter().map(|key| async move {
            let sessions = hub.sessions_of(&Recipients::key(key.clone())).await;
            (key, sessions.map(|sessions| sessions.len()))
        }));
        let now = Instant::now();
        let mut updates = Vec::new();
        for (key, sessions) in counted.await {
            match sessions {
                Ok(sessions) => {
                    if self.touched.pending().is_recorded(&key, sessions, now, self.timing.delay) {
                        updates.push((key, sessions));
                    }
                }
                // The failure is logged.
                Err(_) => self.touched.pending().touch(key),
            }
        }
        if updates.is_empty() {
            return true;
        }
        let Some(presence) = &hub.0.presence else { return true };
        match hub.ask_presence(presence.record.update(presence.node, &updates)).await {
            Ok(results) => {
                for ((key, _), updated) in updates.into_iter().zip(results) {
                    hub.enforce_cap(&key, updated).await;
                    match (updated.before, updated.after) {
                        (0, 1..) => self.report(hub, key, true),
                        (1.., 0) => self.report(hub, key, false),
                        _ => {}
                    }
                }
                true
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "presence was not recorded, and is tried again"
                );
                let mut pending = self.touched.pending();
                updates.into_iter().for_each(|(key, _)| pending.touch(key));
                false
            }
        }
    }

    /// Extends the lease.
    async fn renew(&mut self, hub: &Hub) {
        let Some(presence) = &hub.0.presence else { return };
        let renewed = hub.ask_presence(presence.record.renew(presence.node, self.timing.lease)).await;
        self.steady.renewed(renewed.as_ref().ok().copied(), Instant::now());
        match renewed {
            Ok(renewed) if renewed.is_new => self.touch_all(hub).await,
            Ok(_) => {}
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the lease of this node was not extended"
            ),
        }
    }

    /// Removes what nodes have recorded that have ended, and reports the keys that have left. Returns whether there is more.
    async fn sweep(&self, hub: &Hub) -> bool {
        let Some(presence) = &hub.0.presence else { return false };
        match hub.ask_presence(presence.record.sweep(presence.node)).await {
            Ok(Swept { left, more }) => {
                for key in left {
                    self.report(hub, key, false);
                }
                more
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the keys of nodes that have ended were not removed, and are tried again"
                );
                false
            }
        }
    }

    /// Reports a change to the readers of the stream, and to the handler.
    fn report(&self, hub: &Hub, key: Key, is_online: bool) {
        let change = Change { key, is_online };
        if let Some(presence) = &hub.0.presence {
            // An error means that there are no readers.
            let _ = presence.changes.send(change.clone());
        }
        if self.reports.try_send(change).is_err() {
            tracing::error!(is_online, "a hook of presence was not called: too many changes wait for it");
            hub.metrics().hook_failed();
        }
    }

    /// Everything that this node has recorded may be gone.
    async fn touch_all(&self, hub: &Hub) {
        let sessions = hub.sessions_of(&Recipients::everyone()).await.unwrap_or_default();
        let mut pending = self.touched.pending();
        sessions.iter().for_each(|session| pending.touch(session.key().clone()));
    }
}

use std::fmt;
use std::sync::Arc;

use tokio::sync::Notify;

use super::attendance::HubPresence;
use super::joined::Joined;
use super::{Core, Hub, HubLog};
use crate::auth::KeyExtractor;
use crate::cluster::Cluster;
use crate::delivery::NodeId;
use crate::handler::{MessageHandler, Switch};
use crate::hub::drain::Drain;
use crate::hub::underway::Underway;
use crate::limits::Admission;
use crate::limits::Config;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::origin::Origins;
use crate::presence::{Presence, PresenceTiming};
use crate::refusal::RefusalLog;
use crate::store::{MemoryStore, SessionStore};
use crate::turns::Turns;

/// Settings of a [`Hub`], which [`HubBuilder::build`] makes. Begin with [`Hub::builder`].
#[must_use]
pub struct HubBuilder {
    keys: Arc<dyn KeyExtractor>,
    handler: Option<Arc<dyn MessageHandler>>,
    store: Option<Arc<dyn SessionStore>>,
    origins: Origins,
    config: Config,
    log: Option<Arc<dyn Log>>,
    cluster: Option<Cluster>,
    presence: Option<Arc<dyn Presence>>,
    presence_timing: PresenceTiming,
}

impl Hub {
    /// Begins a hub with its extractor of keys. It is an argument, since trusting every client must be an explicit choice.
    /// Everything else has a default.
    pub fn builder(keys: impl KeyExtractor) -> HubBuilder {
        HubBuilder::new(Arc::new(keys))
    }
}

impl HubBuilder {
    fn new(keys: Arc<dyn KeyExtractor>) -> Self {
        Self {
            keys,
            handler: None,
            store: None,
            origins: Origins::default(),
            config: Config::default(),
            log: None,
            cluster: None,
            presence: None,
            presence_timing: PresenceTiming::default(),
        }
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

    /// Log of kept pushes, see [`Push::kept`](crate::Push::kept). Default: none.
    ///
    /// ```
    /// use keywire::auth::RawKey;
    /// use keywire::log::MemoryLog;
    /// use keywire::Hub;
    ///
    /// let hub = Hub::builder(RawKey::from_path()).log(MemoryLog::new()).build();
    /// # let _ = hub;
    /// ```
    pub fn log(mut self, log: impl Log) -> Self {
        self.log = Some(Arc::new(log));
        self
    }

    /// Joins a cluster: sends reach the sessions of all nodes. Default: none, this node is alone. An engine (`Redis`, `Nats`,
    /// [`MemoryBackplane`](crate::cluster::MemoryBackplane)), or [`Cluster`] for its settings.
    pub fn cluster(mut self, cluster: impl Into<Cluster>) -> Self {
        self.cluster = Some(cluster.into());
        self
    }

    /// Record of the keys that are online. Default: that of the [`cluster`](Self::cluster), else none.
    pub fn presence(mut self, presence: impl Presence) -> Self {
        self.presence = Some(Arc::new(presence));
        self
    }

    /// Times of presence. Default: [`PresenceTiming::default`].
    pub fn presence_timing(mut self, timing: PresenceTiming) -> Self {
        self.presence_timing = timing;
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
    /// With a [`cluster`](Self::cluster) or [`presence`](Self::presence): outside of a tokio runtime. With a cluster: if the log is not [`shared`](Log::shared), since a push
    /// that is kept on one node could not be read on another.
    pub fn build(self) -> Hub {
        let metrics = Metrics::register();
        let here = self.store.unwrap_or_else(|| Arc::new(MemoryStore::new()));
        let (mut log, mut presence, mut node) = (self.log, self.presence, None);
        let joined = self.cluster.map(|cluster| {
            log = log.take().or_else(|| cluster.log.clone());
            presence = presence.take().or_else(|| cluster.presence.clone());
            node = Some(cluster.node);
            assert!(
                log.as_ref().is_none_or(|log| log.shared()),
                "HubBuilder::build: the log of a cluster must be shared by its nodes, and this one is not"
            );
            Joined::new(cluster, here.clone(), self.config.store_timeout, &metrics)
        });
        let store = joined.as_ref().map_or_else(|| here.clone(), Joined::as_store);
        let node = node.unwrap_or_else(NodeId::random);
        let hub = Hub(Arc::new(Core {
            keys: self.keys,
            handler: self.handler.unwrap_or_else(|| Arc::new(Switch::new())),
            store,
            here,
            joined,
            node,
            presence: presence.map(|record| HubPresence::new(record, node, self.presence_timing)),
            origins: self.origins,
            admission: Admission::new(&self.config.limits),
            config: self.config,
            metrics,
            drain: Drain::default(),
            underway: Underway::default(),
            refusal_log: RefusalLog::default(),
            answers: Notify::new(),
            turns: Turns::new(),
            log: log.map(HubLog::new),
        }));
        hub.listen();
        hub.keep_presence();
        hub
    }
}

impl fmt::Debug for HubBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Backplane, MemoryBackplane};
use crate::delivery::NodeId;
use crate::log::Log;
use crate::message::Push;
use crate::presence::Presence;

/// Settings of a cluster, for [`HubBuilder::cluster`](crate::HubBuilder::cluster). Made from an engine by `into()`, or from a
/// [`Backplane`] of your own by [`Cluster::new`].
///
/// ```
/// use std::time::Duration;
///
/// use keywire::auth::RawKey;
/// use keywire::cluster::{Cluster, MemoryBackplane, Outage};
/// use keywire::{Hub, Push};
///
/// let outage = Outage::Tell {
///     lost: Push::message("Some messages may be late.").with_flag("away"),
///     restored: Push::message("").with_flag("back"),
/// };
/// let cluster = Cluster::from(MemoryBackplane::new()).publish_timeout(Duration::from_secs(1)).on_outage(outage);
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let hub = Hub::builder(RawKey::from_path()).cluster(cluster).build();
/// # });
/// ```
#[must_use]
pub struct Cluster {
    pub(crate) node: NodeId,
    pub(crate) backplane: Arc<dyn Backplane>,
    pub(crate) log: Option<Arc<dyn Log>>,
    pub(crate) presence: Option<Arc<dyn Presence>>,
    pub(crate) timing: Timing,
    pub(crate) outage: Outage,
}

/// Times of a cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) publish: Duration,
    pub(crate) subscribe: Duration,
    pub(crate) outage: Duration,
    pub(crate) answer: Duration,
}

/// What the sessions of a node experience while the engine is away.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "a hub has one of them")]
pub enum Outage {
    /// Nothing. Pushes from other nodes do not arrive, except those that are kept, which arrive later.
    #[default]
    Ignore,
    /// Each session gets a push when the outage has lasted for [`Cluster::outage_delay`], and another one at its end.
    Tell {
        /// The push at the beginning.
        lost: Push,
        /// The push at the end.
        restored: Push,
    },
    /// Each session is closed with 4005 when the outage has lasted for [`Cluster::outage_delay`], so that its client comes back to
    /// a node that may still have the engine. Once for each outage.
    Close,
}

impl Cluster {
    /// A cluster without a log and without presence.
    pub fn new(backplane: impl Backplane) -> Self {
        Self {
            node: NodeId::random(),
            backplane: Arc::new(backplane),
            log: None,
            presence: None,
            timing: Timing {
                publish: Duration::from_secs(2),
                subscribe: Duration::from_secs(1),
                outage: Duration::from_secs(10),
                answer: Duration::from_secs(1),
            },
            outage: Outage::Ignore,
        }
    }

    /// Log of kept pushes that all nodes share. [`HubBuilder::log`](crate::HubBuilder::log) overrides it.
    pub fn log(mut self, log: impl Log) -> Self {
        self.log = Some(Arc::new(log));
        self
    }

    /// Record of the keys that are online, which all nodes share. [`HubBuilder::presence`](crate::HubBuilder::presence) overrides it.
    pub fn presence(mut self, presence: impl Presence) -> Self {
        self.presence = Some(Arc::new(presence));
        self
    }

    /// The same cluster without presence, which then costs no requests to the engine.
    pub fn without_presence(mut self) -> Self {
        self.presence = None;
        self
    }

    /// The id of this node. Default: random. An engine whose log announces entries by itself sets its own.
    pub fn node(mut self, node: NodeId) -> Self {
        self.node = node;
        self
    }

    /// Longest time that a send waits for the engine. Default: 2 s. At most half of
    /// [`Config::store_timeout`](crate::Config::store_timeout) applies.
    pub fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.timing.publish = timeout;
        self
    }

    /// Longest time that an opening waits until its key is subscribed. Then the session opens, and pushes from other nodes may
    /// reach it a little later. Default: 1 s.
    pub fn subscribe_timeout(mut self, timeout: Duration) -> Self {
        self.timing.subscribe = timeout;
        self
    }

    /// Longest time that [`Hub::cluster_members`](crate::Hub::cluster_members) waits for the other nodes, and time in which they say
    /// which sessions they ask for [`Hub::request`](crate::Hub::request). Default: 1 s.
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.timing.answer = timeout;
        self
    }

    /// What sessions experience while the engine is away. Default: [`Outage::Ignore`].
    pub fn on_outage(mut self, outage: Outage) -> Self {
        self.outage = outage;
        self
    }

    /// Time for which the engine is away before [`Cluster::on_outage`] applies. Default: 10 s.
    pub fn outage_delay(mut self, delay: Duration) -> Self {
        self.timing.outage = delay;
        self
    }
}

impl From<MemoryBackplane> for Cluster {
    fn from(backplane: MemoryBackplane) -> Self {
        Self::new(backplane)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("node", &self.node)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}

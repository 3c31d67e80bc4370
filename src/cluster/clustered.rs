mod asking;

use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::time::timeout;

use super::doubts::Doubts;
use super::form::{self, Content, Received, Seniority};
use super::health::Counters;
use super::questions::Questions;
use super::{Backplane, ClusterHealth, Event, Question, Timing, Topic};
use crate::delivery::{Delivery, NodeId, Order, Recipients, Remote, Target};
use crate::group::Group;
use crate::key::Key;
use crate::limits::SessionPolicy;
use crate::metrics::ClusterMetrics;
use crate::session::Session;
use crate::session::{JoinError, Joined, Left};
use crate::store::{Counts, Inserted, Removed, SessionStore, StoreError};
use crate::websocket::CloseCode;

/// A store around a store: it delivers to the sessions of this node first, and then publishes to the other nodes. What they
/// publish goes to the inner store alone, so nothing loops.
#[derive(Clone)]
pub(crate) struct Clustered(Arc<Node>);

struct Node {
    inner: Arc<dyn SessionStore>,
    backplane: Arc<dyn Backplane>,
    node: NodeId,
    timing: Timing,
    health: Counters,
    /// One for several topics each: a topic's subscription follows the store in one place at a time.
    aligning: [tokio::sync::Mutex<()>; STRIPES],
    hasher: RandomState,
    /// The newest session of each key of this node, with [`SessionPolicy::Replace`] only.
    newest: Mutex<HashMap<Key, Seniority>>,
    doubts: Arc<Doubts>,
    questions: Arc<Questions>,
    /// The topic of this node, for answers, is subscribed: from its first question on.
    awaits_answers: AtomicBool,
}

const STRIPES: usize = 64;

/// Publications of one call in flight.
const PUBLICATIONS: usize = 256;

/// A session that leaves the store. If the call is dropped before its end, its topics are aligned later.
struct Departure<'a> {
    node: &'a Arc<Node>,
    session: &'a Session,
    is_whole: bool,
}

impl Drop for Departure<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            let groups = self.session.groups();
            let topics = groups.iter().map(Topic::group).chain([Topic::key(self.session.key())]);
            let node = Arc::downgrade(self.node);
            self.node.doubts.align_later(topics, move |topic| {
                let node = node.upgrade();
                async move {
                    if let Some(node) = node {
                        node.align(&topic).await;
                    }
                }
            });
        }
    }
}

/// What has come from the other nodes.
pub(crate) enum Incoming {
    /// An order for sessions of this node.
    Order(Recipients, Order),
    /// A question of a node about these sessions, with its id for [`Clustered::answer`].
    Question(NodeId, u64, Recipients, Question),
    /// Messages may be lost from here on.
    Interrupted,
    /// All subscriptions are in force again.
    Restored,
}

impl Clustered {
    pub(crate) fn new(
        inner: Arc<dyn SessionStore>,
        backplane: Arc<dyn Backplane>,
        node: NodeId,
        timing: Timing,
        metrics: ClusterMetrics,
    ) -> Self {
        Self(Arc::new(Node {
            inner,
            backplane,
            node,
            timing,
            health: Counters::new(node, metrics),
            aligning: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            hasher: RandomState::new(),
            newest: Mutex::default(),
            doubts: Arc::default(),
            questions: Arc::default(),
            awaits_answers: AtomicBool::new(false),
        }))
    }

    pub(crate) fn health(&self) -> ClusterHealth {
        self.0.health.now()
    }

    /// Subscribes to what is for all nodes. Called once, before [`Self::next`]. Returns whether the engine is there.
    pub(crate) async fn join(&self) -> bool {
        let joined = self.0.backplane.subscribe(&Topic::ALL).await;
        if let Err(error) = &joined {
            tracing::warn!(error = error as &dyn std::error::Error, "the cluster cannot be reached yet");
        }
        self.0.health.connected(joined.is_ok());
        joined.is_ok()
    }

    /// Waits for what comes from the other nodes. Cancel safe.
    pub(crate) async fn next(&self) -> Incoming {
        let node = &*self.0;
        loop {
            match node.backplane.next().await {
                Event::Interrupted if node.health.connected(false) => {
                    tracing::warn!(node = %node.node, "the cluster is interrupted: messages of other nodes may be lost");
                    return Incoming::Interrupted;
                }
                Event::Interrupted => {}
                Event::Restored => {
                    if node.health.connected(true) {
                        tracing::info!(node = %node.node, "the cluster is restored");
                    }
                    return Incoming::Restored;
                }
                Event::Message { topic, message } => match form::decode(&topic, message) {
                    // The node's own message, which the engine returned.
                    Some(Received { node: from, .. }) if from == node.node => {}
                    Some(Received { node: from, content }) => {
                        node.health.received(true);
                        match content {
                            Content::Order { to, order, older_than } => {
                                if older_than.is_none_or(|newest| node.is_outranked(&to, newest)) {
                                    return Incoming::Order(to, order);
                                }
                            }
                            Content::Question { to, id, question } => {
                                return Incoming::Question(from, id, to, question);
                            }
                            Content::Answer { id, body } => node.questions.answered(id, from, body),
                        }
                    }
                    None => node.drop_unreadable(&topic),
                },
            }
        }
    }

    /// Closes the former sessions of all keys on other nodes once more: during an interruption that could not be told.
    pub(crate) async fn replace_again(&self) {
        let node = &*self.0;
        let newest: Vec<_> = node.newest().iter().map(|(key, newest)| (key.clone(), *newest)).collect();
        stream::iter(newest)
            .for_each_concurrent(PUBLICATIONS, |(key, newest)| node.replace(key, newest))
            .await;
    }
}

impl Node {
    fn drop_unreadable(&self, topic: &Topic) {
        // Once for each power of two: a later version may send many.
        if self.health.received(false).is_power_of_two() {
            tracing::warn!(%topic, "dropped a message of another node that cannot be read: from a later version?");
        }
    }

    /// Makes the subscription to a topic what the store says. Every change in the store is followed by a call, and each call asks
    /// the store, so the last one is right in whatever order they run.
    async fn align(&self, topic: &Topic) {
        let Some(target) = topic.target() else { return };
        let stripe = &self.aligning[self.hasher.hash_one(topic) as usize % STRIPES];
        let turn = stripe.lock().await;
        let is_needed = match &target {
            Target::Group(group) => self.inner.members(group).await > 0,
            _ => !self.inner.sessions(&target.into()).await.is_empty(),
        };
        if !is_needed {
            self.backplane.unsubscribe(topic).await;
            return;
        }
        let mut subscription = pin!(self.backplane.subscribe(topic));
        // The first poll records the subscription. The confirmation takes a round trip, in which others get their turn.
        let first = poll_fn(|cx| Poll::Ready(subscription.as_mut().poll(cx))).await;
        drop(turn);
        let confirmed = match first {
            Poll::Ready(confirmed) => confirmed,
            Poll::Pending => subscription.await,
        };
        if let Err(error) = confirmed {
            // It follows by itself. Until then the node counts as interrupted, or will soon.
            tracing::debug!(error = &error as &dyn std::error::Error, "a subscription was not confirmed");
        }
    }

    /// Aligns the topic of a key or group that has come, for a limited time. If that is not enough, a task waits for the
    /// confirmation, and lets the sessions look for what they have missed.
    async fn arrive(self: &Arc<Self>, topic: Topic) {
        if timeout(self.timing.subscribe, self.align(&topic)).await.is_ok() {
            return;
        }
        let node = self.clone();
        tokio::spawn(async move {
            node.align(&topic).await;
            if let Some(target) = topic.target() {
                node.inner.dispatch(&target.into(), &Order::CatchUp).await;
            }
        });
    }

    /// Aligns the topics of the groups of sessions that have left the store.
    async fn leave_groups(&self, sessions: &[Session]) {
        for group in sessions.iter().flat_map(Session::groups) {
            self.align(&Topic::group(&group)).await;
        }
    }

    async fn publish(&self, topic: &Topic, message: Bytes) -> bool {
        let failed = match timeout(self.timing.publish, self.backplane.publish(topic, message)).await {
            Ok(Ok(())) => {
                self.health.published(true);
                return true;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time. Setting: Cluster::publish_timeout".to_owned(),
        };
        self.health.published(false);
        tracing::debug!(failed, "a message was not published to the other nodes");
        false
    }

    async fn publish_all(&self, to: &Recipients, message: Bytes) -> bool {
        match &to.target {
            Target::Key(key) | Target::Session(key, _) => self.publish(&Topic::key(key), message).await,
            Target::Group(group) => self.publish(&Topic::group(group), message).await,
            Target::Everyone => self.publish(&Topic::ALL, message).await,
            Target::Keys(keys) => {
                let topics: Vec<_> = keys.iter().map(Topic::key).collect();
                stream::iter(topics)
                    .map(|topic| {
                        let message = message.clone();
                        async move { self.publish(&topic, message).await }
                    })
                    .buffer_unordered(PUBLICATIONS)
                    .fold(true, async |all, published| all && published)
                    .await
            }
        }
    }

    /// Closes the sessions of a key on other nodes that are older than its newest session on this node.
    async fn replace(&self, key: Key, newest: Seniority) {
        let topic = Topic::key(&key);
        let to = Recipients { target: Target::Key(key), except: Some(newest.session) };
        let order = Order::Close(CloseCode::REPLACED, "replaced by a newer session".into());
        self.publish(&topic, form::encode(self.node, &to, &order, Some(newest))).await;
    }

    /// Whether the session of this node is older than that of another node. For two sessions, exactly one of their nodes says so.
    fn is_outranked(&self, to: &Recipients, newest: Seniority) -> bool {
        let Target::Key(key) = &to.target else { return true };
        self.newest().get(key).is_none_or(|ours| *ours < newest)
    }

    fn newest(&self) -> MutexGuard<'_, HashMap<Key, Seniority>> {
        // A poisoned lock is safe to use: no panic can interrupt a change.
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The store of a hub in a cluster.
// Every method is forwarded: otherwise the trait's default would replace the inner store's own method.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl SessionStore for Clustered {
    async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Inserted, StoreError> {
        let (key, id) = (session.key().clone(), session.id());
        let inserted = self.0.inner.insert(session, policy).await?;
        self.0.leave_groups(&inserted.replaced).await;
        if inserted.first {
            self.0.arrive(Topic::key(&key)).await;
        }
        if policy == SessionPolicy::Replace {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
            let newest =
                Seniority { since: u64::try_from(since.as_millis()).unwrap_or(u64::MAX), session: id };
            self.0.newest().insert(key.clone(), newest);
            self.0.replace(key, newest).await;
        }
        Ok(inserted)
    }

    async fn remove(&self, session: &Session) -> Removed {
        let mut departure = Departure { node: &self.0, session, is_whole: false };
        let removed = self.0.inner.remove(session).await;
        if removed.last {
            self.0.newest().remove(session.key());
            self.0.align(&Topic::key(session.key())).await;
        }
        self.0.leave_groups(std::slice::from_ref(session)).await;
        departure.is_whole = true;
        removed
    }

    /// Publishing needs an await.
    fn dispatch_now(&self, _: &Recipients, _: &Order) -> Option<Delivery> {
        None
    }

    async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
        let mut delivery = self.0.inner.dispatch(to, order).await;
        // A session is on one node.
        let is_found = matches!(to.target, Target::Session(..)) && delivery.delivered > 0;
        if !is_found {
            let message = form::encode(self.0.node, to, order, None);
            delivery.remote = match self.0.publish_all(to, message).await {
                true => Remote::Published,
                false => Remote::Failed,
            };
        }
        delivery
    }

    async fn sessions(&self, of: &Recipients) -> Vec<Session> {
        self.0.inner.sessions(of).await
    }

    async fn join(&self, session: &Session, group: &Group) -> Result<Joined, JoinError> {
        let joined = self.0.inner.join(session, group).await?;
        if joined.first {
            self.0.arrive(Topic::group(group)).await;
        }
        Ok(joined)
    }

    async fn leave(&self, session: &Session, group: &Group) -> Left {
        let left = self.0.inner.leave(session, group).await;
        if left.last {
            self.0.align(&Topic::group(group)).await;
        }
        left
    }

    async fn members(&self, group: &Group) -> usize {
        self.0.inner.members(group).await
    }

    async fn counts(&self) -> Counts {
        self.0.inner.counts().await
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests;

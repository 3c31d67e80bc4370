//! `watch`: pushes the number of sessions and keys to the sessions that asked, at each change. In a cluster also the nodes and who
//! comes and goes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keywire::message::Frame;
use keywire::{Envelope, HandlerResult, Hub, Push, Session};

use crate::node::Node;

/// The group of the sessions that sent `watch`, on all nodes.
pub(crate) const GROUP: &str = "watchers";

/// Pause before a push, so that many openings make one push.
const PAUSE: Duration = Duration::from_millis(200);

/// The sessions of this node that sent `watch`.
#[derive(Default)]
pub(crate) struct Watchers {
    state: Mutex<State>,
    /// Whether a push is due.
    stirred: AtomicBool,
    node: Option<Arc<Node>>,
}

#[derive(Default)]
struct State {
    sessions: Vec<Session>,
    /// The counts that they have.
    latest: Option<Frame>,
}

impl Watchers {
    pub(crate) fn new(node: Option<Arc<Node>>) -> Self {
        Self { node, ..Self::default() }
    }

    /// Adds the session, and replies with the counts.
    pub(crate) async fn watch(self: Arc<Self>, session: Session, _: Envelope) -> HandlerResult {
        let hub = session.hub().clone();
        if let Some(node) = &self.node {
            session.join(GROUP).await?;
            session.send(node.report(&hub, "here"));
        }
        self.add(session);
        Ok(self.stats(&hub).await.into())
    }

    /// A session opened or closed.
    pub(crate) fn changed(self: &Arc<Self>, hub: &Hub) {
        if self.stirred.swap(true, Ordering::SeqCst) {
            return;
        }
        let (watchers, hub) = (self.clone(), hub.clone());
        tokio::spawn(async move {
            tokio::time::sleep(PAUSE).await;
            watchers.stirred.store(false, Ordering::SeqCst);
            watchers.tell(&hub).await;
        });
    }

    /// Tells the sessions of this node the counts, if they have changed, and those of all nodes about this node.
    pub(crate) async fn tell(&self, hub: &Hub) {
        let frame = Frame::push(&self.stats(hub).await);
        self.send(frame);
        if let Some(node) = &self.node {
            hub.send_to_group(GROUP, node.report(hub, "node")).await;
        }
    }

    /// The counts of the cluster, or of this node if there is no cluster or it does not answer.
    async fn stats(&self, hub: &Hub) -> Push {
        match hub.cluster_counts().await {
            Ok(counts) if self.node.is_some() => Push::data(counts),
            _ => Push::data(hub.counts().await),
        }
        .with_flag("stats")
    }

    fn add(&self, session: Session) {
        let mut state = self.lock();
        if !state.sessions.contains(&session) {
            state.sessions.push(session);
        }
    }

    fn send(&self, frame: Frame) {
        let mut state = self.lock();
        if state.latest.as_ref() != Some(&frame) {
            state.sessions.retain(|session| !session.send_frame(&frame).is_gone());
            state.latest = Some(frame);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

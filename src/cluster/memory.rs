use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::{Backplane, BackplaneError, Event, Topic};

/// A backplane in memory: a cluster of several hubs in one process, for tests and documentation.
///
/// Each value is one node. [`join`](Self::join) adds another.
#[derive(Debug)]
pub struct MemoryBackplane {
    engine: Arc<Engine>,
    node: u64,
    inbox: tokio::sync::Mutex<Receiver<Event>>,
    outbox: Arc<Inbound>,
}

/// Events that wait for a node which does not ask for them.
const QUEUE: usize = 4096;

#[derive(Debug, Default)]
struct Engine {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    nodes: HashMap<u64, Arc<Inbound>>,
    topics: HashMap<Topic, HashSet<u64>>,
    last_node: u64,
    is_away: bool,
}

/// The way to a node.
#[derive(Debug)]
struct Inbound {
    sender: Sender<Event>,
    /// An event was dropped, and the node does not know yet.
    overflown: AtomicBool,
}

impl MemoryBackplane {
    /// The first node of a new cluster.
    #[must_use]
    pub fn new() -> Self {
        Self::on(Arc::default())
    }

    /// Another node of the same cluster.
    #[must_use]
    pub fn join(&self) -> Self {
        Self::on(self.engine.clone())
    }

    /// Takes the engine away from all nodes, or brings it back, for tests. While it is away nothing is published, and the nodes are
    /// told.
    pub fn set_available(&self, is_available: bool) {
        let mut state = self.engine.lock();
        if state.is_away != is_available {
            return;
        }
        state.is_away = !is_available;
        let event = if is_available { Event::Restored } else { Event::Interrupted };
        state.nodes.values().for_each(|node| node.send(event.clone()));
    }

    fn on(engine: Arc<Engine>) -> Self {
        let (sender, inbox) = mpsc::channel(QUEUE);
        let outbox = Arc::new(Inbound { sender, overflown: AtomicBool::new(false) });
        let node = {
            let mut state = engine.lock();
            state.last_node += 1;
            let node = state.last_node;
            state.nodes.insert(node, outbox.clone());
            node
        };
        Self { engine, node, inbox: inbox.into(), outbox }
    }
}

impl Default for MemoryBackplane {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for MemoryBackplane {
    fn drop(&mut self) {
        let mut state = self.engine.lock();
        state.nodes.remove(&self.node);
        state.topics.retain(|_, nodes| !(nodes.remove(&self.node) && nodes.is_empty()));
    }
}

impl Engine {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned lock is safe to use: no panic can interrupt a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbound {
    fn send(&self, event: Event) {
        if self.sender.try_send(event).is_err() {
            self.overflown.store(true, Ordering::Release);
        }
    }
}

#[async_trait]
impl Backplane for MemoryBackplane {
    async fn publish(&self, topic: &Topic, message: Bytes) -> Result<(), BackplaneError> {
        let state = self.engine.lock();
        if state.is_away {
            return Err(BackplaneError::new("the backplane in memory is set to be away"));
        }
        let subscribed = state.topics.get(topic).into_iter().flatten().filter(|node| **node != self.node);
        for node in subscribed.filter_map(|node| state.nodes.get(node)) {
            node.send(Event::Message { topic: topic.clone(), message: message.clone() });
        }
        Ok(())
    }

    async fn subscribe(&self, topic: &Topic) -> Result<(), BackplaneError> {
        let mut state = self.engine.lock();
        state.topics.entry(topic.clone()).or_default().insert(self.node);
        match state.is_away {
            true => Err(BackplaneError::new("the backplane in memory is set to be away")),
            false => Ok(()),
        }
    }

    async fn unsubscribe(&self, topic: &Topic) {
        let mut state = self.engine.lock();
        if let Some(nodes) = state.topics.get_mut(topic) {
            nodes.remove(&self.node);
            if nodes.is_empty() {
                state.topics.remove(topic);
            }
        }
    }

    async fn next(&self) -> Event {
        let mut inbox = self.inbox.lock().await;
        if self.outbox.overflown.load(Ordering::Acquire)
            && let Ok(event) = inbox.try_recv()
        {
            // What was queued before the loss comes first.
            return event;
        }
        if self.outbox.overflown.swap(false, Ordering::AcqRel) {
            if !self.engine.lock().is_away {
                self.outbox.send(Event::Restored);
            }
            return Event::Interrupted;
        }
        // This node holds a sender, so the channel never ends.
        inbox.recv().await.unwrap_or(Event::Restored)
    }
}

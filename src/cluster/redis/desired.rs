use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::sync::oneshot;

use super::names::Partition;
use crate::cluster::Topic;

/// The topics that a node wants from one server, and what the server has confirmed. Without I/O.
///
/// The last call for a topic decides. At most one command for a topic is in flight; when its confirmation comes, the topic is
/// compared with what is wanted again.
#[derive(Default)]
pub(super) struct Desired {
    topics: HashMap<Topic, State>,
    /// Topics to compare with what is wanted. For sharded channels by partition, since one command takes one slot.
    changed: BTreeMap<Option<Partition>, VecDeque<Topic>>,
    /// Calls that wait for a confirmation.
    waiting: HashMap<Topic, Vec<oneshot::Sender<()>>>,
    /// Topics whose confirmation is missing after an interruption.
    restoring: usize,
    connected: bool,
    closed: bool,
    /// Some topics are off, and not on the list of changes, since the server refuses them.
    has_refused: bool,
    sharded: bool,
}

/// Four bytes for each topic.
#[derive(Clone, Copy)]
struct State {
    phase: Phase,
    wanted: bool,
    /// It stands in `changed`.
    queued: bool,
    /// It counts in `restoring`.
    restoring: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Off,
    Joining,
    On,
    Leaving,
}

/// Topics of one command.
#[derive(Debug, PartialEq)]
pub(super) struct Batch {
    pub(super) join: bool,
    pub(super) topics: Vec<Topic>,
}

/// Most names in one command.
pub(super) const BATCH: usize = 500;

impl Desired {
    pub(super) fn new(sharded: bool) -> Self {
        Self { sharded, ..Self::default() }
    }

    /// Wants a topic. `None` if it is confirmed already. Otherwise the confirmation comes, or the sender is dropped when the
    /// connection breaks.
    pub(super) fn want(&mut self, topic: &Topic) -> Option<oneshot::Receiver<()>> {
        let off = State { phase: Phase::Off, wanted: true, queued: false, restoring: false };
        let state = self.topics.entry(topic.clone()).or_insert(off);
        state.wanted = true;
        if state.phase == Phase::On {
            return None;
        }
        let (confirm, confirmed) = oneshot::channel();
        if self.connected {
            self.waiting.entry(topic.clone()).or_default().push(confirm);
            self.compare(topic);
        }
        Some(confirmed)
    }

    /// Does not want a topic any more. True if it was the last one that was missing after an interruption.
    pub(super) fn unwant(&mut self, topic: &Topic) -> bool {
        let Some(state) = self.topics.get_mut(topic) else { return false };
        state.wanted = false;
        self.waiting.remove(topic);
        let restored = std::mem::take(&mut state.restoring);
        if restored {
            self.restoring -= 1;
        }
        self.compare(topic);
        restored && self.restoring == 0
    }

    /// Puts a topic on the list of changes, if it is not as it is wanted.
    fn compare(&mut self, topic: &Topic) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        match (state.phase, state.wanted) {
            (Phase::Off, false) => {
                self.topics.remove(topic);
                // After a burst the memory is given back.
                if self.topics.capacity() > 1024 && self.topics.len() < self.topics.capacity() / 8 {
                    self.topics.shrink_to_fit();
                }
            }
            (Phase::Off, true) | (Phase::On, false) if !state.queued && self.connected => {
                state.queued = true;
                let partition = self.sharded.then(|| Partition::of_topic(topic));
                self.changed.entry(partition).or_default().push_back(topic.clone());
            }
            _ => {}
        }
    }

    /// The topics of the next command.
    pub(super) fn next_batch(&mut self) -> Option<Batch> {
        loop {
            let mut queue = self.changed.first_entry()?;
            let mut batch: Option<Batch> = None;
            while let Some(topic) = queue.get().front() {
                let Some(state) = self.topics.get_mut(topic) else {
                    queue.get_mut().pop_front();
                    continue;
                };
                let join = match (state.phase, state.wanted) {
                    (Phase::Off, true) => true,
                    (Phase::On, false) => false,
                    // It has changed back.
                    _ => {
                        state.queued = false;
                        queue.get_mut().pop_front();
                        continue;
                    }
                };
                let batch = batch.get_or_insert_with(|| Batch { join, topics: Vec::new() });
                if batch.join != join || batch.topics.len() == BATCH {
                    break;
                }
                state.queued = false;
                state.phase = if join { Phase::Joining } else { Phase::Leaving };
                batch.topics.extend(queue.get_mut().pop_front());
            }
            if queue.get().is_empty() {
                queue.remove();
            }
            if batch.is_some() {
                return batch;
            }
        }
    }

    /// The server has confirmed a subscription. True if it was the last one that was missing after an interruption.
    pub(super) fn confirmed(&mut self, topic: &Topic) -> bool {
        let Some(state) = self.topics.get_mut(topic) else { return false };
        state.phase = Phase::On;
        let restored = std::mem::take(&mut state.restoring);
        if restored {
            self.restoring -= 1;
        }
        if let Some(waiting) = self.waiting.remove(topic) {
            // A caller may have gone.
            waiting.into_iter().for_each(|waiting| waiting.send(()).unwrap_or_default());
        }
        self.compare(topic);
        restored && self.restoring == 0
    }

    /// The server has ended a subscription. `None` if this node has asked for that. Otherwise it is made again, and the result is
    /// whether it is the first that is to be restored.
    pub(super) fn ended(&mut self, topic: &Topic) -> Option<bool> {
        let state = self.topics.get_mut(topic)?;
        let asked = std::mem::replace(&mut state.phase, Phase::Off) != Phase::On;
        let first = self.restoring == 0;
        if !asked && state.wanted && !state.restoring {
            state.restoring = true;
            self.restoring += 1;
        }
        self.compare(topic);
        (!asked && self.restoring > 0).then_some(first)
    }

    /// The topics that are wanted and fit.
    pub(super) fn topics(&self, fits: impl Fn(&Topic) -> bool) -> Vec<Topic> {
        let wanted = self.topics.iter().filter(|(topic, state)| state.wanted && fits(topic));
        wanted.map(|(topic, _)| topic.clone()).collect()
    }

    /// Takes over a topic that another server had. True if nothing was missing before.
    pub(super) fn adopt(&mut self, topic: &Topic) -> bool {
        let was_whole = self.is_whole();
        let off = State { phase: Phase::Off, wanted: true, queued: false, restoring: false };
        let state = self.topics.entry(topic.clone()).or_insert(off);
        state.wanted = true;
        // Without a connection it counts when there is one.
        if state.phase != Phase::On && self.connected && !std::mem::replace(&mut state.restoring, true) {
            self.restoring += 1;
        }
        self.compare(topic);
        was_whole && self.restoring > 0
    }

    /// The server has refused a command for these topics. They wait for [`Desired::retry`]. True if nothing was missing before.
    pub(super) fn refused(&mut self, topics: &[Topic]) -> bool {
        let was_whole = self.is_whole();
        for topic in topics {
            let Some(state) = self.topics.get_mut(topic) else { continue };
            state.phase = Phase::Off;
            self.waiting.remove(topic);
            if !state.wanted {
                self.topics.remove(topic);
            } else if !std::mem::replace(&mut state.restoring, true) {
                self.restoring += 1;
            }
        }
        self.has_refused = true;
        was_whole && self.restoring > 0
    }

    /// Tries again what was refused.
    pub(super) fn retry(&mut self) {
        if std::mem::take(&mut self.has_refused) {
            let topics: Vec<_> = self.topics.keys().cloned().collect();
            topics.iter().for_each(|topic| self.compare(topic));
        }
    }

    /// This server is not needed any more. True if something was missing.
    pub(super) fn close(&mut self) -> bool {
        let was_whole = self.is_whole();
        *self = Self { closed: true, ..Self::default() };
        !was_whole
    }

    /// Whether messages of this topic are for this node.
    pub(super) fn is_wanted(&self, topic: &Topic) -> bool {
        self.topics.get(topic).is_some_and(|state| state.wanted)
    }

    /// A new connection, without any subscription. True if nothing is to be restored.
    pub(super) fn connect(&mut self) -> bool {
        if self.closed {
            return false;
        }
        self.connected = true;
        self.topics.values_mut().for_each(|state| state.restoring = true);
        self.restoring = self.topics.len();
        let topics: Vec<_> = self.topics.keys().cloned().collect();
        topics.iter().for_each(|topic| self.compare(topic));
        self.restoring == 0
    }

    /// The connection is gone, and all subscriptions with it. True if nothing was missing before.
    pub(super) fn disconnect(&mut self) -> bool {
        let was_whole = self.is_whole();
        self.connected = false;
        self.changed = BTreeMap::new();
        self.waiting = HashMap::new();
        self.topics.retain(|_, state| state.wanted);
        self.topics.shrink_to_fit();
        for state in self.topics.values_mut() {
            *state = State { phase: Phase::Off, wanted: true, queued: false, restoring: false };
        }
        self.restoring = 0;
        was_whole
    }

    fn is_whole(&self) -> bool {
        self.connected && self.restoring == 0 && !self.closed
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.topics.len()
    }
}

#[cfg(test)]
#[path = "desired/tests.rs"]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

use crate::delivery::NodeId;

/// The requests of other nodes that wait for answers of sessions of this node. They end with the hub.
#[derive(Debug, Default)]
pub(super) struct ForeignRequests(Mutex<State>);

/// Requests of other nodes under way on a node.
const LIMIT: usize = 1024;

#[derive(Debug, Default)]
struct State {
    /// By the asking node, its question and a number: a question to several keys comes once for each.
    tasks: BTreeMap<(NodeId, u64, u64), Option<AbortHandle>>,
    last: u64,
}

/// A request under way. It is removed when its task ends.
struct Entry {
    place: (NodeId, u64, u64),
    of: Arc<ForeignRequests>,
}

impl ForeignRequests {
    /// Starts a task that ends with the request. Returns whether there was room.
    pub(super) fn start<F>(self: &Arc<Self>, asking: NodeId, id: u64, task: F) -> bool
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let place = {
            let mut state = self.lock();
            if state.tasks.len() >= LIMIT {
                return false;
            }
            state.last += 1;
            let place = (asking, id, state.last);
            state.tasks.insert(place, None);
            place
        };
        let entry = Entry { place, of: self.clone() };
        // Not under the lock: a runtime that ends drops the task here.
        let task = tokio::spawn(async move {
            let _entry = entry;
            task.await;
        });
        match self.lock().tasks.get_mut(&place) {
            Some(handle) => *handle = Some(task.abort_handle()),
            // It has ended already, or the hub has.
            None => task.abort(),
        }
        true
    }

    /// Forgets a request: its sessions no longer wait for an answer.
    pub(super) fn forget(&self, asking: NodeId, id: u64) {
        let of_question = (asking, id, 0)..=(asking, id, u64::MAX);
        let tasks: Vec<_> =
            self.lock().tasks.range(of_question).filter_map(|(_, task)| task.clone()).collect();
        tasks.iter().for_each(AbortHandle::abort);
    }

    /// The hub ends.
    pub(super) fn end(&self) {
        let tasks = std::mem::take(&mut self.lock().tasks);
        tasks.into_values().flatten().for_each(|task| task.abort());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned lock is safe to use: no panic can interrupt a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.of.lock().tasks.remove(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[tokio::test]
    async fn a_request_ends_by_itself_or_is_forgotten_or_ends_with_the_hub() {
        let requests = Arc::<ForeignRequests>::default();
        let (one, other) = (NodeId::from_bits(1), NodeId::from_bits(2));
        let (guard, mut ended) = unbounded_channel::<()>();
        let start = |node, id, guard| {
            assert!(requests.start(node, id, async move {
                let _guard = guard;
                pending().await
            }));
        };
        let count = || requests.lock().tasks.len();
        for (node, id) in [(one, 7), (one, 7), (one, 8), (other, 7)] {
            start(node, id, guard.clone());
        }
        assert!(requests.start(one, 7, ready(())));
        while count() > 4 {
            tokio::task::yield_now().await;
        }
        requests.forget(one, 7);
        requests.forget(one, 9);
        while count() > 2 {
            tokio::task::yield_now().await;
        }
        let left: Vec<_> = requests.lock().tasks.keys().map(|&(node, id, _)| (node, id)).collect();
        assert_eq!(left, [(one, 8), (other, 7)]);
        requests.end();
        drop(guard);
        assert_eq!(ended.recv().await, None, "no task is left");
        assert_eq!(count(), 0);
    }

    #[tokio::test]
    async fn there_is_a_limit() {
        let requests = Arc::<ForeignRequests>::default();
        for id in 0..LIMIT {
            assert!(requests.start(NodeId::from_bits(1), id as u64, pending()));
        }
        assert!(!requests.start(NodeId::from_bits(2), 0, pending()));
        requests.forget(NodeId::from_bits(1), 0);
        while requests.lock().tasks.len() == LIMIT {
            tokio::task::yield_now().await;
        }
        assert!(requests.start(NodeId::from_bits(2), 0, pending()));
    }
}

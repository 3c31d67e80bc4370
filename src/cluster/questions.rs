use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::delivery::NodeId;

/// Questions of this node to other nodes that wait for answers.
#[derive(Debug, Default)]
pub(super) struct Questions {
    waiting: Mutex<HashMap<u64, Sender<(NodeId, Bytes)>>>,
    last: AtomicU64,
}

/// The answers to a question, as they come. Later ones are dropped when this value is.
#[derive(Debug)]
pub(crate) struct Answers {
    id: u64,
    receiver: Receiver<(NodeId, Bytes)>,
    questions: Arc<Questions>,
}

/// Answers to one question that wait to be read. Further ones are dropped.
const QUEUE: usize = 1024;

impl Questions {
    pub(super) fn begin(self: &Arc<Self>) -> Answers {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        self.waiting().insert(id, sender);
        Answers { id, receiver, questions: self.clone() }
    }

    pub(super) fn answered(&self, id: u64, by: NodeId, body: Bytes) {
        if let Some(sender) = self.waiting().get(&id) {
            let _ = sender.try_send((by, body));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Sender<(NodeId, Bytes)>>> {
        // A poisoned lock is safe to use: no panic can interrupt a change.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Waits for the next answer, without end. Cancel safe.
    pub(crate) async fn next(&mut self) -> (NodeId, Bytes) {
        match self.receiver.recv().await {
            Some(answer) => answer,
            // The sender is there as long as this value.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.questions.waiting().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_reaches_its_question_while_that_waits() {
        let questions = Arc::<Questions>::default();
        let (mut one, mut other) = (questions.begin(), questions.begin());
        let node = NodeId::from_bits(7);
        questions.answered(other.id(), node, Bytes::from_static(b"other"));
        questions.answered(one.id(), node, Bytes::from_static(b"one"));
        questions.answered(99, node, Bytes::new());
        assert_eq!(one.next().await, (node, Bytes::from_static(b"one")));
        assert_eq!(other.next().await, (node, Bytes::from_static(b"other")));
        for _ in 0..2 * QUEUE {
            questions.answered(one.id(), node, Bytes::new());
        }
        drop((one, other));
        assert!(questions.waiting().is_empty());
    }
}

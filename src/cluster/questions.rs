use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::delivery::NodeId;

/// Questions of this node to other nodes that wait for answers.
#[derive(Debug, Default)]
pub(super) struct Questions {
    waiting: Mutex<HashMap<u64, Waiting>>,
    last: AtomicU64,
}

#[derive(Debug)]
struct Waiting {
    sender: Sender<(NodeId, Bytes)>,
    /// Bytes of answers that have not been read.
    bytes: Arc<AtomicUsize>,
}

/// The answers to a question, as they come. Later ones are dropped when this value is.
#[derive(Debug)]
pub(crate) struct Answers {
    id: u64,
    receiver: Receiver<(NodeId, Bytes)>,
    bytes: Arc<AtomicUsize>,
    questions: Arc<Questions>,
}

/// Answers to one question that wait to be read. Further ones are dropped.
const QUEUE: usize = 1024;
const QUEUE_BYTES: usize = 16 * 1024 * 1024;

impl Questions {
    pub(super) fn begin(self: &Arc<Self>) -> Answers {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (id, bytes) = (self.last.fetch_add(1, Ordering::Relaxed), Arc::<AtomicUsize>::default());
        self.waiting().insert(id, Waiting { sender, bytes: bytes.clone() });
        Answers { id, receiver, bytes, questions: self.clone() }
    }

    pub(super) fn answered(&self, id: u64, by: NodeId, body: Bytes) {
        let waiting = self.waiting();
        let Some(Waiting { sender, bytes }) = waiting.get(&id) else { return };
        let len = body.len();
        // Only this call adds, under the lock.
        let has_room = bytes.load(Ordering::Relaxed) + len <= QUEUE_BYTES;
        // Counted first: it may be read at once.
        bytes.fetch_add(len, Ordering::Relaxed);
        if !has_room || sender.try_send((by, body)).is_err() {
            bytes.fetch_sub(len, Ordering::Relaxed);
            tracing::debug!(node = %by, "dropped an answer of another node: too many wait to be read");
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Waiting>> {
        // A poisoned lock is safe to use: no panic can interrupt a change.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Waits for the next answer, without end. Cancel safe.
    pub(crate) async fn next(&mut self) -> (NodeId, Bytes) {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(NodeId, Bytes)> {
        match ready!(self.receiver.poll_recv(cx)) {
            Some((node, body)) => {
                self.bytes.fetch_sub(body.len(), Ordering::Relaxed);
                Poll::Ready((node, body))
            }
            // The sender is there as long as this value.
            None => Poll::Pending,
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

    #[tokio::test]
    async fn the_answers_that_wait_are_bounded_in_bytes() {
        let questions = Arc::<Questions>::default();
        let mut asked = questions.begin();
        let (node, half) = (NodeId::from_bits(7), Bytes::from(vec![0; QUEUE_BYTES / 2]));
        for _ in 0..3 {
            questions.answered(asked.id(), node, half.clone());
        }
        assert_eq!((asked.receiver.len(), asked.bytes.load(Ordering::Relaxed)), (2, QUEUE_BYTES));
        asked.next().await;
        questions.answered(asked.id(), node, half);
        assert_eq!(asked.receiver.len(), 2, "what is read makes room");
        for _ in 0..2 {
            asked.next().await;
        }
        for _ in 0..2 * QUEUE {
            questions.answered(asked.id(), node, Bytes::from_static(b"x"));
        }
        assert_eq!((asked.receiver.len(), asked.bytes.load(Ordering::Relaxed)), (QUEUE, QUEUE));
    }
}

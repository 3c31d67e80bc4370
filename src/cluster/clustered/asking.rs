//! Questions of a node to the others, and its answers to theirs.

use std::sync::atomic::Ordering;

use tokio::time::timeout;

use super::Clustered;
use crate::cluster::form;
use crate::cluster::{Answers, Question, Topic};
use crate::delivery::{NodeId, Recipients};

impl Clustered {
    /// Asks the other nodes that have such sessions, or all nodes. `None` if they do not get the question.
    pub(crate) async fn ask(&self, to: &Recipients, question: &Question) -> Option<Answers> {
        let answers = self.await_answers();
        self.put(to, answers.id(), question).await.then_some(answers)
    }

    /// Begins a question, which gets its answers from the moment it is [put](Self::put).
    pub(crate) fn await_answers(&self) -> Answers {
        self.0.questions.begin()
    }

    /// Publishes a question with this id. Returns whether the engine has it.
    pub(crate) async fn put(&self, to: &Recipients, id: u64, question: &Question) -> bool {
        let node = &*self.0;
        if !node.awaits_answers.load(Ordering::Acquire) {
            let topic = Topic::node(node.node);
            let subscribed = timeout(node.timing.subscribe, node.backplane.subscribe(&topic)).await;
            if !matches!(subscribed, Ok(Ok(()))) {
                return false;
            }
            node.awaits_answers.store(true, Ordering::Release);
        }
        let message = form::encode_question(node.node, to, id, question);
        node.publish_all(to, message).await
    }

    /// Answers a question of another node.
    pub(crate) async fn answer(&self, asking: NodeId, id: u64, body: &[u8]) {
        self.0.publish(&Topic::node(asking), form::encode_answer(self.0.node, id, body)).await;
    }
}

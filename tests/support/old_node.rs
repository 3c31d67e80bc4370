use bytes::Bytes;
use keywire::async_trait;
use keywire::cluster::{Backplane, BackplaneError, Event, MemoryBackplane, Topic};

/// The way to a node of an earlier version: what a later version asks reaches it as something that does not exist.
pub(crate) struct OldNode {
    pub(crate) inner: MemoryBackplane,
    /// Makes a question into one that the node does not know.
    pub(crate) unknown: fn(&[u8]) -> Vec<u8>,
}

/// Where the kind of a message is, and that of a question.
const KIND: usize = 1;
const QUESTION: u8 = 5;

#[async_trait]
impl Backplane for OldNode {
    async fn publish(&self, topic: &Topic, message: Bytes) -> Result<(), BackplaneError> {
        self.inner.publish(topic, message).await
    }

    async fn subscribe(&self, topic: &Topic) -> Result<(), BackplaneError> {
        self.inner.subscribe(topic).await
    }

    async fn unsubscribe(&self, topic: &Topic) {
        self.inner.unsubscribe(topic).await;
    }

    async fn next(&self) -> Event {
        match self.inner.next().await {
            Event::Message { topic, message } if message[KIND] == QUESTION => {
                Event::Message { topic, message: (self.unknown)(&message).into() }
            }
            event => event,
        }
    }
}

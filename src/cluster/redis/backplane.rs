use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::Redis;
use super::connection::Times;
use super::link::Link;
use super::names::{Names, Partition};
use super::queue::Queue;
use super::source::Source;
use super::subscriber::Subscriber;
use crate::cluster::{Backplane, BackplaneError, Event, Topic};

/// The subscriptions of this node.
pub(super) struct Subscriptions {
    subscriber: Subscriber,
    queue: Arc<Queue>,
}

impl Subscriptions {
    pub(super) fn single(link: Link, source: Source, names: Names, queue: Arc<Queue>, times: Times) -> Self {
        let subscriber = Subscriber::start(link, source, names, Arc::clone(&queue), times, false);
        Self { subscriber, queue }
    }
}

#[async_trait]
impl Backplane for Redis {
    async fn publish(&self, topic: &Topic, message: Bytes) -> Result<(), BackplaneError> {
        let channel = self.shared.names.channel(topic);
        let command: [&[u8]; 3] = [b"PUBLISH", channel.as_bytes(), &message];
        let published = self.shared.commands.call(Partition::of_topic(topic), &command).await;
        published.map(drop).map_err(BackplaneError::new)
    }

    async fn subscribe(&self, topic: &Topic) -> Result<(), BackplaneError> {
        self.shared.subscriptions.subscriber.subscribe(topic).await.map_err(BackplaneError::new)
    }

    async fn unsubscribe(&self, topic: &Topic) {
        self.shared.subscriptions.subscriber.unsubscribe(topic);
    }

    async fn next(&self) -> Event {
        self.shared.subscriptions.queue.next().await
    }
}

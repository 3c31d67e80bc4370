use async_trait::async_trait;
use bytes::Bytes;

use super::Redis;
use super::names::Partition;
use super::subscriptions::Subscriptions;
use crate::cluster::{Backplane, BackplaneError, Event, Topic};

#[async_trait]
impl Backplane for Redis {
    async fn publish(&self, topic: &Topic, message: Bytes) -> Result<(), BackplaneError> {
        let channel = self.shared.names.channel(topic);
        let verb: &[u8] = match self.shared.subscriptions {
            Subscriptions::Single(_) => b"PUBLISH",
            Subscriptions::Cluster(_) => b"SPUBLISH",
        };
        let command: [&[u8]; 3] = [verb, channel.as_bytes(), &message];
        let published = self.shared.commands.call(Partition::of_topic(topic), &command).await;
        published.map(drop).map_err(BackplaneError::new)
    }

    async fn subscribe(&self, topic: &Topic) -> Result<(), BackplaneError> {
        let subscribed = match &self.shared.subscriptions {
            Subscriptions::Single(subscriber) => subscriber.subscribe(topic).await,
            Subscriptions::Cluster(shards) => shards.subscribe(topic).await,
        };
        subscribed.map_err(BackplaneError::new)
    }

    async fn unsubscribe(&self, topic: &Topic) {
        match &self.shared.subscriptions {
            Subscriptions::Single(subscriber) => subscriber.unsubscribe(topic),
            Subscriptions::Cluster(shards) => shards.unsubscribe(topic),
        }
    }

    async fn next(&self) -> Event {
        self.shared.queue.next().await
    }
}

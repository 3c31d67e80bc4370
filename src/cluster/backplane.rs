use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::Topic;

/// Carries messages between the nodes of a cluster. It knows topics and bytes, and nothing of sessions.
///
/// [`MemoryBackplane`](super::MemoryBackplane) joins several hubs of one process. `Redis` and `Nats` join machines. Implement the
/// trait for another engine:
///
/// ```
/// use std::collections::HashSet;
/// use std::sync::Mutex;
///
/// use bytes::Bytes;
/// use keywire::async_trait;
/// use keywire::cluster::{Backplane, BackplaneError, Event, Topic};
/// use tokio::sync::broadcast::error::RecvError;
/// use tokio::sync::broadcast::{Receiver, Sender, channel};
///
/// /// Nodes that share one channel.
/// struct ChannelBackplane {
///     sender: Sender<(Topic, Bytes)>,
///     inbox: tokio::sync::Mutex<Inbox>,
///     topics: Mutex<HashSet<Topic>>,
/// }
///
/// struct Inbox {
///     receiver: Receiver<(Topic, Bytes)>,
///     interrupted: bool,
/// }
///
/// impl ChannelBackplane {
///     fn join(sender: &Sender<(Topic, Bytes)>) -> Self {
///         let inbox = Inbox { receiver: sender.subscribe(), interrupted: false };
///         Self { sender: sender.clone(), inbox: inbox.into(), topics: Mutex::default() }
///     }
/// }
///
/// #[async_trait]
/// impl Backplane for ChannelBackplane {
///     async fn publish(&self, topic: &Topic, message: Bytes) -> Result<(), BackplaneError> {
///         self.sender.send((topic.clone(), message)).map(drop).map_err(BackplaneError::new)
///     }
///
///     async fn subscribe(&self, topic: &Topic) -> Result<(), BackplaneError> {
///         self.topics.lock().unwrap().insert(topic.clone());
///         Ok(())
///     }
///
///     async fn unsubscribe(&self, topic: &Topic) {
///         self.topics.lock().unwrap().remove(topic);
///     }
///
///     async fn next(&self) -> Event {
///         let mut inbox = self.inbox.lock().await;
///         loop {
///             if std::mem::take(&mut inbox.interrupted) {
///                 return Event::Restored;
///             }
///             match inbox.receiver.recv().await {
///                 Ok((topic, message)) if self.topics.lock().unwrap().contains(&topic) => {
///                     return Event::Message { topic, message };
///                 }
///                 Ok(_) => {}
///                 Err(RecvError::Lagged(_)) => {
///                     inbox.interrupted = true;
///                     return Event::Interrupted;
///                 }
///                 Err(RecvError::Closed) => std::future::pending().await,
///             }
///         }
///     }
/// }
/// # #[cfg(feature = "testing")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// #     let (sender, _) = channel(1024);
/// #     let nodes = [ChannelBackplane::join(&sender), ChannelBackplane::join(&sender)];
/// #     keywire::testing::backplane::all(&nodes[0], &nodes[1]).await;
/// # });
/// ```
///
/// # Contract
///
/// - A message reaches each node that is subscribed to its topic, at most once, and may reach the node that published it, which
///   ignores it. Messages that one node publishes to one topic arrive in their order.
/// - The subscriptions of a node are what the last call for each topic was. After an interruption the backplane subscribes again by
///   itself, without end.
/// - The backplane never blocks on a node that does not call `next`: beyond a bound it drops messages, and reports
///   [`Event::Interrupted`], and then [`Event::Restored`].
/// - While the engine is away `publish` fails at once or soon, and `subscribe` records the topic all the same.
///
/// # Failures and cancel safety
///
/// A call that takes too long is dropped. A dropped `publish` may have published. A dropped `subscribe` is still in force.
///
/// # Testing yours
///
/// `keywire::testing::backplane` has the checks that keywire's own backplanes are tested with.
#[async_trait]
pub trait Backplane: Send + Sync + 'static {
    /// Publishes a message to all nodes that are subscribed to the topic. Returns when the engine has it.
    ///
    /// # Errors
    ///
    /// If the engine does not have it, or may not have it.
    async fn publish(&self, topic: &Topic, message: Bytes) -> Result<(), BackplaneError>;

    /// Subscribes this node to a topic. After `Ok` the node gets what is published from then on. No effect if it is subscribed.
    ///
    /// # Errors
    ///
    /// If the engine is away. The subscription is made when it is back, and [`Event::Restored`] follows.
    async fn subscribe(&self, topic: &Topic) -> Result<(), BackplaneError>;

    /// Ends the subscription of this node to a topic. Does not wait for the engine.
    async fn unsubscribe(&self, topic: &Topic);

    /// Waits for the next event. Called by one task, again and again. Cancel safe: a dropped call loses no event.
    async fn next(&self) -> Event;
}

/// What a [`Backplane`] tells its node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A message that was published to a topic of this node.
    Message {
        /// The topic it was published to.
        topic: Topic,
        /// The message.
        message: Bytes,
    },
    /// From here on messages may be lost, in either direction: the engine is away, or this node was too slow.
    Interrupted,
    /// The engine takes messages, and all subscriptions are confirmed again: after [`Event::Interrupted`], or after a subscription
    /// that failed.
    Restored,
}

/// Failure of a [`Backplane`].
#[derive(Debug, thiserror::Error)]
#[error("the backplane failed")]
pub struct BackplaneError(#[source] Box<dyn Error + Send + Sync>);

impl BackplaneError {
    /// A failure with its reason.
    pub fn new(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(reason.into())
    }
}

// Every method is forwarded: otherwise the trait's default would replace the backplane's own method.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<B: Backplane + ?Sized> Backplane for Arc<B> {
    async fn publish(&self, topic: &Topic, message: Bytes) -> Result<(), BackplaneError> {
        (**self).publish(topic, message).await
    }

    async fn subscribe(&self, topic: &Topic) -> Result<(), BackplaneError> {
        (**self).subscribe(topic).await
    }

    async fn unsubscribe(&self, topic: &Topic) {
        (**self).unsubscribe(topic).await;
    }

    async fn next(&self) -> Event {
        (**self).next().await
    }
}

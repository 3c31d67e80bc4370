use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::cluster::{Event, Topic};

/// The events that wait for [`Backplane::next`](crate::cluster::Backplane::next), bounded in number and bytes.
///
/// Beyond the bound it drops messages until it is empty. Then, and while a connection or a subscription is away, the node is interrupted.
pub(super) struct Queue {
    inner: Mutex<Inner>,
    changed: Notify,
    bound: Bound,
}

/// Bound of a queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

#[derive(Default)]
struct Inner {
    events: VecDeque<Event>,
    messages: usize,
    bytes: usize,
    /// Messages are dropped.
    overflow: bool,
    /// Connections that are away.
    away: usize,
}

impl Queue {
    pub(super) fn new(bound: Bound) -> Self {
        Self { inner: Mutex::default(), changed: Notify::new(), bound }
    }

    pub(super) fn message(&self, topic: Topic, message: Bytes) {
        let mut inner = self.lock();
        if inner.overflow {
            return;
        }
        let full = inner.messages >= self.bound.messages || inner.bytes + message.len() > self.bound.bytes;
        // A message that is larger than the bound alone is dropped as well.
        if full {
            tracing::warn!("Redis: messages arrive faster than this node takes them; some are dropped");
            inner.interrupt();
            inner.overflow = true;
        } else {
            inner.messages += 1;
            inner.bytes += message.len();
            inner.events.push_back(Event::Message { topic, message });
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// A connection is away, or may have missed messages.
    pub(super) fn interrupted(&self) {
        let mut inner = self.lock();
        inner.interrupt();
        inner.away += 1;
        drop(inner);
        self.changed.notify_one();
    }

    /// That connection is back, with all its subscriptions confirmed.
    pub(super) fn restored(&self) {
        let mut inner = self.lock();
        inner.away -= 1;
        if inner.away == 0 && !inner.overflow {
            inner.events.push_back(Event::Restored);
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// The next event. Cancel safe.
    pub(super) async fn next(&self) -> Event {
        loop {
            let changed = self.changed.notified();
            if let Some(event) = self.lock().pop() {
                return event;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A poisoned lock is safe to use: no panic can interrupt a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time for which a connection for commands is away. It ends when this is dropped, with its connection too.
pub(super) struct Outage<'a>(&'a Queue);

impl<'a> Outage<'a> {
    pub(super) fn begin(queue: &'a Queue) -> Self {
        queue.interrupted();
        Self(queue)
    }
}

impl Drop for Outage<'_> {
    fn drop(&mut self) {
        self.0.restored();
    }
}

impl Inner {
    fn interrupt(&mut self) {
        if self.overflow || self.away > 0 {
            return;
        }
        // Nothing has arrived in between: the node is still interrupted. So a node that never calls `next` gets no pile of these.
        if self.events.back() == Some(&Event::Restored) {
            self.events.pop_back();
        } else {
            self.events.push_back(Event::Interrupted);
        }
    }

    fn pop(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if let Some(Event::Message { message, .. }) = &event {
            self.messages -= 1;
            self.bytes -= message.len();
        }
        if event.is_some() {
            return event;
        }
        // After a burst the memory is given back.
        if self.events.capacity() > 1024 {
            self.events = VecDeque::new();
        }
        let ended = std::mem::take(&mut self.overflow);
        (ended && self.away == 0).then_some(Event::Restored)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn queue() -> Queue {
        Queue::new(Bound { messages: 2, bytes: 10 })
    }

    fn send(queue: &Queue, text: &'static str) {
        queue.message(Topic::ALL, Bytes::from_static(text.as_bytes()));
    }

    fn all(queue: &Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.next().now_or_never())
            .map(|event| match event {
                Event::Message { message, .. } => String::from_utf8_lossy(&message).into_owned(),
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn beyond_the_bound_messages_are_dropped_and_the_node_is_told() {
        let queue = queue();
        for text in ["a", "b", "c", "d"] {
            send(&queue, text);
        }
        assert_eq!(all(&queue), ["a", "b", "Interrupted", "Restored"]);
        send(&queue, "e");
        send(&queue, "0123456789");
        send(&queue, "f");
        assert_eq!(all(&queue), ["e", "Interrupted", "Restored"]);
        send(&queue, "larger than all");
        assert_eq!(all(&queue), ["Interrupted", "Restored"]);
        send(&queue, "g");
        assert_eq!(all(&queue), ["g"]);
    }

    #[test]
    fn a_node_is_restored_when_all_is_well_again() {
        let queue = queue();
        queue.interrupted();
        queue.interrupted();
        queue.restored();
        for text in ["a", "b", "c"] {
            send(&queue, text);
        }
        queue.restored();
        assert_eq!(all(&queue), ["Interrupted", "a", "b", "Restored"]);
        for text in ["a", "b", "c"] {
            send(&queue, text);
        }
        queue.interrupted();
        assert_eq!(all(&queue), ["a", "b", "Interrupted"]);
        queue.restored();
        assert_eq!(all(&queue), ["Restored"]);
    }

    #[test]
    fn interruptions_do_not_pile_up() {
        let queue = queue();
        send(&queue, "a");
        for _ in 0..1000 {
            queue.interrupted();
            queue.restored();
        }
        assert!(queue.lock().events.len() <= 3);
        assert_eq!(all(&queue), ["a", "Interrupted", "Restored"]);
    }
}

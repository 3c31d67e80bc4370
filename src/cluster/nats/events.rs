//! What the backplane tells its node: a bounded queue that never blocks who fills it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::super::{Event, Topic};

/// The queue of one node.
#[derive(Debug)]
pub(super) struct Events {
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Debug)]
struct Queue {
    events: VecDeque<Event>,
    /// Bytes of the messages.
    bytes: usize,
    bounds: Bounds,
    /// Messages were dropped since the queue was full. Further ones are, until half of it is taken.
    is_full: bool,
    /// Subscriptions are not confirmed.
    is_down: bool,
    /// `Interrupted` stands without its `Restored`.
    is_interrupted: bool,
}

/// How much waits at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { messages: 65_536, bytes: 32 * 1024 * 1024 }
    }
}

impl Events {
    pub(super) fn new(bounds: Bounds) -> Self {
        let queue = Queue {
            events: VecDeque::new(),
            bytes: 0,
            bounds,
            is_full: false,
            is_down: false,
            is_interrupted: false,
        };
        Self { queue: Mutex::new(queue), filled: Notify::new() }
    }

    /// Adds a message, or drops it if there is no room.
    pub(super) fn message(&self, topic: Topic, message: Bytes) {
        self.queue().message(topic, message);
        self.filled.notify_one();
    }

    /// The subscriptions are gone.
    pub(super) fn down(&self) {
        let mut queue = self.queue();
        queue.is_down = true;
        queue.interrupt();
        drop(queue);
        self.filled.notify_one();
    }

    /// All subscriptions are confirmed.
    pub(super) fn up(&self) {
        let mut queue = self.queue();
        queue.is_down = false;
        queue.settle();
        drop(queue);
        self.filled.notify_one();
    }

    /// Waits for the next event. Cancel safe.
    pub(super) async fn next(&self) -> Event {
        loop {
            if let Some(event) = self.queue().take() {
                return event;
            }
            self.filled.notified().await;
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A poisoned lock is safe to use: no panic can interrupt a change.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn message(&mut self, topic: Topic, message: Bytes) {
        let is_over = self.events.len() >= self.bounds.messages
            || self.bytes.saturating_add(message.len()) > self.bounds.bytes;
        if is_over && !self.is_full {
            self.is_full = true;
            self.interrupt();
        }
        if !self.is_full {
            self.bytes += message.len();
            self.events.push_back(Event::Message { topic, message });
        }
    }

    fn take(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if let Some(Event::Message { message, .. }) = &event {
            self.bytes -= message.len();
        }
        if self.is_full
            && self.events.len() <= self.bounds.messages / 2
            && self.bytes <= self.bounds.bytes / 2
        {
            self.is_full = false;
            self.settle();
        }
        let event = event.or_else(|| self.events.pop_front());
        if self.events.is_empty() {
            // A burst leaves no memory behind.
            self.events = VecDeque::new();
        }
        event
    }

    fn interrupt(&mut self) {
        if self.is_interrupted {
            return;
        }
        self.is_interrupted = true;
        // Nothing came between: the two would only fill the queue of a connection that comes and goes.
        if self.events.back() == Some(&Event::Restored) {
            self.events.pop_back();
        } else {
            self.events.push_back(Event::Interrupted);
        }
    }

    fn settle(&mut self) {
        if self.is_interrupted && !self.is_down && !self.is_full {
            self.is_interrupted = false;
            self.events.push_back(Event::Restored);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// The queue's content: the first byte of a message, `!` for an interruption, `+` for its end.
    fn taken(events: &Events, most: usize) -> String {
        let take = || {
            Some(match events.next().now_or_never()? {
                Event::Message { message, .. } => char::from(message[0]),
                Event::Interrupted => '!',
                Event::Restored => '+',
            })
        };
        (0..most).map_while(|_| take()).collect()
    }

    fn fill(events: &Events, text: &'static str) {
        for byte in text.as_bytes() {
            events.message(Topic::ALL, Bytes::copy_from_slice(&[*byte]));
        }
    }

    #[test]
    fn an_overflow_drops_and_is_told_and_ends_when_half_is_taken() {
        let events = Events::new(Bounds { messages: 4, bytes: 100 });
        fill(&events, "abcdef");
        assert_eq!(taken(&events, 2), "ab");
        fill(&events, "g");
        assert_eq!(taken(&events, 1), "c");
        fill(&events, "h");
        assert_eq!(taken(&events, 9), "d!+h");
        fill(&events, "i");
        assert_eq!(taken(&events, 9), "i");
    }

    #[test]
    fn bytes_count_as_well() {
        let events = Events::new(Bounds { messages: 100, bytes: 10 });
        for byte in [b'a', b'b', b'c'] {
            events.message(Topic::ALL, Bytes::from(vec![byte; 4]));
        }
        assert_eq!(taken(&events, 9), "ab!+");
    }

    #[test]
    fn an_overflow_without_a_connection_ends_with_it() {
        let events = Events::new(Bounds { messages: 2, bytes: 100 });
        fill(&events, "abc");
        events.down();
        assert_eq!(taken(&events, 9), "ab!");
        events.up();
        assert_eq!(taken(&events, 9), "+");
    }

    #[test]
    fn an_overflow_of_one_large_message_ends() {
        let events = Events::new(Bounds { messages: 2, bytes: 1 });
        events.down();
        assert_eq!(taken(&events, 9), "!");
        events.message(Topic::ALL, Bytes::from_static(b"large"));
        events.up();
        assert_eq!(taken(&events, 9), "+");
    }

    #[test]
    fn a_connection_that_comes_and_goes_fills_nothing() {
        let events = Events::new(Bounds::default());
        fill(&events, "a");
        for _ in 0..1000 {
            events.down();
            events.down();
            events.up();
        }
        fill(&events, "b");
        events.down();
        assert_eq!(taken(&events, 9), "a!+b!");
    }
}

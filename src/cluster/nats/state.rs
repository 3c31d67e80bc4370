//! What the callers and the task of the connection share.
//!
//! What is sent goes into a buffer that one task writes. A `PING` behind it confirms it: the server answers in order. While there is
//! no connection, nothing is buffered.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use tokio::sync::{Notify, oneshot};

use super::super::Topic;
use super::events::{Bounds, Events};
use super::wire::{Info, Message};
use super::{NatsError, subject};

pub(super) struct Shared {
    state: Mutex<State>,
    /// Something is to be written.
    pub(super) filled: Notify,
    pub(super) events: Events,
    /// What is before the tokens of topics.
    pub(super) topics: String,
    /// What is before the numbers of requests.
    pub(super) inbox: String,
}

#[derive(Default)]
pub(super) struct State {
    /// What the server has said, while there is a connection.
    pub(super) link: Option<Info>,
    /// Number of connections so far.
    pub(super) epoch: u64,
    out: BytesMut,
    /// Who waits for the answer to the next `PING`.
    unconfirmed: Confirmation,
    /// Who waits for the answers to those that were sent.
    pings: VecDeque<Confirmation>,
    /// The subscriptions that are wanted, with their numbers.
    topics: HashMap<Topic, u64>,
    requests: HashMap<u64, Pending>,
    /// What the server has refused last.
    pub(super) refusal: Option<Arc<str>>,
    last_number: u64,
}

/// The confirmation of what was sent, or the server's words where it refuses something.
pub(super) type Confirmed = Result<(), Arc<str>>;

#[derive(Default)]
struct Confirmation {
    waiting: Vec<oneshot::Sender<Confirmed>>,
    /// All subscriptions of a new connection are confirmed.
    restores: bool,
}

/// A request without its answer.
pub(super) enum Pending {
    One(oneshot::Sender<Vec<Message>>),
    /// Several messages, and one that says that there are no more.
    Batch(Vec<Message>, oneshot::Sender<Vec<Message>>),
}

/// Number of the subscription to answers.
const INBOX: u64 = 1;

/// Bytes that wait to be written at most, subscriptions aside.
const BUFFER: usize = 16 * 1024 * 1024;

/// Messages of one answer at most, more than any request asks for.
const BATCH: usize = 16 * 1024;

/// The buffer keeps this many bytes between two bursts.
const KEPT: usize = 64 * 1024;

impl Shared {
    pub(super) fn new(prefix: &str, inbox: String, bounds: Bounds) -> Self {
        Self {
            state: Mutex::new(State { last_number: INBOX, ..State::default() }),
            filled: Notify::new(),
            events: Events::new(bounds),
            topics: subject::of_topics(prefix),
            inbox,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned lock is safe to use: no panic can interrupt a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection is there: everything that is wanted is subscribed, and then confirmed.
    pub(super) fn up(&self, info: Info) {
        let mut state = self.state();
        state.link = Some(info);
        state.epoch += 1;
        let State { topics, out, .. } = &mut *state;
        line(out, &["SUB", &format!("{}*", self.inbox)], INBOX);
        for (topic, number) in topics {
            line(out, &["SUB", &subject::of_topic(&self.topics, topic)], *number);
        }
        state.unconfirmed.restores = true;
        drop(state);
        self.filled.notify_one();
    }

    /// The connection is gone. Who waits for an answer learns that there will be none.
    pub(super) fn down(&self) {
        let mut state = self.state();
        state.link = None;
        state.out = BytesMut::new();
        state.unconfirmed = Confirmation::default();
        state.pings.clear();
        state.requests.clear();
        drop(state);
        self.events.down();
    }

    /// A message has come: the answer to a request, or one of a topic. The headers that the server adds are dropped.
    pub(super) fn message(&self, message: Message) {
        let Ok(subject) = str::from_utf8(&message.subject) else { return };
        if let Some(number) = subject.strip_prefix(&self.inbox) {
            if let Ok(number) = number.parse() {
                self.state().answer(number, message);
            }
            return;
        }
        let Some(topic) = subject::to_topic(&self.topics, subject) else { return };
        // A message may still be on its way when its subscription has ended.
        if self.state().topics.contains_key(&topic) {
            self.events.message(topic, message.payload);
        }
    }

    pub(super) fn ping(&self) {
        self.state().out.extend_from_slice(b"PONG\r\n");
        self.filled.notify_one();
    }

    pub(super) fn pong(&self) {
        let Some(confirmation) = self.state().pings.pop_front() else { return };
        if confirmation.restores {
            self.events.up();
        }
        for waiting in confirmation.waiting {
            // The caller may have given up meanwhile.
            let _ = waiting.send(Ok(()));
        }
    }

    /// The server refuses something that was sent before the next `PONG`.
    pub(super) fn refused(&self, text: String) {
        tracing::warn!(error = text, "the NATS server reports an error");
        let text: Arc<str> = text.into();
        let mut state = self.state();
        state.refusal = Some(Arc::clone(&text));
        let State { pings, unconfirmed, .. } = &mut *state;
        for waiting in pings.front_mut().unwrap_or(unconfirmed).waiting.drain(..) {
            let _ = waiting.send(Err(Arc::clone(&text)));
        }
    }
}

impl State {
    /// Puts a message into the buffer, if there is a connection and room.
    pub(super) fn send(
        &mut self,
        subject: &str,
        reply: Option<&str>,
        headers: &str,
        payload: &[&[u8]],
    ) -> Result<(), NatsError> {
        let info = self.link.as_ref().ok_or(NatsError::Disconnected)?;
        let bytes = headers.len() + payload.iter().map(|part| part.len()).sum::<usize>();
        if bytes > info.max_payload {
            return Err(NatsError::TooLarge { bytes, limit: info.max_payload });
        }
        if self.out.len() + bytes > BUFFER {
            return Err(NatsError::Busy);
        }
        let mut words = vec![if headers.is_empty() { "PUB" } else { "HPUB" }, subject];
        words.extend(reply);
        let len = headers.len().to_string();
        if !headers.is_empty() {
            words.push(&len);
        }
        line(&mut self.out, &words, bytes as u64);
        self.out.extend_from_slice(headers.as_bytes());
        payload.iter().for_each(|part| self.out.extend_from_slice(part));
        self.out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Sends a request, and registers who waits for its answer. `pending` gets the number that identifies it.
    pub(super) fn request(
        &mut self,
        subject: &str,
        inbox: &str,
        headers: &str,
        payload: &[&[u8]],
        pending: Pending,
    ) -> Result<u64, NatsError> {
        let number = self.last_number + 1;
        self.send(subject, Some(&format!("{inbox}{number}")), headers, payload)?;
        self.last_number = number;
        self.requests.insert(number, pending);
        Ok(number)
    }

    pub(super) fn give_up(&mut self, request: u64) {
        self.requests.remove(&request);
    }

    fn answer(&mut self, number: u64, message: Message) {
        let Entry::Occupied(mut pending) = self.requests.entry(number) else { return };
        if let Pending::Batch(messages, _) = pending.get_mut() {
            // A server before 2.11 answers with one message, without this header.
            let is_last = message.headers.status().is_some()
                || message.headers.get("Nats-Num-Pending").is_none()
                || messages.len() >= BATCH;
            if !is_last {
                messages.push(message);
                return;
            }
        }
        // The caller may have given up meanwhile.
        let _ = match pending.remove() {
            Pending::One(answer) => answer.send(vec![message]),
            Pending::Batch(mut messages, answer) => {
                messages.push(message);
                answer.send(messages)
            }
        };
    }

    /// Subscribes if the topic is not subscribed, now or as soon as there is a connection.
    pub(super) fn subscribe(&mut self, topic: &Topic, subject: &str) {
        let Entry::Vacant(vacant) = self.topics.entry(topic.clone()) else { return };
        self.last_number += 1;
        vacant.insert(self.last_number);
        if self.link.is_some() {
            line(&mut self.out, &["SUB", subject], self.last_number);
        }
    }

    pub(super) fn unsubscribe(&mut self, topic: &Topic) {
        let Some(number) = self.topics.remove(topic) else { return };
        if self.link.is_some() {
            line(&mut self.out, &["UNSUB"], number);
        }
        let (len, capacity) = (self.topics.len(), self.topics.capacity());
        if capacity > 1024 && len < capacity / 4 {
            self.topics.shrink_to(2 * len);
        }
    }

    /// The confirmation of all that was sent until now.
    pub(super) fn confirm(&mut self) -> oneshot::Receiver<Confirmed> {
        let (confirm, confirmed) = oneshot::channel();
        self.unconfirmed.waiting.push(confirm);
        confirmed
    }

    /// Swaps what is to be written for an empty buffer. A `PING` behind it asks for the confirmation, if anybody waits for one.
    pub(super) fn swap_out(&mut self, buffer: &mut BytesMut) {
        if !self.unconfirmed.waiting.is_empty() || self.unconfirmed.restores {
            self.out.extend_from_slice(b"PING\r\n");
            self.pings.push_back(std::mem::take(&mut self.unconfirmed));
        }
        buffer.clear();
        if buffer.capacity() > KEPT {
            *buffer = BytesMut::new();
        }
        std::mem::swap(&mut self.out, buffer);
    }
}

/// Puts a line into the buffer: words, and a number.
fn line(out: &mut BytesMut, words: &[&str], number: u64) {
    for word in words {
        out.extend_from_slice(word.as_bytes());
        out.extend_from_slice(b" ");
    }
    out.extend_from_slice(number.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}

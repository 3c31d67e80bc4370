//! The client of NATS: one connection for everything, with subscriptions of a few bytes each.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::{Event, Topic};
use super::dial::dial_any;
use super::events::Bounds;
use super::headers::HeadersOut;
use super::server::Server;
use super::state::{Confirmed, Pending, Shared};
use super::wire::{Info, Message};
use super::{NatsError, keep, subject};
use crate::cluster::tls::Tls;

pub(super) struct Client {
    shared: Arc<Shared>,
    timeout: Duration,
    task: JoinHandle<()>,
}

impl Client {
    /// Connects, with one attempt for each server.
    pub(super) async fn connect(
        servers: Vec<Server>,
        prefix: &str,
        inbox: String,
        timeout: Duration,
        bounds: Bounds,
        tls: Tls,
    ) -> Result<Self, NatsError> {
        let link = dial_any(&servers, &tls).await?;
        let shared = Arc::new(Shared::new(prefix, inbox, bounds));
        shared.up(link.info.clone());
        let task = tokio::spawn(keep::keep(Arc::clone(&shared), servers, tls, link));
        Ok(Self { shared, timeout, task })
    }

    /// What the server has said. `None` if there is no connection.
    pub(super) fn info(&self) -> Option<Info> {
        self.shared.state().link.clone()
    }

    /// The number of connections so far.
    pub(super) fn epoch(&self) -> u64 {
        self.shared.state().epoch
    }

    pub(super) async fn next_event(&self) -> Event {
        self.shared.events.next().await
    }

    /// Publishes, and waits until the server has it.
    pub(super) async fn publish(&self, topic: &Topic, payload: &[u8]) -> Result<(), NatsError> {
        let subject = subject::of_topic(&self.shared.topics, topic);
        let confirmed = {
            let mut state = self.shared.state();
            state.send(&subject, None, "", &[payload])?;
            state.confirm()
        };
        self.confirmed(confirmed).await
    }

    /// Subscribes, and waits until the server confirms it.
    pub(super) async fn subscribe(&self, topic: &Topic) -> Result<(), NatsError> {
        let subject = subject::of_topic(&self.shared.topics, topic);
        let confirmed = {
            let mut state = self.shared.state();
            state.subscribe(topic, &subject);
            if state.link.is_none() {
                return Err(NatsError::Disconnected);
            }
            state.confirm()
        };
        self.confirmed(confirmed).await
    }

    pub(super) fn unsubscribe(&self, topic: &Topic) {
        self.shared.state().unsubscribe(topic);
        self.shared.filled.notify_one();
    }

    /// Sends a request and waits for the answer.
    pub(super) async fn request(
        &self,
        subject: &str,
        headers: Option<&HeadersOut>,
        payload: &[&[u8]],
    ) -> Result<Message, NatsError> {
        let mut answers = self.call(subject, headers, payload, Pending::One).await?;
        answers.pop().ok_or(NatsError::Lost)
    }

    /// Sends a request that several messages answer. The last one may only say that there are no more.
    pub(super) async fn request_batch(
        &self,
        subject: &str,
        payload: &[u8],
    ) -> Result<Vec<Message>, NatsError> {
        self.call(subject, None, &[payload], |answer| Pending::Batch(Vec::new(), answer)).await
    }

    async fn call(
        &self,
        subject: &str,
        headers: Option<&HeadersOut>,
        payload: &[&[u8]],
        pending: impl FnOnce(oneshot::Sender<Vec<Message>>) -> Pending,
    ) -> Result<Vec<Message>, NatsError> {
        let (answer, answered) = oneshot::channel();
        let headers = headers.map(HeadersOut::to_wire).unwrap_or_default();
        let shared = &*self.shared;
        let number = shared.state().request(subject, &shared.inbox, &headers, payload, pending(answer))?;
        let _request = Request { shared, number };
        shared.filled.notify_one();
        let answers = match timeout(self.timeout, answered).await {
            Ok(answers) => answers.map_err(|_| NatsError::Lost)?,
            Err(_) => return Err(self.why_silent(subject)),
        };
        if answers.first().and_then(|answer| answer.headers.status()) == Some(503) {
            return Err(NatsError::NoResponders(subject.to_owned()));
        }
        Ok(answers)
    }

    /// The server does not answer a request that it refuses: its error comes apart from it.
    fn why_silent(&self, subject: &str) -> NatsError {
        let refusal = self.shared.state().refusal.clone();
        let names_it = |refusal: &Arc<str>| refusal.contains(&format!("\"{subject}\""));
        refusal.filter(names_it).map_or(NatsError::NoAnswer, NatsError::Server)
    }

    async fn confirmed(&self, confirmed: oneshot::Receiver<Confirmed>) -> Result<(), NatsError> {
        self.shared.filled.notify_one();
        match timeout(self.timeout, confirmed).await {
            Ok(Ok(confirmed)) => confirmed.map_err(NatsError::Server),
            Ok(Err(_)) => Err(NatsError::Lost),
            Err(_) => Err(NatsError::NoAnswer),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A request in flight. Its answer is not waited for when this is dropped.
struct Request<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.shared.state().give_up(self.number);
    }
}

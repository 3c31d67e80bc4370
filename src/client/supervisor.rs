//! Connects and reconnects.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::backoff::random;
use super::dial::Socket;
use super::following::Following;
use super::progress::Progress;
use super::settings::Settings;
use super::{ClientError, Credential, End, Event, Message, Outgoing};
use crate::deadline::after;
use crate::websocket::CloseCode;

/// The task behind a client.
pub(super) struct Supervisor {
    pub(super) settings: Arc<Settings>,
    /// Progress in the log, if the client follows it.
    pub(super) following: Option<Following>,
    /// The queue of messages. Only an open connection takes from it.
    pub(super) outgoing: mpsc::Receiver<Outgoing>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) shutdown: Shutdown,
    /// Messages that the last connection took from the queue and did not send.
    pub(super) unsent: Vec<Message>,
    /// Cancels the token of [`Client::closed`](super::Client::closed) on drop.
    pub(super) _ended: DropGuard,
}

/// Signals that end the client.
pub(super) struct Shutdown {
    /// The application has closed the client.
    pub(super) requested: CancellationToken,
    /// All handles are dropped.
    pub(super) no_handles: CancellationToken,
    /// The events are dropped.
    pub(super) no_events: CancellationToken,
}

impl Shutdown {
    /// Ready when the client must end.
    pub(super) async fn begun(&self) {
        tokio::select! {
            () = self.requested.cancelled() => {}
            () = async {
                self.no_handles.cancelled().await;
                self.no_events.cancelled().await;
            } => {}
        }
    }

    fn has_begun(&self) -> bool {
        self.requested.is_cancelled() || (self.no_handles.is_cancelled() && self.no_events.is_cancelled())
    }
}

/// How a connection or an attempt ended.
pub(super) struct Ended {
    pub(super) code: CloseCode,
    pub(super) reason: String,
}

impl Ended {
    /// Ended without a close frame.
    pub(super) fn lost() -> Self {
        Self { code: CloseCode::ABNORMAL, reason: String::new() }
    }

    /// Ended by the client.
    pub(super) fn closed() -> Self {
        Self { code: CloseCode::NORMAL, reason: String::new() }
    }
}

impl Supervisor {
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            let mut opened_at = None;
            let Ended { code, reason } = self.connection(&mut opened_at).await;
            if opened_at.is_some_and(|moment: Instant| moment.elapsed() >= self.settings.settle) {
                failures = 0;
            }
            let returns = code.is_retryable() && !self.shutdown.has_begun();
            if !returns {
                return self.finish(End { code, reason, returns_in: None }).await;
            }
            let delay = self.settings.backoff.after(code, &reason, failures, random());
            self.tell(Event::Closed(End { code, reason, returns_in: Some(delay) })).await;
            failures = failures.saturating_add(1);
            self.unsent.clear();
            tokio::select! {
                () = self.shutdown.begun() => {
                    let Ended { code, reason } = Ended::closed();
                    return self.finish(End { code, reason, returns_in: None }).await;
                }
                () = sleep(delay) => {}
            }
        }
    }

    /// Reports the messages that were accepted and not sent, and then the end. The application has the time `pong` to read these
    /// events.
    async fn finish(mut self, end: End) {
        self.outgoing.close();
        while let Some(Outgoing { message, reply }) = self.outgoing.recv().await {
            // The error of a request reports it.
            if reply.is_none() {
                self.unsent.push(message);
            }
        }
        let due = after(Instant::now(), self.settings.pong);
        let count = self.unsent.len();
        let events = self.unsent.drain(..).map(Event::Unsent).chain([Event::Closed(end)]);
        for event in events {
            if !matches!(timeout_at(due, self.events.send(event)).await, Ok(Ok(()))) {
                if count > 0 {
                    tracing::warn!(count, "the client ended before it sent all accepted messages");
                }
                return;
            }
        }
    }

    /// Runs one attempt and its connection.
    async fn connection(&mut self, opened_at: &mut Option<Instant>) -> Ended {
        let due = after(Instant::now(), self.settings.attempt);
        let dialed = tokio::select! {
            () = self.shutdown.begun() => return Ended::closed(),
            dialed = self.dial(due) => dialed,
        };
        match dialed {
            Ok((socket, progress, credential)) => {
                self.converse(socket, progress, credential, due, opened_at).await
            }
            Err(error) => {
                self.tell(Event::Failed(error)).await;
                Ended::lost()
            }
        }
    }

    async fn dial(&self, due: Instant) -> Result<(Socket, Progress, Option<Credential>), ClientError> {
        let Settings { endpoint, credentials, place, message_bytes, .. } = &*self.settings;
        let credential = credentials.ask(due).await?;
        let text = credential.as_ref().map(|credential| &*credential.text);
        let follow = self.following.as_ref().map(Following::protocol);
        let connected = endpoint.connect(text, place, follow.as_deref(), *message_bytes);
        let connected = timeout_at(due, connected).await;
        let (socket, progress) = connected.unwrap_or(Err(ClientError::Timeout))?;
        Ok((socket, progress, credential))
    }

    /// Queues an event, and waits for room if necessary. Does not wait if the events are dropped or the shutdown has begun.
    pub(super) async fn tell(&self, event: Event) {
        let event = match self.events.try_send(event) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => return,
            Err(mpsc::error::TrySendError::Full(event)) => event,
        };
        tokio::select! {
            () = self.shutdown.begun() => {}
            _ = self.events.send(event) => {}
        }
    }
}

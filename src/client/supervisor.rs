//! Connects and reconnects.

use std::sync::Arc;

use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::DropGuard;

use super::backoff::random;
use super::connection::converse;
use super::dial::Socket;
use super::ended::Ended;
use super::following::Following;
use super::progress::Progress;
use super::settings::Settings;
use super::state::State;
use super::{ClientError, Credential, End, Event, Outgoing};
use crate::deadline::after;

/// The task behind a client.
pub(super) struct Supervisor {
    pub(super) settings: Arc<Settings>,
    pub(super) state: State,
    /// Cancels the token of [`Client::closed`](super::Client::closed) on drop.
    pub(super) _ended: DropGuard,
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
            let returns = code.is_retryable() && !self.state.shutdown.has_begun();
            if !returns {
                return self.finish(End { code, reason, returns_in: None }).await;
            }
            let delay = self.settings.backoff.after(code, &reason, failures, random());
            self.state.tell(Event::Closed(End { code, reason, returns_in: Some(delay) })).await;
            failures = failures.saturating_add(1);
            self.state.unsent.clear();
            tokio::select! {
                () = self.state.shutdown.begun() => {
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
        self.state.outgoing.close();
        while let Some(Outgoing { message, reply }) = self.state.outgoing.recv().await {
            // The error of a request reports it.
            if reply.is_none() {
                self.state.unsent.push(message);
            }
        }
        let due = after(Instant::now(), self.settings.pong);
        let count = self.state.unsent.len();
        let events = self.state.unsent.drain(..).map(Event::Unsent).chain([Event::Closed(end)]);
        for event in events {
            if !matches!(timeout_at(due, self.state.events.send(event)).await, Ok(Ok(()))) {
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
            () = self.state.shutdown.begun() => return Ended::closed(),
            dialed = self.dial(due) => dialed,
        };
        match dialed {
            Ok((connected, credential)) => {
                let settings = self.settings.clone();
                converse(&mut self.state, settings, connected, credential.as_ref(), due, opened_at).await
            }
            Err(error) => {
                self.state.tell(Event::Failed(error)).await;
                Ended::lost()
            }
        }
    }

    async fn dial(&self, due: Instant) -> Result<((Socket, Progress), Option<Credential>), ClientError> {
        let Settings { endpoint, credentials, place, message_bytes, answerers, .. } = &*self.settings;
        let credential = credentials.ask(due).await?;
        let text = credential.as_ref().map(|credential| &*credential.text);
        let follow = self.state.following.as_ref().map(Following::protocol);
        let offers: Vec<String> = follow.into_iter().chain(answerers.protocol().map(Into::into)).collect();
        let connected = endpoint.connect(text, place, &offers, *message_bytes);
        let connected = timeout_at(due, connected).await;
        Ok((connected.unwrap_or(Err(ClientError::Timeout))?, credential))
    }
}

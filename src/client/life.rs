//! Connects, and comes back.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::builder::Settings;
use super::delay::random;
use super::dial::Socket;
use super::progress::Progress;
use super::{ClientError, Credential, End, Event, Letter, Message};
use crate::deadline::after;
use crate::websocket::CloseCode;

/// The task behind a client.
pub(super) struct Life {
    pub(super) settings: Arc<Settings>,
    /// What waits to be sent: only an open connection takes any.
    pub(super) letters: mpsc::Receiver<Letter>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) interest: Interest,
    /// What the last connection took and did not bring out.
    pub(super) unsent: Vec<Message>,
    /// Tells when all is over.
    pub(super) _ended: DropGuard,
}

/// Whether the client is wanted.
pub(super) struct Interest {
    pub(super) closing: CancellationToken,
    /// There is no handle any more.
    pub(super) unheld: CancellationToken,
    /// There is nobody who reads the events.
    pub(super) unheard: CancellationToken,
}

impl Interest {
    /// Until nobody wants it any more.
    pub(super) async fn over(&self) {
        tokio::select! {
            () = self.closing.cancelled() => {}
            () = async {
                self.unheld.cancelled().await;
                self.unheard.cancelled().await;
            } => {}
        }
    }

    fn is_over(&self) -> bool {
        self.closing.is_cancelled() || (self.unheld.is_cancelled() && self.unheard.is_cancelled())
    }
}

/// How a connection or an attempt ended.
pub(super) struct Ended {
    pub(super) code: CloseCode,
    pub(super) reason: String,
}

impl Ended {
    /// Without a word.
    pub(super) fn lost() -> Self {
        Self { code: CloseCode::ABNORMAL, reason: String::new() }
    }

    /// By this side.
    pub(super) fn closed() -> Self {
        Self { code: CloseCode::NORMAL, reason: String::new() }
    }
}

impl Life {
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            let mut opened_at = None;
            let Ended { code, reason } = self.connection(&mut opened_at).await;
            if opened_at.is_some_and(|moment: Instant| moment.elapsed() >= self.settings.settle) {
                failures = 0;
            }
            let returns = code.asks_to_return() && !self.interest.is_over();
            if !returns {
                return self.finish(End { code, reason, returns_in: None }).await;
            }
            let delay = self.settings.delays.after(code, &reason, failures, random());
            self.tell(Event::Closed(End { code, reason, returns_in: Some(delay) })).await;
            failures = failures.saturating_add(1);
            self.unsent.clear();
            tokio::select! {
                () = self.interest.over() => {
                    let Ended { code, reason } = Ended::closed();
                    return self.finish(End { code, reason, returns_in: None }).await;
                }
                () = sleep(delay) => {}
            }
        }
    }

    /// Reports what was accepted and is not sent any more, and the end. The application has `pong` to make room for it.
    async fn finish(mut self, end: End) {
        self.letters.close();
        while let Some(Letter { message, reply }) = self.letters.recv().await {
            // Who waits for a reply is told by that.
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
                    tracing::warn!(count, "the client ended, and not all that it accepted was sent");
                }
                return;
            }
        }
    }

    /// One attempt, and the connection that comes of it.
    async fn connection(&mut self, opened_at: &mut Option<Instant>) -> Ended {
        let due = after(Instant::now(), self.settings.attempt);
        let dialed = tokio::select! {
            () = self.interest.over() => return Ended::closed(),
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
        let Settings { endpoint, supply, place, message_bytes, .. } = &*self.settings;
        let credential = supply.ask(due).await?;
        let text = credential.as_ref().map(|credential| &*credential.text);
        let connected = timeout_at(due, endpoint.connect(text, place, *message_bytes)).await;
        let (socket, progress) = connected.unwrap_or(Err(ClientError::Timeout))?;
        Ok((socket, progress, credential))
    }

    /// Waits until there is room for the event, or nobody to read it. After an end it does not wait.
    pub(super) async fn tell(&self, event: Event) {
        let event = match self.events.try_send(event) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => return,
            Err(mpsc::error::TrySendError::Full(event)) => event,
        };
        tokio::select! {
            () = self.interest.over() => {}
            _ = self.events.send(event) => {}
        }
    }
}

//! Connects, and comes back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::builder::Settings;
use super::delay::random;
use super::{ClientError, End, Event, Letter};
use crate::moment::after;
use crate::websocket::CloseCode;

/// The task behind a client.
pub(super) struct Life {
    pub(super) settings: Arc<Settings>,
    /// What waits to be sent: only an open connection takes any.
    pub(super) letters: mpsc::Receiver<Letter>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) interest: Interest,
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
            let delay = self.settings.delays.after(code, &reason, failures, random());
            let returns_in = returns.then_some(delay);
            self.tell(Event::Closed(End { code, reason, returns_in })).await;
            failures = failures.saturating_add(1);
            if !returns || !self.wait(delay).await {
                return;
            }
        }
    }

    /// One attempt, and the connection that comes of it.
    async fn connection(&mut self, opened_at: &mut Option<Instant>) -> Ended {
        let due = after(Instant::now(), self.settings.attempt);
        let dialed = tokio::select! {
            () = self.interest.over() => return Ended::closed(),
            dialed = timeout_at(due, self.dial()) => dialed.unwrap_or(Err(ClientError::Timeout)),
        };
        match dialed {
            Ok((socket, credential)) => self.converse(socket, credential, due, opened_at).await,
            Err(error) => {
                self.tell(Event::Failed(error)).await;
                Ended::lost()
            }
        }
    }

    async fn dial(&self) -> Result<(super::dial::Socket, Option<super::Credential>), ClientError> {
        let Settings { endpoint, supply, place, message_bytes, .. } = &*self.settings;
        let credential = supply.ask().await?;
        let text = credential.as_ref().map(|credential| &*credential.text);
        Ok((endpoint.connect(text, place, *message_bytes).await?, credential))
    }

    /// Whether it is still wanted after `delay`.
    async fn wait(&self, delay: Duration) -> bool {
        tokio::select! {
            () = self.interest.over() => {
                self.tell(Event::Closed(End {
                    code: CloseCode::NORMAL,
                    reason: String::new(),
                    returns_in: None,
                }))
                .await;
                false
            }
            () = sleep(delay) => true,
        }
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

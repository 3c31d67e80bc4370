use tokio::sync::mpsc;

use super::following::Following;
use super::shutdown::Shutdown;
use super::{Event, Message, Outgoing};

/// State of a client that outlives its connections.
pub(super) struct State {
    /// Progress in the log, if the client follows it.
    pub(super) following: Option<Following>,
    /// The queue of messages. Only an open connection takes from it.
    pub(super) outgoing: mpsc::Receiver<Outgoing>,
    /// Messages that the last connection took from the queue and did not send.
    pub(super) unsent: Vec<Message>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) shutdown: Shutdown,
}

impl State {
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

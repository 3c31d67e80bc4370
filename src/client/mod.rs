//! A client for services and tests that reconnects by itself (feature `client`).

mod answering;
mod backoff;
mod builder;
mod connection;
mod credential;
mod dial;
mod ended;
mod error;
mod following;
mod message;
mod progress;
mod race;
mod renewal;
mod settings;
mod shutdown;
mod state;
mod supervisor;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use builder::ClientBuilder;
pub use credential::Credential;
pub use error::{ClientError, RequestError, SendError};
pub use following::Follow;
pub use message::Message;

use crate::delivery::Position;
use crate::log::GapKind;
use crate::message::{Flag, Push};
use crate::websocket::CloseCode;

/// A connection to a keywire server, for services and for tests. It reconnects when the connection is lost.
///
/// It reconnects like the browser client: after a random delay that grows, or at a random moment in the window that a draining
/// server names. It does not reconnect after a final close code. Messages that are sent meanwhile are queued, up to
/// [`ClientBuilder::queue`]. No message is ever sent twice.
///
/// ```no_run
/// use keywire::client::{Client, Event};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let (client, mut events) = Client::builder("ws://127.0.0.1:8090/websocket")?.key("alice").connect();
/// client.inform("bob", "hello")?;
/// let reply = client.request("status").await?;
/// println!("{} {}", reply.code, reply.msg);
/// while let Some(event) = events.next().await {
///     match event {
///         Event::Push(push) => println!("{:?}: {}", push.sender, push.msg),
///         Event::Closed(end) => println!("{end:?}"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// A clone is another handle of the same connection. The connection ends, with 1000, by [`Client::close`], or when all handles and
/// the [`Events`] are dropped. In both cases the queued messages are sent first, if there is a connection.
#[derive(Clone)]
pub struct Client {
    outgoing: mpsc::Sender<Outgoing>,
    closing: CancellationToken,
    ended: CancellationToken,
    /// Timeout for the reply to a request.
    request_timeout: Duration,
    /// Dropped with the last handle.
    _held: Arc<DropGuard>,
}

/// A message on its way to the connection.
struct Outgoing {
    message: Message,
    /// The request that waits for the reply.
    reply: Option<oneshot::Sender<Push>>,
}

impl Client {
    /// Sends a message now, or as soon as there is a connection.
    ///
    /// # Errors
    ///
    /// If the queue is full, the client has ended, or the body is not JSON.
    pub fn send(&self, message: Message) -> Result<(), SendError> {
        self.post(message, None)
    }

    /// Sends a `command`.
    ///
    /// # Errors
    ///
    /// Those of [`Client::send`].
    pub fn command(&self, body: impl Serialize) -> Result<(), SendError> {
        self.send(Message::command(body))
    }

    /// Sends an `inform` to this key. An empty string means no recipient.
    ///
    /// # Errors
    ///
    /// Those of [`Client::send`].
    pub fn inform(&self, reception: impl Into<String>, body: impl Serialize) -> Result<(), SendError> {
        self.send(Message::inform(reception, body))
    }

    /// Sends a `command` and waits for its reply, of any code.
    ///
    /// # Errors
    ///
    /// Those of [`Client::request_with`].
    ///
    /// # Cancel safety
    ///
    /// As [`Client::request_with`].
    pub async fn request(&self, body: impl Serialize) -> Result<Push, RequestError> {
        self.request_with(Message::command(body)).await
    }

    /// Sends a message of any flag, with a new id, and waits for its reply, of any code.
    ///
    /// # Errors
    ///
    /// Those of [`Client::send`]. Also if no reply comes within [`ClientBuilder::request_timeout`], or if the connection that the
    /// message was sent over ends first.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, a queued message is not sent. The reply to a sent message becomes an [`Event::Push`].
    pub async fn request_with(&self, message: Message) -> Result<Push, RequestError> {
        let (reply, coming) = oneshot::channel();
        self.post(message, Some(reply))?;
        match timeout(self.request_timeout, coming).await {
            Ok(Ok(push)) => Ok(push),
            Ok(Err(_)) => Err(RequestError::Lost),
            Err(_) => Err(RequestError::Timeout),
        }
    }

    /// Tells the server that the user has read everything up to this position, on any device.
    ///
    /// # Errors
    ///
    /// Those of [`Client::send`].
    pub fn seen(&self, at: Position) -> Result<(), SendError> {
        self.send(Message::new(Flag::SEEN, at))
    }

    /// Ends the client with 1000. Returns at once.
    ///
    /// If there is a connection, the queued messages are sent first, within [`ClientBuilder::pong_timeout`]. [`Event::Unsent`]
    /// reports an unsent message, and the error of a request reports an unsent request. [`Client::closed`] waits for all of this.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Waits until the client has ended, for any reason.
    ///
    /// Call it after [`Client::close`] and before the program ends, since the end of the program stops the sending.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn closed(&self) {
        self.ended.cancelled().await;
    }

    fn post(&self, message: Message, reply: Option<oneshot::Sender<Push>>) -> Result<(), SendError> {
        if self.closing.is_cancelled() {
            return Err(SendError::Closed);
        }
        let message = message.checked()?;
        self.outgoing.try_send(Outgoing { message, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SendError::Full,
            mpsc::error::TrySendError::Closed(_) => SendError::Closed,
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("closed", &self.outgoing.is_closed()).finish_non_exhaustive()
    }
}

/// The events of a [`Client`], in order.
///
/// Read the events, or drop this value. While 256 events are queued, the client does not read from the server, and the server
/// eventually disconnects it as slow.
#[derive(Debug)]
pub struct Events {
    events: mpsc::Receiver<Event>,
    /// Keeps the connection open while this value exists.
    _listening: DropGuard,
}

impl Events {
    /// The next event. `None` after the last event.
    ///
    /// # Cancel safety
    ///
    /// No event is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

/// An event of a [`Client`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The server has accepted the connection. With [`Follow::Now`] the client knows the end of the log from now on, so no kept push
    /// is missed; a log that does not answer within a second is not awaited.
    Open,
    /// A message that answers no request.
    Push(Push),
    /// A kept push, if the client [follows](ClientBuilder::follow) the log. Each kept push comes once, in the order of the log.
    Kept {
        /// The push.
        push: Push,
        /// Position in the log. Store it together with the effects of the push.
        at: Position,
        /// The time at which the push was kept, in milliseconds since 1970-01-01 UTC.
        time: u64,
    },
    /// Kept pushes are missing and no longer available: fetch your state again. Following continues after `at`.
    Gap {
        /// The reason.
        why: GapKind,
        /// The position from which following continues.
        at: Position,
    },
    /// A connection or an attempt has ended.
    Closed(End),
    /// A message that was accepted and perhaps not sent, since the client has ended. These events come before the last
    /// [`Event::Closed`].
    Unsent(Message),
    /// An error for the log. Its consequences are reported by other events.
    Failed(ClientError),
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct End {
    /// The code of the close frame. 1005: the close frame has no code. 1006: the connection broke or was never open.
    pub code: CloseCode,
    /// The reason of the close frame.
    pub reason: String,
    /// The delay before the client reconnects. `None`: it does not reconnect.
    pub returns_in: Option<Duration>,
}

//! A connection to a keywire server that a service can forget about: the feature `client`.

mod builder;
mod connection;
mod credential;
mod delay;
mod dial;
mod error;
mod life;
mod message;
mod outgoing;
mod progress;
mod race;
mod renewal;

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
pub use message::Message;

use crate::message::Push;
use crate::websocket::CloseCode;

/// A connection to a keywire server that comes back when it is lost, for services and for tests.
///
/// It comes back as the browser's client does: after a random delay that grows, at a moment within the window that a
/// draining server names, and not at all after a close code that says so. What is sent meanwhile waits, as much as
/// [`ClientBuilder::queue`] allows, and no message is ever sent twice.
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
/// A clone is another handle on the same connection. It ends, with 1000, by [`Client::close`], or when all handles and
/// the [`Events`] are dropped. In both cases the messages that wait are sent first, if there is a connection.
#[derive(Clone)]
pub struct Client {
    letters: mpsc::Sender<Letter>,
    closing: CancellationToken,
    ended: CancellationToken,
    /// How long a request waits for its reply.
    patience: Duration,
    /// Goes with the last handle.
    _held: Arc<DropGuard>,
}

/// What is on its way to the connection.
struct Letter {
    message: Message,
    /// Who waits for the reply.
    reply: Option<oneshot::Sender<Push>>,
}

impl Client {
    /// Settings for a connection to this endpoint: `ws://host/websocket`, `wss://…`, `http://…` or `https://…`.
    ///
    /// # Errors
    ///
    /// When `url` is none of these.
    pub fn builder(url: &str) -> Result<ClientBuilder, ClientError> {
        ClientBuilder::new(url)
    }

    /// Sends now, or once there is a connection.
    ///
    /// # Errors
    ///
    /// When that cannot be promised: the queue is full, or the connection has ended for good. When the body cannot be
    /// JSON.
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

    /// Sends an `inform` to this key; the empty text is nobody in particular.
    ///
    /// # Errors
    ///
    /// Those of [`Client::send`].
    pub fn inform(&self, reception: impl Into<String>, body: impl Serialize) -> Result<(), SendError> {
        self.send(Message::inform(reception, body))
    }

    /// Sends a `command` and waits for its reply, whatever the reply's code says.
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

    /// Sends a message of any flag and waits for its reply, whatever the reply's code says. The message's id is set
    /// by this.
    ///
    /// # Errors
    ///
    /// Those of [`Client::send`]; when no reply came in [time](ClientBuilder::request_timeout), or none can come any
    /// more because the connection that the message went into has ended.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped the message is not sent any more if it still waits; else its reply is an
    /// [`Event::Push`] like others.
    pub async fn request_with(&self, message: Message) -> Result<Push, RequestError> {
        let (reply, coming) = oneshot::channel();
        self.post(message, Some(reply))?;
        match timeout(self.patience, coming).await {
            Ok(Ok(push)) => Ok(push),
            Ok(Err(_)) => Err(RequestError::Lost),
            Err(_) => Err(RequestError::Timeout),
        }
    }

    /// Ends the connection for good, with 1000, and returns at once.
    ///
    /// If there is a connection, the messages that wait are sent first, for as long as
    /// [`ClientBuilder::pong_timeout`]. What is not sent is reported by [`Event::Unsent`], or, if it is a request, by the
    /// request's error. [`Client::closed`] waits for all of that.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Waits until the connection has ended for good, whoever ended it.
    ///
    /// Call it after [`Client::close`] and before the program ends, which would end the sending too.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn closed(&self) {
        self.ended.cancelled().await;
    }

    fn post(&self, message: Message, reply: Option<oneshot::Sender<Push>>) -> Result<(), SendError> {
        if self.closing.is_cancelled() {
            return Err(SendError::Closed);
        }
        let message = message.checked()?;
        self.letters.try_send(Letter { message, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SendError::Full,
            mpsc::error::TrySendError::Closed(_) => SendError::Closed,
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("closed", &self.letters.is_closed()).finish_non_exhaustive()
    }
}

/// What happens to a [`Client`], in its order.
///
/// Read it: while 256 events wait nothing more is read from the server, which in the end gives up a client that is too
/// slow. Who wants no events drops this.
#[derive(Debug)]
pub struct Events {
    events: mpsc::Receiver<Event>,
    /// Keeps the connection while there is somebody to listen.
    _listening: DropGuard,
}

impl Events {
    /// The next event; `None` after the last.
    ///
    /// # Cancel safety
    ///
    /// No event is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

/// Something that happens to a [`Client`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The server has let us in.
    Open,
    /// A message that answers no request.
    Push(Push),
    /// The connection, or an attempt at one, ended.
    Closed(End),
    /// A message that was accepted and is not known to have been sent, since the client has ended for good. These come
    /// before the last [`Event::Closed`].
    Unsent(Message),
    /// Something went wrong, for a log; whatever follows from it is an event of its own.
    Failed(ClientError),
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct End {
    /// The code of the close frame; 1005 if it had none, 1006 if the connection broke or there never was one.
    pub code: CloseCode,
    /// What came with the code, in the server's words.
    pub reason: String,
    /// After how long the client comes back; `None` if it does not.
    pub returns_in: Option<Duration>,
}

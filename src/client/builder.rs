use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::answering::Answerers;
use super::backoff::Backoff;
use super::credential::Credentials;
use super::dial::Endpoint;
use super::following::{Follow, Following};
use super::settings::Settings;
use super::shutdown::Shutdown;
use super::state::State;
use super::supervisor::Supervisor;
use super::{Client, ClientError, Credential, Events};
use crate::auth::CredentialSource;
use crate::message::{Flag, Push};

/// Settings of a [`Client`]. The defaults are those of the browser client.
///
/// ```no_run
/// use std::time::Duration;
///
/// use keywire::auth::CredentialSource;
/// use keywire::client::Client;
///
/// # async fn fresh_token() -> Result<String, std::io::Error> { Ok(String::new()) }
/// # fn example() -> Result<(), keywire::client::ClientError> {
/// let (client, events) = Client::builder("wss://live.example/websocket")?
///     .keys(fresh_token)
///     .at(CredentialSource::Bearer)
///     .queue(1000)
///     .heartbeat(Duration::from_secs(10))
///     .connect();
/// # let _ = (client, events);
/// # Ok(())
/// # }
/// ```
pub struct ClientBuilder {
    settings: Settings,
    follow: Option<Follow>,
    queue: usize,
    request_timeout: Duration,
}

/// Capacity of the queue of events.
const EVENTS: usize = 256;

impl Client {
    /// Settings for a connection to this endpoint: `ws://host/websocket`, `wss://…`, `http://…` or `https://…`.
    ///
    /// # Errors
    ///
    /// If `url` has another form.
    pub fn builder(url: &str) -> Result<ClientBuilder, ClientError> {
        ClientBuilder::new(url)
    }
}

impl ClientBuilder {
    pub(super) fn new(url: &str) -> Result<Self, ClientError> {
        let settings = Settings {
            endpoint: Endpoint::new(url)?,
            credentials: Credentials::None,
            place: CredentialSource::Path,
            backoff: Backoff { min: Duration::from_millis(500), max: Duration::from_secs(20), fixed: None },
            settle: Duration::from_secs(5),
            attempt: Duration::from_secs(10),
            heartbeat: Duration::from_secs(25),
            pong: Duration::from_secs(10),
            renew: Duration::from_secs(60),
            message_bytes: 16 * 1024 * 1024,
            answerers: Answerers::default(),
        };
        Ok(Self { settings, follow: None, queue: 64, request_timeout: Duration::from_secs(10) })
    }

    /// Credential for every attempt: a key or a token.
    #[must_use]
    pub fn key(mut self, credential: impl Into<Credential>) -> Self {
        self.settings.credentials = Credentials::Fixed(credential.into());
        self
    }

    /// Source of credentials. The client calls it for every attempt. It also calls it before the current credential expires, to
    /// exchange the credential over the open connection.
    #[must_use]
    pub fn keys<F, Fut, C, E>(mut self, ask: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<C, E>> + Send + 'static,
        C: Into<Credential>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.settings.credentials = Credentials::Asked(Arc::new(move || {
            let asked = ask();
            Box::pin(async move { asked.await.map(Into::into).map_err(Into::into) })
        }));
        self
    }

    /// Place of the credential. Default: the path, as in the browser client.
    #[must_use]
    pub fn at(mut self, place: CredentialSource) -> Self {
        self.settings.place = place;
        self
    }

    /// Capacity of the queue for messages that wait for a connection. Default: 64. Minimum: 1.
    #[must_use]
    pub fn queue(mut self, messages: usize) -> Self {
        self.queue = messages.max(1);
        self
    }

    /// Backoff between attempts: the shortest delay and the limit of the random part. Default: 500 ms and 20 s.
    #[must_use]
    pub fn delays(mut self, min: Duration, max: Duration) -> Self {
        self.settings.backoff = Backoff { min, max, fixed: None };
        self
    }

    /// Fixed delay between attempts, in place of the backoff. Default: none.
    #[must_use]
    pub fn fixed_delay(mut self, delay: Duration) -> Self {
        self.settings.backoff.fixed = Some(delay);
        self
    }

    /// Lifetime of a connection after which the backoff starts over. Default: 5 s.
    #[must_use]
    pub fn settle(mut self, time: Duration) -> Self {
        self.settings.settle = time;
        self
    }

    /// Timeout for an attempt, from the call for a credential to the server's first message. Default: 10 s.
    #[must_use]
    pub fn attempt_timeout(mut self, time: Duration) -> Self {
        self.settings.attempt = time;
        self
    }

    /// Silence of the server after which the client pings. Default: 25 s. [`Duration::ZERO`]: no pings.
    ///
    /// Any byte that arrives is a sign of life, even in the middle of a message. So is any progress of a long message that the
    /// server reads.
    #[must_use]
    pub fn heartbeat(mut self, silence: Duration) -> Self {
        self.settings.heartbeat = silence;
        self
    }

    /// Timeout for a sign of life of the server, and for progress of a message that the server reads. Default: 10 s.
    /// [`Client::close`] has the same time to send the queue.
    #[must_use]
    pub fn pong_timeout(mut self, time: Duration) -> Self {
        self.settings.pong = time;
        self
    }

    /// Time before the expiry of a credential at which it is exchanged for a new one. Default: 60 s, but not before three
    /// quarters of the credential's lifetime. The client exchanges short-lived credentials less and less often, down to once in 30 s.
    #[must_use]
    pub fn renew(mut self, before: Duration) -> Self {
        self.settings.renew = before;
        self
    }

    /// Timeout for the reply to a request. Default: 10 s.
    #[must_use]
    pub fn request_timeout(mut self, time: Duration) -> Self {
        self.request_timeout = time;
        self
    }

    /// Largest message from the server, in bytes. Default: 16 MiB.
    #[must_use]
    pub fn message_bytes(mut self, bytes: usize) -> Self {
        self.settings.message_bytes = bytes;
        self
    }

    /// Follows the log of kept pushes from this position. Kept pushes come as [`Event::Kept`](super::Event::Kept), even those that
    /// were sent while there was no connection. Default: kept pushes come like any other push, and only while there is a connection.
    ///
    /// The client keeps its position across reconnects, but not across restarts of the process. Store the last position that you have
    /// handled, and continue with [`Follow::After`].
    #[must_use]
    pub fn follow(mut self, from: Follow) -> Self {
        self.follow = Some(from);
        self
    }

    /// Answers the server's requests of this flag, see [`Session::request`](crate::Session::request). The error becomes the string of
    /// [`RequestError::Failed`](crate::session::RequestError::Failed), cut to 256 bytes. One handler for each flag: the last one
    /// counts. Without a handler for any flag, the server cannot ask this client.
    ///
    /// ```no_run
    /// use keywire::Push;
    /// use keywire::client::Client;
    ///
    /// # async fn measure() -> Result<f64, std::io::Error> { Ok(20.5) }
    /// # fn example() -> Result<(), keywire::client::ClientError> {
    /// let (client, events) = Client::builder("wss://live.example/websocket")?
    ///     .key("sensor-7")
    ///     .answer("temperature", |_: Push| async { measure().await })
    ///     .connect();
    /// # let _ = (client, events);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Handlers run in tasks of their own, up to 64 at a time. They are aborted when their connection ends.
    #[must_use]
    pub fn answer<F, Fut, T, E>(mut self, flag: impl Into<Flag>, handler: F) -> Self
    where
        F: Fn(Push) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: fmt::Display,
    {
        self.settings.answerers.insert(flag.into(), handler);
        self
    }

    /// Spawns the task that connects.
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime.
    #[must_use = "the client ends at once if its handle and its events are dropped"]
    pub fn connect(self) -> (Client, Events) {
        let (outgoing, queue) = mpsc::channel(self.queue);
        let (tell, events) = mpsc::channel(EVENTS);
        let [requested, no_handles, no_events, ended] = [(); 4].map(|()| CancellationToken::new());
        let client = Client {
            outgoing,
            closing: requested.clone(),
            ended: ended.clone(),
            request_timeout: self.request_timeout,
            _held: Arc::new(no_handles.clone().drop_guard()),
        };
        let events = Events { events, _listening: no_events.clone().drop_guard() };
        let shutdown = Shutdown { requested, no_handles, no_events };
        let (settings, _ended) = (Arc::new(self.settings), ended.drop_guard());
        let state = State {
            following: self.follow.map(Following::new),
            outgoing: queue,
            unsent: Vec::new(),
            events: tell,
            shutdown,
        };
        tokio::spawn(Supervisor { settings, state, _ended }.run());
        (client, events)
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("endpoint", &self.settings.endpoint).finish_non_exhaustive()
    }
}

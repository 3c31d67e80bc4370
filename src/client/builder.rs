use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::credential::Supply;
use super::delay::Delays;
use super::dial::Endpoint;
use super::life::{Interest, Life};
use super::{Client, ClientError, Credential, Events};
use crate::extract::Source;

/// How a [`Client`] connects and comes back. The defaults are those of the browser's client.
///
/// ```no_run
/// use std::time::Duration;
///
/// use keywire::Source;
/// use keywire::client::Client;
///
/// # async fn fresh_token() -> Result<String, std::io::Error> { Ok(String::new()) }
/// # fn example() -> Result<(), keywire::client::ClientError> {
/// let (client, events) = Client::builder("wss://live.example/websocket")?
///     .keys(fresh_token)
///     .at(Source::Bearer)
///     .queue(1000)
///     .heartbeat(Duration::from_secs(10))
///     .connect();
/// # let _ = (client, events);
/// # Ok(())
/// # }
/// ```
pub struct ClientBuilder {
    settings: Settings,
    queue: usize,
    request_timeout: Duration,
}

pub(super) struct Settings {
    pub(super) endpoint: Endpoint,
    pub(super) supply: Supply,
    pub(super) place: Source,
    pub(super) delays: Delays,
    pub(super) settle: Duration,
    pub(super) attempt: Duration,
    pub(super) heartbeat: Duration,
    pub(super) pong: Duration,
    pub(super) renew: Duration,
    pub(super) message_bytes: usize,
}

/// How many events wait to be read.
const EVENTS: usize = 256;

impl ClientBuilder {
    pub(super) fn new(url: &str) -> Result<Self, ClientError> {
        let settings = Settings {
            endpoint: Endpoint::new(url)?,
            supply: Supply::None,
            place: Source::Path,
            delays: Delays { min: Duration::from_millis(500), max: Duration::from_secs(20), fixed: None },
            settle: Duration::from_secs(5),
            attempt: Duration::from_secs(10),
            heartbeat: Duration::from_secs(25),
            pong: Duration::from_secs(10),
            renew: Duration::from_secs(60),
            message_bytes: 16 * 1024 * 1024,
        };
        Ok(Self { settings, queue: 64, request_timeout: Duration::from_secs(10) })
    }

    /// The key or token to connect with, the same at every attempt.
    #[must_use]
    pub fn key(mut self, credential: impl Into<Credential>) -> Self {
        self.settings.supply = Supply::Fixed(credential.into());
        self
    }

    /// Whom to ask for a credential, at every attempt, and in time before the present one ends, to exchange it over
    /// the open connection.
    #[must_use]
    pub fn keys<F, Fut, C, E>(mut self, ask: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<C, E>> + Send + 'static,
        C: Into<Credential>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.settings.supply = Supply::Asked(Arc::new(move || {
            let asked = ask();
            Box::pin(async move { asked.await.map(Into::into).map_err(Into::into) })
        }));
        self
    }

    /// Where the credential goes: the path by default, as with the browser's client.
    #[must_use]
    pub fn at(mut self, place: Source) -> Self {
        self.settings.place = place;
        self
    }

    /// How many messages wait for a connection: 64, one at least.
    #[must_use]
    pub fn queue(mut self, messages: usize) -> Self {
        self.queue = messages.max(1);
        self
    }

    /// The shortest delay before coming back, 500 ms, and the cap of its random part, 20 s.
    #[must_use]
    pub fn delays(mut self, min: Duration, max: Duration) -> Self {
        self.settings.delays = Delays { min, max, fixed: None };
        self
    }

    /// Always waits so long before coming back.
    #[must_use]
    pub fn fixed_delay(mut self, delay: Duration) -> Self {
        self.settings.delays.fixed = Some(delay);
        self
    }

    /// A connection that lived so long was a good one, and delays start small again: 5 s.
    #[must_use]
    pub fn settle(mut self, time: Duration) -> Self {
        self.settings.settle = time;
        self
    }

    /// The longest that an attempt may take, from asking for the credential to the server's first word: 10 s.
    #[must_use]
    pub fn attempt_timeout(mut self, time: Duration) -> Self {
        self.settings.attempt = time;
        self
    }

    /// After how long a silence the server is asked for a sign of life: 25 s. [`Duration::ZERO`] turns that off.
    ///
    /// Each byte that arrives is a sign of life, also in the middle of a message, and so is each byte of a long message
    /// that the server takes.
    #[must_use]
    pub fn heartbeat(mut self, silence: Duration) -> Self {
        self.settings.heartbeat = silence;
        self
    }

    /// How long the server has to give a sign of life, or to take more of a message: 10 s. Also the time that
    /// [`Client::close`] has to send what waits.
    #[must_use]
    pub fn pong_timeout(mut self, time: Duration) -> Self {
        self.settings.pong = time;
        self
    }

    /// How long before its end a credential that was asked for is exchanged for a fresh one: 60 s, but never before
    /// three quarters of its time have passed. Credentials that end within seconds of each other are exchanged ever more
    /// rarely, up to once in 30 s.
    #[must_use]
    pub fn renew(mut self, before: Duration) -> Self {
        self.settings.renew = before;
        self
    }

    /// How long a request waits for its reply: 10 s.
    #[must_use]
    pub fn request_timeout(mut self, time: Duration) -> Self {
        self.request_timeout = time;
        self
    }

    /// The largest message that is taken from the server, in bytes: 16 MiB.
    #[must_use]
    pub fn message_bytes(mut self, bytes: usize) -> Self {
        self.settings.message_bytes = bytes;
        self
    }

    /// Starts to connect, in a task of its own.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use = "without its handle and its events the client ends at once"]
    pub fn connect(self) -> (Client, Events) {
        let (letters, posted) = mpsc::channel(self.queue);
        let (tell, events) = mpsc::channel(EVENTS);
        let [closing, unheld, unheard, ended] = [(); 4].map(|()| CancellationToken::new());
        let client = Client {
            letters,
            closing: closing.clone(),
            ended: ended.clone(),
            patience: self.request_timeout,
            _held: Arc::new(unheld.clone().drop_guard()),
        };
        let events = Events { events, _listening: unheard.clone().drop_guard() };
        let interest = Interest { closing, unheld, unheard };
        let (settings, _ended) = (Arc::new(self.settings), ended.drop_guard());
        let life = Life { settings, letters: posted, events: tell, interest, unsent: Vec::new(), _ended };
        tokio::spawn(life.run());
        (client, events)
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("endpoint", &self.settings.endpoint).finish_non_exhaustive()
    }
}

//! The settings of a hub, and their defaults.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Limits, Rate};
use crate::compression::Compression;

/// Limits, timeouts and policies of a [`Hub`](crate::Hub). The defaults are safe on the open internet.
///
/// ```
/// use keywire::limits::SessionPolicy;
/// use keywire::Config;
///
/// let config = Config { policy: SessionPolicy::Replace, message_bytes: 4096, ..Config::default() };
/// # let _ = config;
/// ```
///
/// # No limit
///
/// A setting that can be switched off is an `Option`, and `None` switches it off. Every other setting always applies, because a
/// server without it is not safe. Any value is accepted, also `Duration::MAX` and `usize::MAX`.
///
/// # Fields that come later
///
/// Write a `Config` with `..Config::default()`, since a later version may add fields. A hidden field makes that necessary.
#[derive(Debug, Clone)]
pub struct Config {
    /// Policy for several sessions of one key. Default: [`SessionPolicy::Many`], up to 256.
    pub policy: SessionPolicy,
    /// Limits on openings and sessions, in all and by address. Default: 1,000,000 sessions in all.
    pub limits: Limits,
    /// Largest message from a client, after decompression. Default: 64 KiB. A larger message ends the session with 1009.
    pub message_bytes: usize,
    /// Rate limit for incoming messages. Default: bursts of 2000, 200/s sustained. `None`: unlimited. WebSocket pings and pongs
    /// count as messages, except for the pong that answers a ping of the server.
    ///
    /// If compression was negotiated, each KiB of a decompressed message counts as one more message.
    ///
    /// A message beyond the rate is answered with code `29`, not handled, and counts too. After a whole burst of such messages
    /// the session ends with 4004. A [`Rate`] with a period of more than half an hour counts as one with half an hour.
    pub message_rate: Option<Rate>,
    /// Timeout for the first message of a session. Default: `None`, since a page may only listen. After it the session ends
    /// with 4002, which asks the client to come back. Pings and pongs do not count as messages.
    pub first_message_timeout: Option<Duration>,
    /// Capacity of a session's queue, in messages that the client has not read. Default: 256. Over bare TCP a message that the
    /// socket takes at once is not queued. Over TLS a message is queued until the sender awaits.
    ///
    /// The kernel buffers more than that: up to the socket's send buffer (`SO_SNDBUF`), which Linux grows up to 4 MiB
    /// (`net.ipv4.tcp_wmem`), and the receive buffer of the client. keywire leaves both as they are. For a smaller send buffer
    /// set it on the listening socket, from which connections inherit it.
    pub queue_messages: usize,
    /// Capacity of a session's queue, in bytes after compression. Default: 1 MiB. An empty queue takes one message of any
    /// size.
    pub queue_bytes: usize,
    /// Number of groups that a session may be in, see [`Session::join`](crate::Session::join). Default: 1,024. `None`: unlimited.
    pub groups_per_session: Option<usize>,
    /// Policy for a client whose queue is full. Default: [`SlowPolicy::Close`], which ends the session with 4003.
    pub slow_readers: SlowPolicy,
    /// Silence of the client after which the server pings. Default: 25 s. `None`: no pings, so a connection
    /// that breaks without a word is noticed only when something is sent.
    pub ping_interval: Option<Duration>,
    /// Timeout for a sign of life after a ping. Default: 10 s. After it the session ends with 4002. Any bytes that arrive are a
    /// sign of life, and so are bytes that a full socket takes again. A ping waits behind the data that the kernel has not
    /// delivered yet, so the timeout grows by one second for each 64 KiB of that data.
    pub pong_timeout: Duration,
    /// Time limit from the 101 response until the client has taken it and the connection begins. Default: 10 s. A client that
    /// does not read cannot hold an opening longer: its permit is released.
    pub upgrade_timeout: Duration,
    /// Timeout for the client's answer to a close frame. Default: 5 s. Then the connection is cut. A handler that is running
    /// when its session ends has the same time to reply before the close frame is sent.
    pub close_timeout: Duration,
    /// Time limit for a call of the application's own code: the handler and its hooks, the extractor at an opening and at
    /// `kw:refresh`, the ticket store. Default: 30 s.
    ///
    /// A call that takes longer is dropped at its next await. After a handler's call the client gets code `50`, see
    /// [`MessageHandler`](crate::MessageHandler#errors). An opening is asked to come back, with 503 or 1013. A call that blocks
    /// its thread cannot be dropped.
    pub handler_timeout: Duration,
    /// Time limit for a call of the session store. Default: 10 s. A call that takes longer is dropped at its next await, see
    /// [`SessionStore`](crate::SessionStore#failures).
    pub store_timeout: Duration,
    /// Compression of messages for clients that offer it. Default: [`Compression::OFF`].
    pub compression: Compression,
    #[doc(hidden)]
    pub non_exhaustive: (),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            policy: SessionPolicy::default(),
            limits: Limits::default(),
            message_bytes: 64 * 1024,
            message_rate: Some(Rate::new(2000, Duration::from_secs(10))),
            first_message_timeout: None,
            queue_messages: 256,
            queue_bytes: 1024 * 1024,
            groups_per_session: Some(1024),
            slow_readers: SlowPolicy::default(),
            ping_interval: Some(Duration::from_secs(25)),
            pong_timeout: Duration::from_secs(10),
            upgrade_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            handler_timeout: Duration::from_secs(30),
            store_timeout: Duration::from_secs(10),
            compression: Compression::OFF,
            non_exhaustive: (),
        }
    }
}

/// Policy for a key that opens a further session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionPolicy {
    /// All sessions live, up to `cap`, and each gets what is sent to the key. A further opening is refused with 429, or
    /// close code 4506, if every session of the key answers a ping. Otherwise a broken line may have left a dead session:
    /// the client is asked to come back, with 503 or 1013.
    Many {
        /// Number of sessions that a key may have.
        cap: NonZeroUsize,
    },
    /// The newest session lives. Older sessions are closed with 4504.
    Replace,
    /// The oldest session lives. A further opening is refused with 429, or close code 4506, if that session answers a ping.
    /// Otherwise the client is asked to come back, with 503 or 1013.
    Reject,
}

impl Default for SessionPolicy {
    /// `Many`, up to 256: more tabs than a person opens, and a bound on the cost of one message.
    fn default() -> Self {
        const CAP: NonZeroUsize = NonZeroUsize::new(256).unwrap();
        Self::Many { cap: CAP }
    }
}

/// Policy for a slow client: one whose queue is full ([`Config::queue_messages`], [`Config::queue_bytes`]).
///
/// A policy that drops messages keeps the session open. [`Delivery::dropped`](crate::Delivery::dropped) of a send counts
/// the messages that this send dropped. Messages are dropped one by one, also out of several that were sent together. A
/// message whose first byte has been written is never dropped, nor are pings, pongs and close frames. A reply of the
/// session's own handler is dropped like any other message, so a page should use a timeout for its requests.
///
/// With `Close` the server does not handle a client's messages while the client's queue is more than half full. With the other
/// policies it handles them however many replies are queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SlowPolicy {
    /// Ends the session with 4003, which asks the client to come back, and drops its queue. No message is ever missing from the
    /// middle of a session.
    #[default]
    Close,
    /// Drops the newest message. For streams that must be read from their beginning.
    DropNewest,
    /// Drops the messages that are queued the longest. For data of which only the newest matters: positions, prices, video
    /// frames. A message that does not fit next to the one that is being written is dropped itself.
    DropOldest,
}

//! The limits, and their defaults.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::compression::Compression;
use crate::door::{Door, Rate};

/// How much a client may cost, and how long one waits for it. The defaults are safe on the open internet.
///
/// ```
/// use keywire::{Config, SessionPolicy};
///
/// let config = Config { policy: SessionPolicy::Replace, message_bytes: 4096, ..Config::default() };
/// # let _ = config;
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    /// How many sessions a key may have: up to 256.
    pub policy: SessionPolicy,
    /// How many may come at all, from where, and how fast.
    pub door: Door,
    /// The largest message that a client may send: 64 KiB, inflated if it is compressed. A larger one ends the
    /// session with 1009.
    pub message_bytes: usize,
    /// How many messages a client may send how fast: 2000 at once, and 200 in a second from then on. `None` is as
    /// many as it likes. WebSocket pings and pongs count like messages, but for the answer to a ping of the server's.
    ///
    /// Where compression was negotiated, a message counts once more for each KiB that it has when it is inflated.
    ///
    /// One too many is not handled but answered with code `29`. It counts as well: when as many have been refused
    /// as may come at once, the session ends with 4004. A [`Rate`] over more than half an hour counts as one over
    /// half an hour.
    pub message_rate: Option<Rate>,
    /// How long a session may be open before its first message has come: `None`, for ever, since a page may do
    /// nothing but listen. Else it ends with 4002 then, which asks it to come back. Pings and pongs are no messages.
    pub first_message_timeout: Option<Duration>,
    /// How many messages may wait for a client that does not read: 256. Over bare TCP what the socket takes at once
    /// does not wait; over TLS it does until the sender has awaited something.
    ///
    /// What the socket has taken is the kernel's: up to its send buffer (`SO_SNDBUF`), which on Linux grows by itself
    /// to 4 MiB (`net.ipv4.tcp_wmem`), and what the client's own kernel holds. keywire leaves it as it is. To have it
    /// smaller, set it on the listening socket, from which each connection takes it.
    pub queue_messages: usize,
    /// How many bytes may wait for a client that does not read, compressed if they are: 1 MiB. One message alone
    /// is always taken.
    pub queue_bytes: usize,
    /// What happens when one message more is to wait than may: the session ends with 4003.
    pub slow_readers: SlowPolicy,
    /// After how long a silence the server pings: 25 s.
    pub ping_interval: Duration,
    /// Timeout for a sign of life after a ping. Default: 10 s. Then the session ends with 4002. Everything that arrives is
    /// a sign of life, and so is a full socket that takes bytes again. A ping stands behind what the system has not yet
    /// brought to the client, so the timeout is one second longer for each 64 KiB of that.
    pub pong_timeout: Duration,
    /// Time limit from the 101 response until the client has taken it and the connection begins. Default: 10 s. A client that
    /// does not read cannot hold an opening longer: it loses its place. `Duration::MAX`: none.
    pub upgrade_timeout: Duration,
    /// Timeout for the peer's answer to a close frame. Default: 5 s. Then the connection is cut. A handler that is at work
    /// when its session ends has as long to reply before the close frame is sent.
    pub close_timeout: Duration,
    /// Time limit for a call of the application's own code: the handler and its hooks, the extractor at an opening and at
    /// `kw:refresh`, the ticket store. Default: 30 s. `Duration::MAX`: none.
    ///
    /// A call that takes longer is dropped where it awaits. A handler's is answered with code `50`, see
    /// [`MessageHandler`](crate::MessageHandler#errors); an opening is asked to come back, with 503 or 1013. What blocks the
    /// thread cannot be dropped.
    pub handler_timeout: Duration,
    /// How long a call of the store may take: 10 s. `Duration::MAX` is for ever. One that takes longer is dropped
    /// where it awaits, see [`SessionStore`](crate::SessionStore#failures).
    pub store_timeout: Duration,
    /// Whether messages are compressed for clients that offer it: off.
    pub compression: Compression,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            policy: SessionPolicy::default(),
            door: Door::default(),
            message_bytes: 64 * 1024,
            message_rate: Some(Rate::new(2000, Duration::from_secs(10))),
            first_message_timeout: None,
            queue_messages: 256,
            queue_bytes: 1024 * 1024,
            slow_readers: SlowPolicy::default(),
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(10),
            upgrade_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            handler_timeout: Duration::from_secs(30),
            store_timeout: Duration::from_secs(10),
            compression: Compression::OFF,
        }
    }
}

/// What happens when a key that has a session opens another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionPolicy {
    /// Both live, and each gets what is sent to the key. At most `cap` do: one more is refused with 429, or close
    /// code 4506, if all of them answer a ping. If not, a broken line may have left one behind: the client is asked to come
    /// back, with 503 or 1013.
    Many {
        /// The most sessions that a key may have.
        cap: NonZeroUsize,
    },
    /// The newest lives, the older ones are closed with 4504.
    Replace,
    /// The oldest lives, newer ones are refused with 429, or close code 4506, if it answers a ping. If not, the client is
    /// asked to come back, with 503 or 1013.
    Reject,
}

impl Default for SessionPolicy {
    /// `Many`, up to 256: more tabs than a person opens, and a bound to what one message may cost.
    fn default() -> Self {
        const CAP: NonZeroUsize = NonZeroUsize::new(256).unwrap();
        Self::Many { cap: CAP }
    }
}

/// What happens to a client that reads more slowly than it is sent to, when its queue is full
/// ([`Config::queue_messages`], [`Config::queue_bytes`]).
///
/// Where messages are dropped the session lives on. Each is counted in [`Delivery::dropped`](crate::Delivery::dropped)
/// of the sending that it was dropped by. Messages are dropped one by one, also out of several that were sent together;
/// one whose first byte has been written is not, nor are pings, pongs and close frames. A reply of the session's own
/// handler is a message like any other: a page that asks should not wait for ever. And such a session's messages are
/// handled however many replies wait, while with `Close` they are not read while the queue is more than half full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SlowPolicy {
    /// The session ends with 4003, and the client, which is asked to come back, may begin anew. What waits is dropped.
    /// Nothing is ever missing from the middle.
    #[default]
    Close,
    /// What comes while the queue is full is dropped. For what has to be read from its beginning.
    DropNewest,
    /// What has waited longest is dropped. For what the newest of is worth most: positions, prices, a frame of a
    /// picture. A message that does not fit next to the one that is being written is dropped itself.
    DropOldest,
}

//! The limits, and their defaults.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::compression::Compression;
use crate::door::Door;

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
    /// How many messages may wait for a client that does not read: 256. One more ends the session with 4003. Over
    /// bare TCP what the socket takes at once does not wait; over TLS it does until the sender has awaited something.
    pub queue_messages: usize,
    /// How many bytes may wait for a client that does not read, compressed if they are: 1 MiB. More end the
    /// session with 4003. One message alone is always taken.
    pub queue_bytes: usize,
    /// After how long a silence the server pings: 25 s.
    pub ping_interval: Duration,
    /// How long after a ping something must have been heard: 10 s. Else the session ends with 4002.
    pub pong_timeout: Duration,
    /// How long the peer may take to answer a close frame before the connection is cut: 5 s.
    pub close_timeout: Duration,
    /// Whether messages are compressed for clients that offer it: off.
    pub compression: Compression,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            policy: SessionPolicy::default(),
            door: Door::default(),
            message_bytes: 64 * 1024,
            queue_messages: 256,
            queue_bytes: 1024 * 1024,
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            compression: Compression::OFF,
        }
    }
}

/// What happens when a key that has a session opens another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionPolicy {
    /// Both live, and each gets what is sent to the key. At most `cap` do: one more is refused with 429, or close
    /// code 4506.
    Many {
        /// The most sessions that a key may have.
        cap: NonZeroUsize,
    },
    /// The newest lives, the older ones are closed with 4504.
    Replace,
    /// The oldest lives, newer ones are refused with 429, or close code 4506.
    Reject,
}

impl Default for SessionPolicy {
    /// `Many`, up to 256: more tabs than a person opens, and a bound to what one message may cost.
    fn default() -> Self {
        const CAP: NonZeroUsize = NonZeroUsize::new(256).unwrap();
        Self::Many { cap: CAP }
    }
}

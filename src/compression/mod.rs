//! Compression of messages: the setting, the negotiation and the cache of compressed frames.

mod cache;

use http::{HeaderMap, HeaderValue};

pub(crate) use self::cache::CompressedCache;
use crate::websocket;

/// Compression of messages (permessage-deflate, RFC 7692), negotiated with clients that offer it. Default:
/// [`Compression::OFF`], the only value without the feature `deflate`.
///
/// Browsers offer it without any code in the page. It pays off for large messages on slow lines: JSON of 4 KiB shrinks to a quarter
/// or less. The costs:
///
/// - Time of the sender: about 20 µs for 4 KiB, 200 µs for 64 KiB. A frame is compressed once, for the first session that
///   needs it, and then shared. For a broadcast this is negligible. For a separate push to each of many users it is more than
///   the rest of the work.
/// - Memory: about 0.3 MiB for each thread that compresses, none for a session. Each message is compressed on its own, so short
///   messages shrink little. The threshold therefore leaves them uncompressed.
/// - Secrecy: an attacker who sees the length of a message and controls a part of its content can guess the rest of it (the
///   BREACH attack). Do not put secrets and content of other users into one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compression(Option<Deflate>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deflate {
    pub(crate) threshold: usize,
    pub(crate) level: u8,
}

impl Compression {
    /// No compression and no negotiation (the default).
    pub const OFF: Self = Self(None);

    /// Compression of messages of at least 1 KiB at level 3, for clients that offer it. Compressed messages of these clients are
    /// accepted.
    ///
    /// ```
    /// use keywire::limits::Compression;
    /// use keywire::Config;
    ///
    /// let config = Config { compression: Compression::deflate().threshold(512), ..Config::default() };
    /// # let _ = config;
    /// ```
    #[cfg(feature = "deflate")]
    #[must_use]
    pub const fn deflate() -> Self {
        Self(Some(Deflate { threshold: 1024, level: 3 }))
    }

    /// Shortest message that the server compresses, in bytes. Default: 1024. It does not apply to messages of the client.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub const fn threshold(self, bytes: usize) -> Self {
        match self.0 {
            Some(Deflate { level, .. }) => Self(Some(Deflate { threshold: bytes, level })),
            None => self,
        }
    }

    /// Compression level, from 1 (fastest) to 9 (shortest). Default: 3. Other values are clamped.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub const fn level(self, level: u8) -> Self {
        let level = match level {
            0 => 1,
            1..=9 => level,
            10.. => 9,
        };
        match self.0 {
            Some(Deflate { threshold, .. }) => Self(Some(Deflate { threshold, level })),
            None => self,
        }
    }

    /// The extension header of the 101 response, if the client offers compression and this setting allows it.
    pub(crate) fn negotiate(self, headers: &HeaderMap) -> Option<HeaderValue> {
        self.0.and_then(|_| websocket::negotiate(headers)).map(HeaderValue::from_static)
    }

    pub(crate) fn as_deflate(self) -> Option<Deflate> {
        self.0
    }
}

#[cfg(all(test, feature = "deflate"))]
mod tests {
    use super::*;

    #[test]
    fn off_stays_off_and_levels_stay_in_bounds() {
        assert_eq!(Compression::default(), Compression::OFF);
        assert_eq!(Compression::OFF.threshold(1).level(9), Compression::OFF);
        let levels = [0, 1, 5, 9, 10, 255].map(|level| Compression::deflate().level(level).0.unwrap().level);
        assert_eq!(levels, [1, 1, 5, 9, 9, 9]);
        let both = Compression::deflate().level(7).threshold(5);
        assert_eq!(both, Compression::deflate().threshold(5).level(7));
        assert_eq!(both.0, Some(Deflate { threshold: 5, level: 7 }));
    }
}

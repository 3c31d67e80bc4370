//! Whether messages are compressed, and which.

/// Whether sessions may agree with their clients on compressing messages (permessage-deflate, RFC 7692). They do
/// not by default, and with the feature `deflate` they can; without it there is no other value than
/// [`Compression::OFF`].
///
/// Browsers offer it by themselves, and their pages notice nothing. It is worth it where messages are large and
/// lines are slow: JSON of 4 KiB shrinks to a quarter or less. What it costs:
///
/// - Time, in whoever sends: some 20 µs for 4 KiB and 200 µs for 64 KiB. A frame is compressed once, for the
///   first session that wants it, and then shared, so for a broadcast this is nothing; for a push to each of many
///   users it is more than all the rest.
/// - Memory: about 0.3 MiB for each thread that compresses, none for a session. No message remembers the one before,
///   so short ones shrink little: hence the threshold.
/// - A secret: who can see how long a message is, and can have a text of their own put into it, can find out by
///   trying whether it stands in the rest of it (the BREACH attack). Do not put into one message what is secret
///   and what others write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compression(Option<Deflate>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deflate {
    pub(crate) threshold: usize,
    pub(crate) level: u8,
}

impl Compression {
    /// Nothing is compressed and no client is told that it could be: the default.
    pub const OFF: Self = Self(None);

    /// Messages of at least 1 KiB are compressed, at level 3, for clients that offer it; and what such a client
    /// compresses is understood.
    ///
    /// ```
    /// use keywire::{Compression, Config};
    ///
    /// let config = Config { compression: Compression::deflate().threshold(512), ..Config::default() };
    /// # let _ = config;
    /// ```
    #[cfg(feature = "deflate")]
    #[must_use]
    pub const fn deflate() -> Self {
        Self(Some(Deflate { threshold: 1024, level: 3 }))
    }

    /// Only messages of at least so many bytes are compressed. What a client sends it may compress as it likes.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub const fn threshold(self, bytes: usize) -> Self {
        match self.0 {
            Some(Deflate { level, .. }) => Self(Some(Deflate { threshold: bytes, level })),
            None => self,
        }
    }

    /// From 1, which is the fastest, to 9, which gives the shortest messages. What lies outside is the nearest of
    /// these.
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

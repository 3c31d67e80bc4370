use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::str::FromStr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A place in the log of a key: the number of an entry, and a random tag that was drawn for that entry.
///
/// Numbers are contiguous and begin at 1. A position holds in a log if the log has this tag at this number. A log that was
/// emptied, restored from a backup or failed over to an older copy gives the same numbers again, but not the same tags, so
/// a page that has seen the lost entries is told.
///
/// As a string it is the number, a dot and 16 hexadecimal digits:
///
/// ```
/// use keywire::log::Position;
///
/// let position: Position = "41.9f3cab12d45e6f70".parse()?;
/// assert_eq!((position.seq(), position.to_string()), (41, "41.9f3cab12d45e6f70".to_owned()));
/// assert_eq!(Position::BEGINNING.to_string(), "0.0000000000000000");
/// assert!("41".parse::<Position>().is_err());
/// # Ok::<(), keywire::log::InvalidPosition>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Position {
    seq: u64,
    tag: u64,
}

impl Position {
    /// The position before the first entry.
    pub const BEGINNING: Self = Self { seq: 0, tag: 0 };

    /// The position of the entry with this number and tag. For logs that store the two.
    #[must_use]
    pub const fn new(seq: u64, tag: u64) -> Self {
        Self { seq, tag }
    }

    /// The position of the entry that follows this one, with a new random tag. `text` is the entry's content.
    ///
    /// A tag is 64 bits of SipHash, under a key that the operating system drew for this process, over a counter and a
    /// fingerprint of the content: also after a copy of the whole machine two different entries get different tags.
    #[must_use]
    pub fn next(self, text: &str) -> Self {
        static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut hasher = STATE.build_hasher();
        hasher.write_u64(COUNT.fetch_add(1, Ordering::Relaxed));
        hasher.write_u64(fingerprint(text.as_bytes()));
        Self { seq: self.seq + 1, tag: hasher.finish() }
    }

    /// The number of the entry, from 1. 0 is the beginning.
    #[must_use]
    pub const fn seq(self) -> u64 {
        self.seq
    }

    /// The tag of the entry.
    #[must_use]
    pub const fn tag(self) -> u64 {
        self.tag
    }
}

/// A string is not a [`Position`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a position is a decimal number, a dot and 16 hexadecimal digits")]
pub struct InvalidPosition(());

impl FromStr for Position {
    type Err = InvalidPosition;

    /// Reads the one form that [`Display`](fmt::Display) writes: lower case, no sign, no leading zero.
    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let parse = || {
            let (seq, tag) = text.split_once('.')?;
            let position = Self { seq: seq.parse().ok()?, tag: u64::from_str_radix(tag, 16).ok()? };
            // Each position has one form. The length is checked first: the text may be a client's.
            (text.len() <= LONGEST && position.to_string() == text).then_some(position)
        };
        parse().ok_or(InvalidPosition(()))
    }
}

/// The length of the longest form: 20 digits, a dot, 16 digits.
const LONGEST: usize = 37;

impl Position {
    /// Appends the string form. Each kept push for a follower has two of them, so this takes no formatter.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        write_decimal(out, self.seq);
        out.push(b'.');
        out.extend((0..16).rev().map(|digit| b"0123456789abcdef"[(self.tag >> (4 * digit)) as usize & 15]));
    }
}

/// Appends a number in decimal digits.
pub(super) fn write_decimal(out: &mut Vec<u8>, number: u64) {
    let (mut digits, mut begin, mut rest) = ([0; 20], 20, number);
    loop {
        begin -= 1;
        digits[begin] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return out.extend_from_slice(&digits[begin..]);
        }
    }
}

/// A number that differs for different contents, with high probability. It need not resist an attacker: the tag is random without it.
fn fingerprint(text: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(ODD);
    let (words, rest) = text.as_chunks::<8>();
    let hash = words.iter().fold(text.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    rest.iter().fold(hash, |hash, byte| mix(hash, u64::from(*byte)))
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:016x}", self.seq, self.tag)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_has_one_form() {
        let position = Position::BEGINNING.next("a");
        assert_eq!(position.to_string().parse(), Ok(position));
        let last = Position::new(u64::MAX, u64::MAX);
        assert_eq!(last.to_string().len(), LONGEST);
        assert_eq!(last.to_string().parse(), Ok(last));
        for wrong in [
            "",
            ".",
            "1",
            "1.",
            "1.0",
            "+1.0000000000000001",
            "01.0000000000000001",
            "1.000000000000000A",
            "1.+000000000000001",
            "1.00000000000000001",
            "18446744073709551616.0000000000000001",
            "1.0000000000000001 ",
        ] {
            assert_eq!(wrong.parse::<Position>(), Err(InvalidPosition(())), "{wrong:?}");
        }
    }

    #[test]
    fn tags_differ_and_numbers_follow() {
        let first = Position::BEGINNING.next("a");
        assert_eq!((first.seq(), first.next("a").seq()), (1, 2));
        assert_ne!(first.tag(), Position::BEGINNING.next("a").tag());
    }
}

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::str::FromStr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Identifies a session among all others, on other nodes and after a restart too.
///
/// As a string it is 16 hexadecimal digits, a hyphen and a decimal number:
///
/// ```
/// use keywire::session::SessionId;
///
/// let id: SessionId = "00c0ffee00c0ffee-42".parse()?;
/// assert_eq!(id.to_string(), "00c0ffee00c0ffee-42");
/// assert!("42".parse::<SessionId>().is_err());
/// # Ok::<(), keywire::session::InvalidSessionId>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    /// Drawn at random when the process starts.
    process: u64,
    number: u64,
}

impl SessionId {
    pub(crate) const MIN: Self = Self { process: 0, number: 0 };
    pub(crate) const MAX: Self = Self { process: u64::MAX, number: u64::MAX };

    /// A number for spreading sessions over time.
    pub(crate) fn short(self) -> u32 {
        self.number as u32
    }

    pub(crate) const fn bits(self) -> u128 {
        (self.process as u128) << 64 | self.number as u128
    }

    pub(crate) const fn from_bits(bits: u128) -> Self {
        Self { process: (bits >> 64) as u64, number: bits as u64 }
    }

    /// A new id. Within a process they rise.
    pub(crate) fn next() -> Self {
        static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one("keywire"));
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        Self { process: *PROCESS, number: NUMBER.fetch_add(1, Ordering::Relaxed) }
    }
}

/// A string is not a [`SessionId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session id is 16 hexadecimal digits, a hyphen and a decimal number")]
pub struct InvalidSessionId(());

impl FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(text: &str) -> Result<Self, InvalidSessionId> {
        let parse = || {
            let (process, number) = text.split_once('-')?;
            let hexadecimal = process.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
            // One id has one form: no sign, no leading zero.
            let decimal = number.bytes().all(|digit| digit.is_ascii_digit()) && !number.starts_with('0');
            (process.len() == 16 && hexadecimal && decimal).then_some(())?;
            Some(Self { process: u64::from_str_radix(process, 16).ok()?, number: number.parse().ok()? })
        };
        parse().ok_or(InvalidSessionId(()))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.process, self.number)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_has_one_form() {
        let id = SessionId::next();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(serde_json::from_str::<SessionId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        assert!("ffffffffffffffff-18446744073709551615".parse::<SessionId>().is_ok());
        for wrong in [
            "",
            "-",
            "0-1",
            "000000000000000A-1",
            "+00000000000000a-1",
            "000000000000000a-+1",
            "000000000000000a-01",
            "000000000000000a-",
            "000000000000000a-18446744073709551616",
            "000000000000000a-1 ",
        ] {
            assert!(wrong.parse::<SessionId>().is_err(), "{wrong}");
        }
    }
}

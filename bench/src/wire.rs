//! The commands and messages of a bench server. All servers send the same bytes.

pub mod own;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Number of messages after which a server yields (tokio's `yield_now`), as a backend does at its awaits.
///
/// Nothing else in a loop of sends yields. Sixteen is the size of the measured burst: a burst stays whole, and a
/// long run of messages does not fill the queues.
pub const PAUSE_EVERY: u64 = 16;

/// Beginning of every message, so that the load generator finds the number without parsing.
pub const PREFIX: &str = r#"{"code":"00","msg":""#;
const SUFFIX: &str = r#""}"#;

/// The key of a message to everyone.
const EVERYBODY: &str = "*";

/// A text frame with a command for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `B <count> <size>`: `count` messages to everyone.
    Broadcast { count: u64, size: usize },
    /// `BM <count> <size>`: the same, made first and sent in one call.
    BroadcastMany { count: u64, size: usize },
    /// `P <count> <size> <keys>`: `count` messages, each to one of `user0` to `user<keys - 1>`.
    Push { count: u64, size: usize, keys: u64 },
    /// `PM <count> <size> <keys>`: the same, all to one key, made first and sent in one call.
    PushMany { count: u64, size: usize, keys: u64 },
}

impl Command {
    /// The command in a text, if there is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // Nearly all texts are no commands, and the first letter tells.
        if !text.starts_with(['B', 'P']) {
            return None;
        }
        let (name, numbers) = text.split_once(' ')?;
        if !matches!(name, "B" | "BM" | "P" | "PM") {
            return None;
        }
        let mut numbers = numbers.split(' ').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        let (count, size) = (next()?, usize::try_from(next()?).ok()?);
        match name {
            "B" => Some(Self::Broadcast { count, size }),
            "BM" => Some(Self::BroadcastMany { count, size }),
            "PM" => Some(Self::PushMany { count, size, keys: next()?.max(1) }),
            _ => Some(Self::Push { count, size, keys: next()?.max(1) }),
        }
    }
}

/// The payload of a broadcast, `size` bytes long.
#[must_use]
pub fn broadcast(number: u64, size: usize) -> String {
    payload(number, EVERYBODY, size)
}

/// The payload of a push to a key, `size` bytes long.
#[must_use]
pub fn push(number: u64, key: &str, size: usize) -> String {
    payload(number, key, size)
}

fn payload(number: u64, key: &str, size: usize) -> String {
    let mut payload = String::with_capacity(size);
    payload.push_str(PREFIX);
    message(&mut payload, number, key, size.saturating_sub(SUFFIX.len()));
    payload.push_str(SUFFIX);
    payload
}

/// The `msg` of a broadcast, for servers that put the JSON around it themselves.
#[must_use]
pub fn broadcast_message(number: u64, size: usize) -> String {
    push_message(number, EVERYBODY, size)
}

/// The `msg` of a push, for servers that put the JSON around it themselves.
#[must_use]
pub fn push_message(number: u64, key: &str, size: usize) -> String {
    framed_message(number, key, size, PREFIX.len() + SUFFIX.len())
}

/// The text alone, `around` bytes shorter than `size`, for a server that adds its own packet around it.
#[must_use]
pub fn framed_message(number: u64, key: &str, size: usize, around: usize) -> String {
    let size = size.saturating_sub(around);
    let mut text = String::with_capacity(size);
    message(&mut text, number, key, size);
    text
}

/// `<number> <key> xxx…` up to a length of `end`.
fn message(out: &mut String, number: u64, key: &str, end: usize) {
    use std::fmt::Write as _;
    // A `String` takes everything.
    let _ = write!(out, "{number:010} {key} ");
    // In large pieces, since this is not measured.
    while let Some(missing @ 1..) = end.checked_sub(out.len()) {
        out.push_str(&PADDING[..missing.min(PADDING.len())]);
    }
}

const PADDING: &str = match std::str::from_utf8(&[b'x'; 256]) {
    Ok(padding) => padding,
    Err(_) => unreachable!(),
};

/// The number and the key of a message, from its text.
#[must_use]
pub fn read_message(text: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = text.split_at_checked(10)?;
    let number = number.iter().try_fold(0, |number, digit| match digit {
        b'0'..=b'9' => Some(number * 10 + u64::from(digit - b'0')),
        _ => None,
    })?;
    let key = rest.strip_prefix(b" ")?;
    let end = key.iter().position(|byte| *byte == b' ')?;
    Some((number, &key[..end]))
}

/// The reply to a JSON envelope with the flag `command`: a push with the same body and id.
#[must_use]
pub fn command_reply(text: &str) -> Option<String> {
    let envelope: Envelope<'_> = serde_json::from_str(text).ok()?;
    let reply = (envelope.flag == "command").then_some(Push {
        code: "01",
        msg: "",
        data: envelope.body?,
        id: envelope.id,
    })?;
    serde_json::to_string(&reply).ok()
}

#[derive(Deserialize)]
struct Envelope<'a> {
    flag: &'a str,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    id: Option<u64>,
}

#[derive(Serialize)]
struct Push<'a> {
    code: &'a str,
    msg: &'a str,
    data: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
}

/// Random numbers at almost no cost (xorshift), so that they do not affect the measurement.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_nothing_else() {
        assert_eq!(Command::parse("B 16 128"), Some(Command::Broadcast { count: 16, size: 128 }));
        let push = Command::Push { count: 3, size: 64, keys: 10 };
        assert_eq!(Command::parse("P 3 64 10"), Some(push));
        for text in ["", "B", "B 1", "B x 1", "P 1 1", "Bravo 1 2", "hello"] {
            assert_eq!(Command::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_payload_has_its_size_and_can_be_read() {
        for size in [64, 128, 70_000] {
            let payload = push(42, "user7", size);
            assert_eq!(payload.len(), size);
            let text = &payload.as_bytes()[PREFIX.len()..];
            assert_eq!(read_message(text), Some((42, &b"user7"[..])));
            let message = push_message(42, "user7", size);
            assert_eq!(payload, format!("{PREFIX}{message}{SUFFIX}"));
        }
    }

    #[test]
    fn a_command_is_answered_with_its_body() {
        let reply = command_reply(r#"{"flag":"command","body":{"a":[1]},"id":7}"#);
        assert_eq!(reply.as_deref(), Some(r#"{"code":"01","msg":"","data":{"a":[1]},"id":7}"#));
        assert_eq!(command_reply(r#"{"flag":"inform","body":1}"#), None);
    }
}

//! RESP3, the protocol of Redis: commands out, values in.

use bytes::{Bytes, BytesMut};

/// A value from the server. Maps and sets are arrays here, since keywire looks at few of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Nil,
    Int(i64),
    Text(Bytes),
    Error(String),
    Array(Vec<Value>),
    /// Sent by the server without a command: a message, or the confirmation of a subscription.
    Push(Vec<Value>),
}

impl Value {
    /// The text of a string.
    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The number of an integer, or of a string with one.
    pub(super) fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => self.as_str()?.parse().ok(),
        }
    }

    pub(super) fn into_array(self) -> Option<Vec<Self>> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }
}

/// The other side does not speak RESP, or says more than keywire ever asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not valid RESP")]
pub(super) struct Malformed;

/// Largest string from a server. Redis allows 512 MiB, and keywire writes nothing of this size.
const LONGEST: usize = 64 * 1024 * 1024;
/// Most values in an array from a server.
const MOST: usize = 1024 * 1024;
/// Longest line: a number, a status or an error.
const LINE: usize = 64 * 1024;
const DEPTH: usize = 8;

/// Encodes a command.
pub(super) fn encode(out: &mut Vec<u8>, parts: &[&[u8]]) {
    head(out, b'*', parts.len());
    for part in parts {
        head(out, b'$', part.len());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

fn head(out: &mut Vec<u8>, kind: u8, len: usize) {
    out.push(kind);
    out.extend_from_slice(len.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Takes the next value out of what has arrived. `None` if it is incomplete.
pub(super) fn decode(input: &mut BytesMut) -> Result<Option<Value>, Malformed> {
    // A pass without allocations first: an array that arrives in many parts is walked over often, and built once.
    let mut walk = Walk { input, at: 0 };
    if !walk.skip(0)? {
        return Ok(None);
    }
    let len = walk.at;
    let whole = input.split_to(len).freeze();
    Build { input: &whole, at: 0 }.value().map(Some)
}

struct Walk<'a> {
    input: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    /// Goes to the end of a value. False if it is incomplete.
    fn skip(&mut self, depth: usize) -> Result<bool, Malformed> {
        if depth > DEPTH {
            return Err(Malformed);
        }
        let Some((kind, line)) = line(self.input, self.at)? else { return Ok(false) };
        let rest = &self.input[line.clone()];
        let next = line.end + 2;
        match kind {
            b'$' | b'!' | b'=' => {
                let Some(len) = length(rest, LONGEST)? else {
                    self.at = next;
                    return Ok(true);
                };
                let end = next + len;
                if self.input.len() < end + 2 {
                    return Ok(false);
                }
                if &self.input[end..end + 2] != b"\r\n" {
                    return Err(Malformed);
                }
                self.at = end + 2;
                Ok(true)
            }
            b'*' | b'~' | b'>' | b'%' | b'|' => {
                self.at = next;
                for _ in 0..count(kind, rest)? {
                    if !self.skip(depth + 1)? {
                        return Ok(false);
                    }
                }
                // An attribute precedes the value that it is about.
                if kind == b'|' { self.skip(depth + 1) } else { Ok(true) }
            }
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => {
                self.at = next;
                Ok(true)
            }
            _ => Err(Malformed),
        }
    }
}

/// Builds a value that is known to be complete.
struct Build<'a> {
    input: &'a Bytes,
    at: usize,
}

impl Build<'_> {
    fn value(&mut self) -> Result<Value, Malformed> {
        let (kind, line) = line(self.input, self.at)?.ok_or(Malformed)?;
        self.at = line.end + 2;
        let text = self.input.slice(line);
        Ok(match kind {
            b'$' | b'!' | b'=' => {
                let Some(len) = length(&text, LONGEST)? else { return Ok(Value::Nil) };
                let bytes = self.input.slice(self.at..self.at + len);
                self.at += len + 2;
                match kind {
                    b'!' => Value::Error(String::from_utf8_lossy(&bytes).into_owned()),
                    // Three letters and a colon say what kind of text it is.
                    b'=' => Value::Text(bytes.get(4..).map_or(Bytes::new(), Bytes::copy_from_slice)),
                    _ => Value::Text(bytes),
                }
            }
            b'*' if text.as_ref() == b"-1" => Value::Nil,
            b'*' | b'~' | b'%' => Value::Array(self.values(count(kind, &text)?)?),
            b'>' => Value::Push(self.values(count(kind, &text)?)?),
            b'|' => {
                self.values(count(kind, &text)?)?;
                self.value()?
            }
            b'-' => Value::Error(String::from_utf8_lossy(&text).into_owned()),
            b':' => Value::Int(number(&text)?),
            b'_' => Value::Nil,
            b'#' => Value::Int((text.as_ref() == b"t").into()),
            _ => Value::Text(text),
        })
    }

    fn values(&mut self, count: usize) -> Result<Vec<Value>, Malformed> {
        (0..count).map(|_| self.value()).collect()
    }
}

/// The kind of the value at this place, and the range of its line.
fn line(input: &[u8], at: usize) -> Result<Option<(u8, std::ops::Range<usize>)>, Malformed> {
    let Some(kind) = input.get(at) else { return Ok(None) };
    if !b"+-:$*_#,(!=%~>|".contains(kind) {
        return Err(Malformed);
    }
    let rest = &input[at + 1..];
    let end = rest.iter().take(LINE + 1).position(|byte| *byte == b'\r');
    match end {
        Some(end) => match rest.get(end + 1) {
            Some(b'\n') => Ok(Some((*kind, at + 1..at + 1 + end))),
            Some(_) => Err(Malformed),
            None => Ok(None),
        },
        None if rest.len() > LINE => Err(Malformed),
        None => Ok(None),
    }
}

/// A length, or `None` for the null of RESP2.
fn length(text: &[u8], most: usize) -> Result<Option<usize>, Malformed> {
    match number(text)? {
        -1 => Ok(None),
        len => usize::try_from(len).ok().filter(|len| *len <= most).map(Some).ok_or(Malformed),
    }
}

/// The number of values that follow.
fn count(kind: u8, text: &[u8]) -> Result<usize, Malformed> {
    let each = if matches!(kind, b'%' | b'|') { 2 } else { 1 };
    Ok(length(text, MOST)?.unwrap_or(0) * each)
}

fn number(text: &[u8]) -> Result<i64, Malformed> {
    str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::strategy::Strategy as _;

    use super::super::fuzz::all;
    use super::*;

    proptest::proptest! {
        /// Whatever a server sends is decoded without a panic, and the same in whatever parts it arrives.
        #[test]
        fn any_bytes_are_decoded_alike_in_any_parts(
            parts in proptest::collection::vec(
                proptest::prop_oneof![
                    proptest::strategy::Just(b"\r\n".to_vec()),
                    "[*$+:>%|~_#,(!=-][0-9]{0,3}\r\n".prop_map(String::into_bytes),
                    "[a-z0-9]{0,12}\r\n".prop_map(String::into_bytes),
                    proptest::collection::vec(proptest::num::u8::ANY, 0..4),
                ],
                0..24,
            ),
            part in 1..16_usize,
        ) {
            let bytes = parts.concat();
            proptest::prop_assert_eq!(all(&bytes, part), all(&bytes, bytes.len().max(1)));
        }
    }

    fn text(text: &'static str) -> Value {
        Value::Text(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_command_is_an_array_of_strings() {
        let mut out = Vec::new();
        encode(&mut out, &[b"SET", b"a b", b""]);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$3\r\na b\r\n$0\r\n\r\n");
    }

    /// Each value, whole and in all possible pairs of parts.
    #[test]
    fn a_value_is_read_whatever_its_parts() {
        for (input, value) in [
            ("+OK\r\n", text("OK")),
            ("-ERR no\r\n", Value::Error("ERR no".into())),
            ("!5\r\nERR x\r\n", Value::Error("ERR x".into())),
            (":-7\r\n", Value::Int(-7)),
            ("#t\r\n", Value::Int(1)),
            (",1.5\r\n", text("1.5")),
            ("$3\r\na\r\n\r\n", text("a\r\n")),
            ("=5\r\ntxt:a\r\n", text("a")),
            ("$-1\r\n", Value::Nil),
            ("*-1\r\n", Value::Nil),
            ("_\r\n", Value::Nil),
            ("*0\r\n", Value::Array(vec![])),
            ("%1\r\n+a\r\n*1\r\n:1\r\n", Value::Array(vec![text("a"), Value::Array(vec![Value::Int(1)])])),
            ("~1\r\n$1\r\na\r\n", Value::Array(vec![text("a")])),
            ("|1\r\n+a\r\n+b\r\n:1\r\n", Value::Int(1)),
            (
                ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n",
                Value::Push(vec![text("message"), text("c"), text("m")]),
            ),
        ] {
            for cut in 0..input.len() {
                let mut buffer = BytesMut::from(&input[..cut]);
                assert_eq!(decode(&mut buffer), Ok(None), "{input:?} cut at {cut}");
                buffer.extend_from_slice(&input.as_bytes()[cut..]);
                buffer.extend_from_slice(b"+n");
                assert_eq!(decode(&mut buffer), Ok(Some(value.clone())), "{input:?} cut at {cut}");
                assert_eq!(&buffer[..], b"+n");
            }
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let deep = "*1\r\n".repeat(DEPTH + 2);
        let long = format!("+{}", "a".repeat(LINE + 1));
        for input in [
            "HTTP/1.1 400 Bad Request\r\n",
            "$x\r\n",
            "$-2\r\n",
            "$67108865\r\n",
            "*1048577\r\n",
            "*99999999999999999999\r\n",
            "$1\r\nab\r\n",
            "+a\rb\r\n",
            "\r\n",
            &deep,
            &long,
        ] {
            assert_eq!(decode(&mut BytesMut::from(input)), Err(Malformed), "{input:?}");
        }
        for input in [":x\r\n", ":99999999999999999999\r\n", "*1\r\n:\r\n"] {
            assert_eq!(decode(&mut BytesMut::from(input)), Err(Malformed), "{input:?}");
        }
    }

    /// Nothing that a server sends may panic.
    #[test]
    fn random_bytes_do_no_harm() {
        use rand::Rng as _;
        use rand::seq::IndexedRandom as _;
        let pieces: [&[u8]; 16] = [
            b"*", b"$", b"%", b"|", b">", b"=", b"!", b"~", b":", b"+", b"\r\n", b"-1", b"1", b"3", b"a",
            b"\xff",
        ];
        let mut random = rand::rng();
        for _ in 0..20_000 {
            let count = 1 + random.next_u32() as usize % 12;
            let input: Vec<u8> = (0..count)
                .flat_map(|_| pieces.choose(&mut random).copied().unwrap_or_default())
                .copied()
                .collect();
            let mut input = BytesMut::from(&input[..]);
            while let Ok(Some(_)) = decode(&mut input) {}
        }
    }
}

//! The protocol of NATS, without I/O: what a server sends.

use bytes::{Buf as _, Bytes, BytesMut};
use serde::Deserialize;

use super::NatsError;
use super::headers::Headers;

/// What a server says.
#[derive(Debug)]
pub(super) enum ServerOp {
    Info(Box<Info>),
    Message(Message),
    Ping,
    Pong,
    Ok,
    Err(String),
}

/// A message to one of the subscriptions.
#[derive(Debug, Clone, Default)]
pub(super) struct Message {
    pub(super) subject: Bytes,
    pub(super) headers: Headers,
    pub(super) payload: Bytes,
}

/// What a server says about itself.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Info {
    #[serde(default)]
    pub(super) version: String,
    #[serde(default)]
    pub(super) headers: bool,
    #[serde(default = "default_max_payload")]
    pub(super) max_payload: usize,
    #[serde(default)]
    pub(super) tls_required: bool,
    #[serde(default)]
    pub(super) tls_available: bool,
}

fn default_max_payload() -> usize {
    1024 * 1024
}

/// Longest line that a server may send. `INFO` names the servers of a cluster.
const LINE: usize = 256 * 1024;

/// Largest message that a server may send: the most that nats-server can be set to, and headers that it adds.
const MESSAGE: usize = 65 * 1024 * 1024;

/// Takes the next whole operation from the buffer. `None` if more bytes are needed.
pub(super) fn decode(buffer: &mut BytesMut) -> Result<Option<ServerOp>, NatsError> {
    let Some(end) = buffer.iter().take(LINE).position(|byte| *byte == b'\n') else {
        return if buffer.len() < LINE { Ok(None) } else { Err(NatsError::Protocol("a line is too long")) };
    };
    let line = buffer[..end].strip_suffix(b"\r").unwrap_or(&buffer[..end]);
    let line = str::from_utf8(line).map_err(|_| NatsError::Protocol("a line is not UTF-8"))?;
    let (verb, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let with_headers = verb.eq_ignore_ascii_case("HMSG");
    if with_headers || verb.eq_ignore_ascii_case("MSG") {
        return message(buffer, end + 1, with_headers);
    }
    let op = match verb {
        "PING" => ServerOp::Ping,
        "PONG" => ServerOp::Pong,
        "+OK" => ServerOp::Ok,
        "-ERR" => ServerOp::Err(rest.trim().trim_matches('\'').to_owned()),
        "INFO" => {
            let info = serde_json::from_str(rest).map_err(|_| NatsError::Protocol("INFO cannot be read"))?;
            ServerOp::Info(Box::new(info))
        }
        _ => return Err(NatsError::Protocol("an unknown operation")),
    };
    buffer.advance(end + 1);
    Ok(Some(op))
}

fn message(buffer: &mut BytesMut, line: usize, with_headers: bool) -> Result<Option<ServerOp>, NatsError> {
    const MALFORMED: NatsError = NatsError::Protocol("a message has a malformed line");
    let words = buffer[..line].split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let words: Vec<&[u8]> = words.skip(1).take(6).collect();
    let number = |word: &[u8]| str::from_utf8(word).ok().and_then(|word| word.parse::<usize>().ok());
    // subject, sid, perhaps a reply subject, perhaps the length of the headers, the length of all.
    let numbers = if with_headers { 2 } else { 1 };
    if words.len() < 2 + numbers || words.len() > 3 + numbers {
        return Err(MALFORMED);
    }
    let total = number(words[words.len() - 1]).ok_or(MALFORMED)?;
    let headers = if with_headers { number(words[words.len() - 2]).ok_or(MALFORMED)? } else { 0 };
    if total > MESSAGE || headers > total {
        return Err(MALFORMED);
    }
    let subject = words[0].as_ptr() as usize - buffer.as_ptr() as usize;
    let subject = subject..subject + words[0].len();
    if buffer.len() < line + total + 2 {
        buffer.reserve(line + total + 2 - buffer.len());
        return Ok(None);
    }
    let line = buffer.split_to(line).freeze();
    let headers = Headers::from_wire(buffer.split_to(headers).freeze());
    let payload = buffer.split_to(total - headers.len()).freeze();
    if buffer[..2] != *b"\r\n" {
        return Err(NatsError::Protocol("a message has no end"));
    }
    buffer.advance(2);
    Ok(Some(ServerOp::Message(Message { subject: line.slice(subject), headers, payload })))
}

#[cfg(test)]
mod tests {
    use proptest::strategy::Strategy as _;

    use super::super::fuzz::in_parts;
    use super::*;

    proptest::proptest! {
        /// Whatever a server sends is decoded without a panic, and the same in whatever parts it arrives.
        #[test]
        fn any_bytes_are_decoded_alike_in_any_parts(
            parts in proptest::collection::vec(
                proptest::prop_oneof![
                    "(PING|PONG|\\+OK|-ERR 'a'|INFO \\{\\})\r?\n".prop_map(String::into_bytes),
                    "MSG [a-z.]{0,5} [0-9]( [a-z]{1,3})? [0-9]{1,2}\r\n".prop_map(String::into_bytes),
                    "HMSG [a-z.]{0,5} [0-9] [0-9]{1,2} [0-9]{1,2}\r\n".prop_map(String::into_bytes),
                    "(NATS/1.0 [0-9]{0,3}\r\n|[a-z]{0,3}:[a-z]{0,3}\r\n)".prop_map(String::into_bytes),
                    proptest::collection::vec(proptest::num::u8::ANY, 0..4),
                ],
                0..16,
            ),
            part in 1..16_usize,
        ) {
            let bytes = parts.concat();
            proptest::prop_assert_eq!(in_parts(&bytes, part), in_parts(&bytes, bytes.len().max(1)));
        }
    }

    /// All operations in a string that arrives byte by byte.
    fn all(text: &[u8]) -> Result<Vec<ServerOp>, NatsError> {
        let (mut buffer, mut ops) = (BytesMut::new(), Vec::new());
        for byte in text {
            buffer.extend_from_slice(&[*byte]);
            while let Some(op) = decode(&mut buffer)? {
                ops.push(op);
            }
        }
        assert!(buffer.is_empty(), "left: {buffer:?}");
        Ok(ops)
    }

    #[test]
    fn operations_are_read_however_they_are_cut() {
        let text = b"INFO {\"version\":\"2.10.0\",\"max_payload\":9}\r\nPING\r\nPONG\r\n+OK\r\n-ERR 'Stale Connection'\r\n\
            MSG a.b 7 5\r\nhe\r\no\r\nMSG a.b 7 _INBOX.1 0\r\n\r\nHMSG a 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n";
        let ops = all(text).unwrap();
        assert!(matches!(&ops[0], ServerOp::Info(info) if info.version == "2.10.0" && info.max_payload == 9));
        assert!(matches!(&ops[1..4], [ServerOp::Ping, ServerOp::Pong, ServerOp::Ok]));
        assert!(matches!(&ops[4], ServerOp::Err(text) if text == "Stale Connection"));
        let messages: Vec<_> = ops[5..]
            .iter()
            .map(|op| match op {
                ServerOp::Message(message) => (&message.subject[..], &message.payload[..]),
                _ => panic!("{op:?}"),
            })
            .collect();
        assert_eq!(messages, [(&b"a.b"[..], &b"he\r\no"[..]), (b"a.b", b""), (b"a", b"hi")]);
    }

    #[test]
    fn what_is_not_the_protocol_is_an_error() {
        for wrong in [
            "HTTP/1.1 400 Bad Request\r\n",
            "MSG a 1\r\n",
            "MSG a 1 -1\r\n",
            "MSG a 1 99999999999\r\n",
            "HMSG a 1 9 3\r\n",
            "MSG a b c d e f g\r\n",
            "MSG a 1 1\r\nabc",
            "INFO nothing\r\n",
            "\r\n",
        ] {
            assert!(all(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(decode(&mut BytesMut::from(&vec![b'a'; LINE][..])).is_err());
        assert!(all(b"\xff\r\n").is_err());
    }
}

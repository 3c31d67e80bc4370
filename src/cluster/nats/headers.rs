use std::fmt::Write as _;

use bytes::Bytes;

/// The headers of a message, as they are on the wire.
#[derive(Debug, Clone, Default)]
pub(super) struct Headers(Bytes);

const VERSION: &str = "NATS/1.0";

impl Headers {
    pub(super) fn from_wire(bytes: Bytes) -> Self {
        Self(bytes)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The status in the first line, which is not the sender's but the server's.
    pub(super) fn status(&self) -> Option<u16> {
        self.lines().next()?.strip_prefix(VERSION)?.split_whitespace().next()?.parse().ok()
    }

    /// The value of a header.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The number in a header.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        str::from_utf8(&self.0).unwrap_or_default().split("\r\n")
    }
}

/// Headers to send. Values must not contain line breaks.
#[derive(Debug, Clone)]
pub(super) struct HeadersOut(String);

impl HeadersOut {
    pub(super) fn new() -> Self {
        Self(format!("{VERSION}\r\n"))
    }

    pub(super) fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{name}: {value}\r\n");
        self
    }

    pub(super) fn to_wire(&self) -> String {
        [&self.0, "\r\n"].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_by_name() {
        let wire = HeadersOut::new().with("Nats-Sequence", 7).with("Keywire", "1 2").to_wire();
        let headers = Headers::from_wire(wire.into());
        assert_eq!((headers.status(), headers.number("nats-sequence")), (None, Some(7)));
        assert_eq!((headers.get("Keywire"), headers.get("Key")), (Some("1 2"), None));
        let status = Headers::from_wire(Bytes::from_static(b"NATS/1.0 404 Message Not Found\r\n\r\n"));
        assert_eq!(status.status(), Some(404));
        assert_eq!(Headers::default().status(), None);
    }
}

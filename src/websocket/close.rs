//! Payload of a close frame (RFC 6455 5.5.1).

use super::{CloseCode, Violation, utf8};

/// Content of a client's close frame. The reason has at most 123 bytes and comes from the client: escape it before logging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CloseFrame<'a> {
    pub(crate) code: CloseCode,
    pub(crate) reason: &'a str,
}

impl<'a> CloseFrame<'a> {
    /// Parses the payload. `None`: the payload is empty, so there is no code.
    pub(super) fn parse(payload: &'a [u8]) -> Result<Option<Self>, Violation> {
        if payload.is_empty() {
            return Ok(None);
        }
        let (&code, reason) = payload.split_first_chunk().ok_or(Violation::ClosePayload)?;
        let code = u16::from_be_bytes(code);
        let code = CloseCode::new(code).ok_or(Violation::CloseCode(code))?;
        Ok(Some(Self { code, reason: utf8::whole(reason)? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads() {
        let normal = |reason| Ok(Some(CloseFrame { code: CloseCode::NORMAL, reason }));
        for (payload, expected) in [
            (&b""[..], Ok(None)),
            (b"\x03", Err(Violation::ClosePayload)),
            (b"\x03\xe8", normal("")),
            (b"\x03\xe8bye", normal("bye")),
            ("\x03è".as_bytes(), Err(Violation::CloseCode(0x03c3))),
            (b"\x03\xed", Err(Violation::CloseCode(1005))),
            (b"\x00\x00", Err(Violation::CloseCode(0))),
            (b"\xff\xff", Err(Violation::CloseCode(65535))),
            (b"\x03\xe8\xff", Err(Violation::Utf8)),
            (b"\x03\xe8cut \xe2\x82", Err(Violation::Utf8)),
        ] {
            assert_eq!(CloseFrame::parse(payload), expected, "{payload:?}");
        }
    }
}

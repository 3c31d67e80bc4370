//! The opening handshake, reduced to the minimum that works.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

/// A complete request head.
pub struct Opening {
    pub key: Box<str>,
    pub response: String,
    /// Length of the head.
    pub len: usize,
}

/// The opening at the beginning of `bytes`, if it is complete.
pub fn read(bytes: &[u8]) -> Option<Opening> {
    let len = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..len]).ok()?;
    let mut lines = head.split("\r\n");
    let key = lines.next()?.strip_prefix("GET /websocket/")?.split(' ').next()?.into();
    let nonce = lines
        .filter_map(|line| line.split_once(": "))
        .find_map(|(name, value)| name.eq_ignore_ascii_case("sec-websocket-key").then_some(value))?;
    let digest = Sha1::new().chain_update(nonce).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = STANDARD.encode(digest.finalize());
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    Some(Opening { key, response, len })
}

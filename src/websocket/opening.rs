//! The HTTP request for a WebSocket, and the 101 response (RFC 6455 4.2).

use std::collections::HashSet;
use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, Response, StatusCode, Version};
use sha1::{Digest, Sha1};

mod error;

pub(crate) use error::OpeningError;

/// A valid opening request.
pub(crate) struct Opening {
    /// Value of `Sec-WebSocket-Accept`, which proves to the client that the server has read the request.
    pub(crate) accept: HeaderValue,
    /// Subprotocols in the client's order of preference, without duplicates. One of them may be a credential.
    pub(crate) protocols: Vec<String>,
}

/// Validates an opening request. Does not check the path, the origin and the credential.
///
/// # Errors
///
/// The first requirement of RFC 6455 4.2.1 that the request does not meet.
pub(crate) fn check(method: &Method, version: Version, headers: &HeaderMap) -> Result<Opening, OpeningError> {
    // HTTP/2 has no upgrade, and a 101 response to HTTP/1.0 is forbidden (RFC 9110 7.8).
    if version != Version::HTTP_11 {
        return Err(OpeningError::HttpVersion);
    }
    if method != Method::GET {
        return Err(OpeningError::Method);
    }
    if !has_token(headers, UPGRADE, "websocket") {
        return Err(OpeningError::NotAnUpgrade);
    }
    if !has_token(headers, CONNECTION, "upgrade") {
        return Err(OpeningError::Connection);
    }
    if single(headers, HOST).is_none() {
        return Err(OpeningError::Host);
    }
    // The server would read the bytes of a body as frames.
    if has_body(headers) {
        return Err(OpeningError::Body);
    }
    // Checked before the key, since another version may define the key differently.
    if single(headers, SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(OpeningError::Version);
    }
    let key = single(headers, SEC_WEBSOCKET_KEY).filter(|key| is_key(key)).ok_or(OpeningError::Key)?;
    Ok(Opening { accept: accept(key), protocols: protocols(headers)? })
}

impl Opening {
    /// The 101 response with the subprotocol chosen from [`protocols`](Self::protocols).
    ///
    /// A subprotocol that the client did not offer is left out, since the client would have to fail the connection (4.1).
    pub(crate) fn response(&self, chosen: Option<&str>) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept.clone());
        if let Some(chosen) = chosen.filter(|chosen| self.protocols.iter().any(|offered| offered == chosen))
            && let Ok(chosen) = HeaderValue::from_str(chosen)
        {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, chosen);
        }
        response
    }
}

/// Omits the subprotocols, since one of them may be a token.
impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("protocols", &self.protocols.len()).finish_non_exhaustive()
    }
}

/// The value of a header that occurs exactly once.
fn single(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).into_iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether the request announces a body (RFC 9112, section 6).
fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
        || headers.get_all(CONTENT_LENGTH).into_iter().any(|len| len != "0")
}

/// Whether a list, which may span several headers, contains `token` in upper or lower case. Other elements are ignored, even
/// malformed ones, since proxies also write into these lists.
fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let elements =
        headers.get_all(name).into_iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    elements.map(<[u8]>::trim_ascii).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

/// The elements of a list, without empty ones (RFC 9110 5.6.1.2).
fn elements(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(|element| element.trim_matches([' ', '\t'])).filter(|element| !element.is_empty())
}

/// Whether `key` is 16 bytes in base64. These are 24 characters with the padding, so no other length is decoded.
fn is_key(key: &HeaderValue) -> bool {
    key.len() == 24 && STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16)
}

/// The hash of the key and the GUID of the protocol (4.2.2, step 5.4).
fn accept(key: &HeaderValue) -> HeaderValue {
    let hash = Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    HeaderValue::try_from(STANDARD.encode(hash)).expect("base64 is plain ASCII")
}

/// The offered subprotocols. Only the client writes this list, so a malformed list is refused (4.2.1).
fn protocols(headers: &HeaderMap) -> Result<Vec<String>, OpeningError> {
    let mut offered = Vec::new();
    // A set, since a client's list may be long and a search in it would be quadratic.
    let mut seen = HashSet::new();
    for value in headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
        let list = value.to_str().map_err(|_| OpeningError::Protocols)?;
        for protocol in elements(list) {
            if !protocol.bytes().all(is_token_byte) || !seen.insert(protocol) {
                return Err(OpeningError::Protocols);
            }
            offered.push(protocol.to_owned());
        }
    }
    // A list has at least one element (4.1, step 10).
    if offered.is_empty() && headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        return Err(OpeningError::Protocols);
    }
    Ok(offered)
}

/// Whether a byte may be in a token (RFC 9110 5.6.2).
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;

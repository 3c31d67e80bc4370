//! The HTTP request for a WebSocket, and the response that accepts it: RFC 6455 4.2 for HTTP/1.1, RFC 8441 for HTTP/2 and RFC 9220
//! for HTTP/3.

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

/// The parts of a request that decide whether it is an opening.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) version: Version,
    /// The pseudo-header `:protocol` of an extended CONNECT.
    pub(crate) protocol: Option<&'a str>,
    /// The pseudo-header `:authority`.
    pub(crate) authority: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
}

/// A valid opening request.
pub(crate) struct Opening {
    /// Value of `Sec-WebSocket-Accept`, which proves to the client that the server has read the request. `None` for a CONNECT, which
    /// proves it by its 200.
    pub(crate) accept: Option<HeaderValue>,
    /// Subprotocols in the client's order of preference, without duplicates. One of them may be a credential.
    pub(crate) protocols: Vec<String>,
}

/// Validates an opening request. Does not check the path, the origin and the credential.
///
/// # Errors
///
/// The first requirement of RFC 6455 4.2.1, or of RFC 8441 section 5, that the request does not meet.
pub(crate) fn check(head: Head<'_>) -> Result<Opening, OpeningError> {
    match head.version {
        Version::HTTP_11 => check_upgrade(head),
        Version::HTTP_2 | Version::HTTP_3 => check_connect(head),
        // A 101 response to HTTP/1.0 is forbidden (RFC 9110 7.8).
        _ => Err(OpeningError::HttpVersion),
    }
}

/// The upgrade of HTTP/1.1.
fn check_upgrade(Head { method, headers, .. }: Head<'_>) -> Result<Opening, OpeningError> {
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
    if !is_version_13(headers) {
        return Err(OpeningError::Version);
    }
    let key = single(headers, SEC_WEBSOCKET_KEY).filter(|key| is_key(key)).ok_or(OpeningError::Key)?;
    Ok(Opening { accept: Some(accept(key)), protocols: protocols(headers)? })
}

/// The extended CONNECT of HTTP/2 and HTTP/3, which have no upgrade. It has no key, and `Upgrade` and `Connection` do not count.
fn check_connect(head: Head<'_>) -> Result<Opening, OpeningError> {
    let Head { method, protocol, authority, headers, .. } = head;
    if method != Method::CONNECT {
        return Err(OpeningError::HttpVersion);
    }
    if !protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket")) {
        return Err(OpeningError::Protocol);
    }
    // RFC 9113, section 8.3.1.
    let agrees = |host: &HeaderValue| {
        authority.is_some_and(|authority| authority.as_bytes().eq_ignore_ascii_case(host.as_bytes()))
    };
    if authority.is_none() || !headers.get_all(HOST).into_iter().all(agrees) {
        return Err(OpeningError::Authority);
    }
    if has_body(headers) {
        return Err(OpeningError::Body);
    }
    if !is_version_13(headers) {
        return Err(OpeningError::ConnectVersion);
    }
    Ok(Opening { accept: None, protocols: protocols(headers)? })
}

impl Opening {
    /// The response, 101 or 200, with the subprotocol chosen from [`protocols`](Self::protocols).
    ///
    /// A subprotocol that the client did not offer is left out, since the client would have to fail the connection (4.1).
    pub(crate) fn response(&self, chosen: Option<&str>) -> Response<()> {
        let mut response = Response::new(());
        if let Some(accept) = &self.accept {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept.clone());
        }
        if let Some(chosen) = chosen.filter(|chosen| self.protocols.iter().any(|offered| offered == chosen))
            && let Ok(chosen) = HeaderValue::from_str(chosen)
        {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, chosen);
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

fn is_version_13(headers: &HeaderMap) -> bool {
    single(headers, SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13")
}

/// Whether the request announces a body (RFC 9112, section 6).
fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
        || headers.get_all(CONTENT_LENGTH).into_iter().any(|len| len != "0")
}

/// Whether a list, which may span several headers, contains `token` in upper or lower case. Other elements are ignored, even
/// malformed ones, since proxies also write into these lists.
fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let is_it = |element: &[u8]| element.trim_ascii().eq_ignore_ascii_case(token.as_bytes());
    headers.get_all(name).into_iter().map(HeaderValue::as_bytes).any(|list| {
        // Almost always the whole list.
        is_it(list) || list.split(|&byte| byte == b',').any(is_it)
    })
}

/// The elements of a list, without empty ones (RFC 9110 5.6.1.2).
fn elements(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(|element| element.trim_matches([' ', '\t'])).filter(|element| !element.is_empty())
}

/// Whether `key` is 16 bytes in base64. These are 24 characters with the padding, so no other length is decoded.
fn is_key(key: &HeaderValue) -> bool {
    // The decoder wants room for what 24 characters can be at most.
    key.len() == 24 && STANDARD.decode_slice(key, &mut [0; 18]).is_ok_and(|nonce| nonce == 16)
}

/// The hash of the key and the GUID of the protocol (4.2.2, step 5.4).
fn accept(key: &HeaderValue) -> HeaderValue {
    let hash = Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    let mut base64 = [0; 28];
    STANDARD.encode_slice(hash, &mut base64).expect("20 bytes are 28 characters");
    HeaderValue::from_bytes(&base64).expect("base64 is plain ASCII")
}

/// The offered subprotocols. Only the client writes this list, so a malformed list is refused (4.2.1).
fn protocols(headers: &HeaderMap) -> Result<Vec<String>, OpeningError> {
    if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        return Ok(Vec::new());
    }
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
    if offered.is_empty() {
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

use std::collections::HashSet;

use http::header::{HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version};

use crate::handshake::Handshake;
use crate::limits::TrustedProxies;
use crate::origin::Origins;
use crate::path_key::PathKey;
use crate::websocket::{Head, check};

/// Checks that an accepted opening meets the requirements of RFC 6455 4.2.1 or RFC 8441, and that no accessor of the head panics.
///
/// The bytes are the head of a request. Lines that cannot be headers are left out, since an HTTP server refuses them.
pub fn opening(head: &[u8]) {
    let mut lines = head.split(|&byte| byte == b'\n');
    let Some(mut request) = lines.next().and_then(request) else { return };
    request.headers_mut().extend(lines.filter_map(header));
    let (method, version, headers) = (request.method(), request.version(), request.headers());
    let one = |name| headers.get_all(name).iter().count() == 1;

    let authority = request.uri().authority().map(Authority::as_str);
    let head = Head { method, version, protocol: Some("websocket"), authority, headers };
    match check(head) {
        Ok(opening) => {
            assert!(one(SEC_WEBSOCKET_VERSION));
            assert_eq!(headers[SEC_WEBSOCKET_VERSION], "13");
            if let Some(accept) = &opening.accept {
                assert_eq!((method, version), (&Method::GET, Version::HTTP_11));
                assert!(one(HOST) && one(SEC_WEBSOCKET_KEY));
                let upgrades = headers.get_all(UPGRADE).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
                assert!(upgrades.concat().to_ascii_lowercase().windows(9).any(|word| word == b"websocket"));
                assert_eq!(accept.len(), 28, "20 bytes in base64");
            } else {
                assert_eq!((method, version), (&Method::CONNECT, Version::HTTP_2));
                assert!(authority.is_some());
            }

            let offered: HashSet<&String> = opening.protocols.iter().collect();
            assert_eq!(offered.len(), opening.protocols.len(), "no two alike");
            assert_eq!(offered.is_empty(), !headers.contains_key(SEC_WEBSOCKET_PROTOCOL));
            for protocol in &opening.protocols {
                let response = opening.response(Some(protocol));
                let accepted =
                    if opening.accept.is_some() { StatusCode::SWITCHING_PROTOCOLS } else { StatusCode::OK };
                assert_eq!(response.status(), accepted);
                assert_eq!(response.headers()[SEC_WEBSOCKET_PROTOCOL], protocol.as_str());
            }
            let response = opening.response(Some("not, offered"));
            assert!(!response.headers().contains_key(SEC_WEBSOCKET_PROTOCOL));
        }
        Err(error) => {
            assert!(error.status().is_client_error() || error.status().is_server_error());
            let _ = error.headers();
        }
    }

    for proxies in [TrustedProxies::forwarded, TrustedProxies::x_forwarded_for] {
        let everybody = proxies(["0.0.0.0/0", "::/0"]).expect("networks");
        let _ = everybody.resolve(([127, 0, 0, 1], 1).into(), request.headers());
    }

    let segment = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let handshake = Handshake::new(request).with_path_key(PathKey::encoded(segment));
    let _ = (handshake.path_key(), handshake.query("token"), handshake.cookie("token"), handshake.bearer());
    let _ = (handshake.subprotocols().count(), handshake.protocol_token());
    let _ = Origins::same().and_loopback().check(&handshake);
}

/// `GET /path?query HTTP/1.1`
fn request(line: &[u8]) -> Option<Request<()>> {
    let mut words = line.trim_ascii_end().split(|&byte| byte == b' ');
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(words.next()?).ok()?;
    *request.uri_mut() = Uri::try_from(words.next()?).ok()?;
    *request.version_mut() = match words.next()? {
        b"HTTP/1.0" => Version::HTTP_10,
        b"HTTP/1.1" => Version::HTTP_11,
        _ => Version::HTTP_2,
    };
    Some(request)
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
}

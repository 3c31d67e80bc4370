//! Reasons why a request is not a valid opening, and the HTTP responses for them.

use http::StatusCode;
use http::header::{ALLOW, CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_VERSION, UPGRADE};
use thiserror::Error;

/// Reason why a request is not a valid opening. The messages contain no part of the request, since it may contain a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum OpeningError {
    #[error("an opening must be a GET of HTTP/1.1, or an extended CONNECT of HTTP/2 or HTTP/3")]
    HttpVersion,
    #[error("the method of an opening must be GET")]
    Method,
    #[error("the header `Upgrade: websocket` is missing: this is a WebSocket endpoint")]
    NotAnUpgrade,
    #[error("the header `Connection: Upgrade` is missing: a proxy may have removed it")]
    Connection,
    #[error("there must be exactly one Host header")]
    Host,
    #[error("the opening must not have a body")]
    Body,
    #[error("the :protocol of a CONNECT must be websocket")]
    Protocol,
    #[error("a CONNECT must have an :authority, and a Host header must be equal to it")]
    Authority,
    #[error("there must be exactly one Sec-WebSocket-Version header, with the value 13")]
    Version,
    /// [`Version`](Self::Version) in HTTP/2 and HTTP/3, which have no upgrade to ask for.
    #[error("there must be exactly one Sec-WebSocket-Version header, with the value 13")]
    ConnectVersion,
    #[error("there must be exactly one Sec-WebSocket-Key header, with 16 bytes in base64")]
    Key,
    #[error("Sec-WebSocket-Protocol must be a list of tokens without duplicates")]
    Protocols,
}

impl OpeningError {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::HttpVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAnUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            // RFC 9220, section 3.
            Self::Protocol => StatusCode::NOT_IMPLEMENTED,
            Self::Connection
            | Self::Host
            | Self::Authority
            | Self::Body
            | Self::ConnectVersion
            | Self::Key
            | Self::Protocols => StatusCode::BAD_REQUEST,
        }
    }

    /// The headers of the response, which name the correct value.
    pub(crate) fn headers(self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self == Self::Method {
            headers.insert(ALLOW, HeaderValue::from_static("GET"));
        }
        // A 426 response names the protocol to upgrade to (RFC 9110 15.5.22), as a connection option (7.8).
        if self.status() == StatusCode::UPGRADE_REQUIRED {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        }
        // The response names the versions that the server supports (RFC 6455 4.4).
        if matches!(self, Self::Version | Self::ConnectVersion) {
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        headers
    }
}

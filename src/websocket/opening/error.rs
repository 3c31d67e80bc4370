//! Why a request cannot become a WebSocket, and the HTTP answer that says so.

use http::StatusCode;
use http::header::{ALLOW, CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_VERSION, UPGRADE};
use thiserror::Error;

/// None of the texts repeats anything of the request: it may hold a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum OpeningError {
    #[error("a WebSocket is opened over HTTP/1.1")]
    HttpVersion,
    #[error("a WebSocket is opened with GET")]
    Method,
    #[error("this is a WebSocket endpoint, and `Upgrade: websocket` is missing")]
    NotAnUpgrade,
    #[error("`Connection: Upgrade` is missing, which a proxy may have taken away")]
    Connection,
    #[error("there must be one Host header")]
    Host,
    #[error("an opening has no body")]
    Body,
    #[error("there must be one Sec-WebSocket-Version header, and it must be 13")]
    Version,
    #[error("there must be one Sec-WebSocket-Key header, with 16 bytes in base64")]
    Key,
    #[error("Sec-WebSocket-Protocol must be a list of tokens, no two alike")]
    Protocols,
}

impl OpeningError {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::HttpVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAnUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Connection | Self::Host | Self::Body | Self::Key | Self::Protocols => {
                StatusCode::BAD_REQUEST
            }
        }
    }

    /// The headers that the answer needs: what would have been right.
    pub(crate) fn headers(self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self == Self::Method {
            headers.insert(ALLOW, HeaderValue::from_static("GET"));
        }
        // RFC 9110 15.5.22: a 426 names the protocol to change to, and 7.8: as an option of the connection.
        if self.status() == StatusCode::UPGRADE_REQUIRED {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        }
        // RFC 6455 4.4: the versions that the server does speak.
        if self == Self::Version {
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        headers
    }
}

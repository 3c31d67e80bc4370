use std::fmt;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, CONNECTION, COOKIE, HOST, ORIGIN, UPGRADE};
use http::header::{SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use crate::handshake::{Handshake, KEYWIRE_V1, TOKEN_PROTOCOL};
use crate::path_key::PathKey;

/// The opening request of a [`Tab`](super::Tab): `GET /websocket`, with the headers of a valid opening and the subprotocol
/// `keywire.v1`. [`Tab::builder`](super::Tab::builder) makes it.
///
/// It is also the shortest way to a [`Handshake`] for the test of an extractor:
///
/// ```
/// use keywire::KeyExtractor;
/// use keywire::auth::RawKey;
/// use keywire::testing::Tab;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let opening = Tab::builder().header("x-user", "alice").into();
/// let identity = RawKey::from_header("x-user").extract(&opening).await;
/// assert_eq!(identity.unwrap().key(), "alice");
/// # }
/// ```
///
/// Credentials are bytes (`&str` or `&[u8]`), so that a test can send what is not UTF-8. [`Debug`] does not show them.
#[derive(Clone, PartialEq)]
pub struct TabBuilder {
    path_key: PathKey,
    query: Vec<String>,
    headers: HeaderMap,
    peer: Option<SocketAddr>,
    is_plain: bool,
}

impl TabBuilder {
    pub(super) fn new() -> Self {
        let headers = [
            (HOST, "localhost"),
            (CONNECTION, "upgrade"),
            (UPGRADE, "websocket"),
            (SEC_WEBSOCKET_VERSION, "13"),
            (SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let headers = headers.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value)));
        Self {
            path_key: PathKey::default(),
            query: Vec::new(),
            headers: headers.collect(),
            peer: None,
            is_plain: false,
        }
    }

    /// The key or token in the path: `{key}` in `/websocket/{key}`. Replaces an earlier one.
    #[must_use]
    pub fn path_key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.path_key = PathKey::encoded(escaped(key.as_ref()));
        self
    }

    /// Adds a parameter to the query string.
    #[must_use]
    pub fn query(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.query.push(format!("{}={}", escaped(name.as_bytes()), escaped(value.as_ref())));
        self
    }

    /// Adds `Authorization: Bearer`.
    ///
    /// # Panics
    ///
    /// If the token has characters that a header cannot have.
    #[must_use]
    pub fn bearer(self, token: impl AsRef<[u8]>) -> Self {
        self.header(AUTHORIZATION, [b"Bearer ", token.as_ref()].concat())
    }

    /// Adds a cookie.
    ///
    /// # Panics
    ///
    /// If the name or value has characters that a header cannot have.
    #[must_use]
    pub fn cookie(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.header(COOKIE, [name.as_bytes(), b"=", value.as_ref()].concat())
    }

    /// Sets `Origin`, as the browser does for a page of this origin.
    ///
    /// # Panics
    ///
    /// If the origin has characters that a header cannot have.
    #[must_use]
    pub fn origin(mut self, origin: &str) -> Self {
        self.headers.insert(ORIGIN, value(origin.as_bytes()));
        self
    }

    /// Sets `Host`. Default: `localhost`.
    ///
    /// # Panics
    ///
    /// If the host has characters that a header cannot have.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.headers.insert(HOST, value(host.as_bytes()));
        self
    }

    /// Adds a header. Headers of the same name stay.
    ///
    /// # Panics
    ///
    /// If the name is not a header's, or the value has characters that a header cannot have.
    #[must_use]
    pub fn header(mut self, name: impl TryInto<HeaderName>, value: impl AsRef<[u8]>) -> Self {
        let Ok(name) = name.try_into() else { panic!("not the name of a header") };
        self.headers.append(name, self::value(value.as_ref()));
        self
    }

    /// Offers a further subprotocol.
    ///
    /// # Panics
    ///
    /// If the name has characters that a header cannot have.
    #[must_use]
    pub fn subprotocol(self, name: impl AsRef<[u8]>) -> Self {
        self.header(SEC_WEBSOCKET_PROTOCOL, name)
    }

    /// Offers a token as a subprotocol, see [`Handshake::protocol_token`].
    #[must_use]
    pub fn subprotocol_token(self, token: impl AsRef<[u8]>) -> Self {
        self.subprotocol(format!("{TOKEN_PROTOCOL}{}", URL_SAFE_NO_PAD.encode(token)))
    }

    /// Follows the log of the key: from `"now"`, from `"unread"`, or from a [`Position`](crate::log::Position). The first push is then
    /// `kw:from`.
    #[must_use]
    pub fn following(self, from: impl fmt::Display) -> Self {
        self.subprotocol(format!("from.keywire.{from}"))
    }

    /// A client that does not offer `keywire.v1`, such as a program, or `new WebSocket(url)` in a page. It is refused by a status.
    #[must_use]
    pub fn plain(mut self) -> Self {
        self.is_plain = true;
        self
    }

    /// The address of the client. Default: none.
    #[must_use]
    pub fn peer(mut self, peer: SocketAddr) -> Self {
        self.peer = Some(peer);
        self
    }

    /// The same request without the headers of an opening: one to another route of the application.
    pub(in crate::testing) fn without_upgrade(mut self) -> Self {
        for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_VERSION, SEC_WEBSOCKET_KEY] {
            self.headers.remove(name);
        }
        self
    }
}

impl From<TabBuilder> for Handshake {
    fn from(opening: TabBuilder) -> Self {
        let TabBuilder { path_key, query, mut headers, peer, is_plain } = opening;
        if !is_plain {
            headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(KEYWIRE_V1));
        }
        let mut request = Request::new(());
        *request.headers_mut() = headers;
        *request.uri_mut() = format!("/websocket?{}", query.join("&"))
            .parse()
            .expect("a path, and a query that is percent-encoded");
        Self::new(request).with_path_key(path_key).resolved_to(peer)
    }
}

impl fmt::Debug for TabBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TabBuilder").field("peer", &self.peer).finish_non_exhaustive()
    }
}

fn escaped(bytes: &[u8]) -> String {
    percent_encode(bytes, NON_ALPHANUMERIC).to_string()
}

fn value(bytes: &[u8]) -> HeaderValue {
    // The value may be a credential, so the message does not show it.
    let Ok(value) = HeaderValue::from_bytes(bytes) else { panic!("a header cannot have these characters") };
    value
}

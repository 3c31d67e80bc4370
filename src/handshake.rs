//! The HTTP head of an opening request.

mod dialect;
mod left;
mod values;

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};

pub(crate) use self::dialect::{Dialect, KEYWIRE_V1};
use self::left::{Deferred, Left};
use self::values::{only, text};
use crate::follow::FollowFrom;
use crate::path_key::PathKey;
use crate::peer::PeerAddr;
use crate::rejection::Rejection;

/// Prefix of a token that a client offers as a subprotocol.
pub(crate) const TOKEN_PROTOCOL: &str = "base64url.bearer.keywire.";

/// The opening request of a client, as a [`KeyExtractor`](crate::KeyExtractor) sees it.
///
/// Each accessor has three results:
///
/// - `Ok(Some(_))`: the decoded value.
/// - `Ok(None)`: no value. The extractor may try another place.
/// - `Err(Rejection::Malformed)`: the value is not UTF-8, or it occurs twice. If it occurs twice, a server that reads in another
///   order would see another user.
///
/// Only the requested value counts. Other cookies, parameters, subprotocols and schemes of `Authorization` belong to other parties
/// and never change the result, even if they are not UTF-8.
///
/// A clone copies a pointer. [`Debug`] omits the path, the query and the headers, since each may contain a credential.
///
/// ```
/// use keywire::adapter::Handshake;
///
/// let request = http::Request::get("/websocket?token=a%20b").header("cookie", "theme=dark; id=7").body(())?;
/// let handshake = Handshake::new(request);
/// assert_eq!(handshake.query("token")?.as_deref(), Some("a b"));
/// assert_eq!(handshake.cookie("id")?, Some("7"));
/// assert_eq!(handshake.bearer()?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Handshake(Arc<Head>);

#[derive(Clone)]
struct Head {
    method: Method,
    version: Version,
    /// The pseudo-header `:protocol` of an extended CONNECT.
    protocol: Option<Box<str>>,
    uri: Uri,
    headers: HeaderMap,
    path_key: PathKey,
    peer: Option<SocketAddr>,
    /// What an extractor leaves for the hub. `None` if no hub decides on this handshake.
    left: Option<Arc<Left>>,
}

impl Handshake {
    /// The head of `request`, without a path key and a peer address.
    #[must_use]
    pub fn new(request: Request<()>) -> Self {
        let (parts, ()) = request.into_parts();
        let protocol = protocol(&parts);
        let Parts { method, version, uri, headers, .. } = parts;
        Self(Arc::new(Head {
            method,
            version,
            protocol,
            uri,
            headers,
            path_key: PathKey::default(),
            peer: None,
            left: None,
        }))
    }

    /// The head of a request to `endpoint`, as axum and hyper pass it. [`Handshake::path_key`] is the one segment of the URI behind
    /// the path of the endpoint. Write `endpoint` as in the URI, with or without slashes at its ends. [`Handshake::peer`] comes from
    /// the extension [`PeerAddr`], if the request has it.
    ///
    /// A path outside of the endpoint has no key. A path with several segments behind the endpoint is malformed. In a nested axum
    /// router the URI does not contain the prefix of the nest, so leave the prefix out of `endpoint` too.
    ///
    /// ```
    /// use keywire::adapter::Handshake;
    ///
    /// let (parts, ()) = http::Request::get("/websocket/zo%C3%AB?debug").body(())?.into_parts();
    /// let handshake = Handshake::from_parts(&parts, "/websocket");
    /// assert_eq!(handshake.path_key()?.as_deref(), Some("zoë"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn from_parts(parts: &Parts, endpoint: &str) -> Self {
        Self(Arc::new(Head {
            method: parts.method.clone(),
            version: parts.version,
            protocol: protocol(parts),
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
            path_key: PathKey::below(endpoint, parts.uri.path()),
            peer: parts.extensions.get().map(|PeerAddr(peer)| *peer),
            left: None,
        }))
    }

    /// The same handshake with the path segment behind the endpoint's path.
    #[must_use]
    pub fn with_path_key(mut self, key: PathKey) -> Self {
        self.head().path_key = key;
        self
    }

    /// The same handshake with the pseudo-header `:protocol` of an extended CONNECT: `websocket` for an opening over HTTP/2
    /// (RFC 8441) or HTTP/3 (RFC 9220).
    ///
    /// Needed with other servers than hyper. With the feature `http2`, [`Handshake::new`] and [`Handshake::from_parts`] read hyper's.
    #[must_use]
    pub fn with_protocol(mut self, protocol: &str) -> Self {
        self.head().protocol = Some(protocol.into());
        self
    }

    /// The same handshake with this peer address.
    #[must_use]
    pub fn with_peer(self, peer: SocketAddr) -> Self {
        self.resolved_to(Some(peer))
    }

    /// The same handshake with this peer address, or without one.
    pub(crate) fn resolved_to(mut self, peer: Option<SocketAddr>) -> Self {
        self.head().peer = peer;
        self
    }

    /// The same handshake for an extractor that a hub calls: it may leave work and a reason. The hub must call
    /// [`Handshake::settle`] before it accepts the client.
    pub(crate) fn deferring(mut self) -> Self {
        self.head().left = Some(Arc::default());
        self
    }

    /// Whether [`Handshake::settle`] will be called.
    pub(crate) fn is_deferring(&self) -> bool {
        self.0.left.is_some()
    }

    /// Whether there is deferred work.
    pub(crate) fn has_deferred(&self) -> bool {
        self.0.left.as_ref().is_some_and(|left| left.has_deferred())
    }

    /// Defers work until all other checks of the opening have passed. A rejection by the work counts as the extractor's rejection.
    pub(crate) fn defer(&self, work: Deferred) {
        if let Some(left) = &self.0.left {
            left.defer(work);
        }
    }

    /// Runs the deferred work.
    pub(crate) async fn settle(&self) -> Result<(), Rejection> {
        let deferred = self.0.left.as_ref().map(|left| left.take_deferred()).unwrap_or_default();
        for work in deferred {
            work.await?;
        }
        Ok(())
    }

    /// Gives the reason of a rejection to the server's log, which says at `info` why an opening is refused. The client gets the
    /// [`Rejection`] alone. The last reason counts. It must not contain the credential. Longer reasons than 200 characters are cut.
    ///
    /// ```
    /// use keywire::adapter::Handshake;
    /// use keywire::auth::{Rejection, extract_fn};
    /// use keywire::{Identity, Key};
    ///
    /// let staff = extract_fn(|handshake: Handshake| async move {
    ///     let badge = handshake.header("x-badge")?.ok_or(Rejection::Missing)?;
    ///     let key = badge.strip_prefix("staff-").ok_or_else(|| {
    ///         handshake.explain("the badge is not one of the staff");
    ///         Rejection::Forbidden
    ///     })?;
    ///     Ok(Identity::new(Key::new(key)?))
    /// });
    /// # let _ = staff;
    /// ```
    pub fn explain(&self, why: impl Into<Cow<'static, str>>) {
        if let Some(left) = &self.0.left {
            left.explain(why.into());
        }
    }

    /// The reason that the extractor gave.
    pub(crate) fn explanation(&self) -> Option<Cow<'static, str>> {
        self.0.left.as_ref()?.take_explanation()
    }

    /// The key or token in the path, percent-decoded: `{key}` in `/websocket/{key}`. `None` if the segment is empty.
    ///
    /// # Errors
    ///
    /// [`Rejection::Malformed`] if the decoded segment is not UTF-8, or if there are several segments.
    pub fn path_key(&self) -> Result<Option<Cow<'_, str>>, Rejection> {
        let key = self.0.path_key.decode();
        key.inspect_err(|_| self.explain("the path has several segments below the endpoint, or is not UTF-8"))
    }

    /// A parameter of the query string, decoded as in forms: `+` is a space.
    ///
    /// # Errors
    ///
    /// [`Rejection::Malformed`] if the parameter occurs twice, or is not UTF-8 when decoded.
    pub fn query(&self, name: &str) -> Result<Option<String>, Rejection> {
        let value = values::parameter(self.0.uri.query().unwrap_or_default(), name);
        value.inspect_err(|_| self.explain("the parameter of the query occurs twice, or is not UTF-8"))
    }

    /// The value of a header.
    ///
    /// # Errors
    ///
    /// [`Rejection::Malformed`] if the header occurs twice, or is not UTF-8.
    pub fn header(&self, name: impl TryInto<HeaderName>) -> Result<Option<&str>, Rejection> {
        let Ok(name) = name.try_into() else { return Ok(None) };
        let value = only(self.lines(name)).and_then(|value| value.map(text).transpose());
        value.inspect_err(|_| self.explain("the header occurs twice, or is not UTF-8"))
    }

    /// The value of a cookie, not decoded, without surrounding quotes.
    ///
    /// A cookie may occur several times, even in several headers: once for each path and domain. Equal values count as one. If the
    /// values differ, their order does not show which one is the user's (RFC 6265, sections 4.2.2 and 5.4), and any page of the
    /// host, on any port, can add one. If the server took one value, such a page could choose the user. If the server refused for
    /// good, such a page could lock the user out. The result is therefore [`Rejection::Ambiguous`]: another credential decides, or
    /// the client comes back. Only pages of the same host can set a cookie whose name begins with `__Host-`, and only for all
    /// paths, so such a cookie occurs once.
    ///
    /// # Errors
    ///
    /// [`Rejection::Ambiguous`] if the values differ. [`Rejection::Malformed`] if the value is not UTF-8.
    pub fn cookie(&self, name: &str) -> Result<Option<&str>, Rejection> {
        let value = values::cookie(self.lines(header::COOKIE), name);
        value.inspect_err(|_| self.explain("the cookie has different values, or is not UTF-8"))
    }

    /// The token of `Authorization: Bearer …` (RFC 6750, section 2.1). `None` for another scheme, which belongs to another party, for
    /// example to a proxy that asks for a password.
    ///
    /// # Errors
    ///
    /// [`Rejection::Malformed`] if there are two bearer tokens, or if the token is not UTF-8.
    pub fn bearer(&self) -> Result<Option<&str>, Rejection> {
        let token = values::bearer(self.lines(header::AUTHORIZATION));
        token.inspect_err(|_| self.explain("there are two bearer tokens, or the token is not UTF-8"))
    }

    /// The subprotocols that the client offers, in the client's order (RFC 6455, section 4.1), without those that are not UTF-8.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        values::elements(self.lines(header::SEC_WEBSOCKET_PROTOCOL))
    }

    /// The decoded token of the subprotocol `base64url.bearer.keywire.…`. This is a page's only place for a token besides URL and
    /// cookie. The rest of the name is the token in base64url without padding (RFC 4648, section 5). The page also offers
    /// `keywire.v1`:
    ///
    /// ```js
    /// new WebSocket(url, ['keywire.v1', 'base64url.bearer.keywire.' + base64url(token)])
    /// ```
    ///
    /// # Errors
    ///
    /// [`Rejection::Malformed`] if there are two tokens, if the token is not base64url in its shortest form, if it is not UTF-8 when
    /// decoded, or if `keywire.v1` is missing. A browser fails a connection if the server chooses none of the offered subprotocols,
    /// and the server never chooses the token, since the response would contain it.
    pub fn protocol_token(&self) -> Result<Option<String>, Rejection> {
        let tokens = self.subprotocols().filter_map(|protocol| protocol.strip_prefix(TOKEN_PROTOCOL));
        let token = only(tokens).and_then(|token| match token {
            Some(_) if !self.speaks_v1() => Err(Rejection::Malformed),
            token => token.map(values::base64url).transpose(),
        });
        token.inspect_err(|_| {
            self.explain(
                "there are two subprotocols with a token, or it is not base64url, or keywire.v1 is missing",
            );
        })
    }

    /// Whether the client understands keywire's close codes.
    pub(crate) fn speaks_v1(&self) -> bool {
        self.dialect() != Dialect::Plain
    }

    /// What the client understands.
    pub(crate) fn dialect(&self) -> Dialect {
        Dialect::of(|protocol| self.subprotocols().any(|offered| offered == protocol))
    }

    /// The position from which the client asks to follow the log of its key. `None` if it does not ask.
    pub(crate) fn follows(&self) -> Option<FollowFrom> {
        if self.speaks_v1() { FollowFrom::of(self.subprotocols()) } else { None }
    }

    /// All headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The URI of the request. It may contain a credential: do not log it.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.0.uri
    }

    /// The client's address, resolved behind [`TrustedProxies`](crate::limits::TrustedProxies). `None` if the transport has no
    /// addresses, or if a trusted proxy does not name the client.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.0.peer
    }

    pub(crate) fn method(&self) -> &Method {
        &self.0.method
    }

    pub(crate) fn version(&self) -> Version {
        self.0.version
    }

    /// The pseudo-header `:protocol`.
    pub(crate) fn protocol(&self) -> Option<&str> {
        self.0.protocol.as_deref()
    }

    /// The host and port that the client asks for: the `:authority` of HTTP/2 and HTTP/3, or the header `Host`. `None` if there are
    /// two headers.
    pub(crate) fn host(&self) -> Option<&str> {
        match self.0.uri.authority() {
            Some(authority) if self.0.version >= Version::HTTP_2 => Some(authority.as_str()),
            _ => self.header(header::HOST).ok().flatten(),
        }
    }

    /// The values of a header, line by line, as bytes, so that a part that is not UTF-8 does not hide the others.
    fn lines(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        self.0.headers.get_all(name).into_iter().map(HeaderValue::as_bytes)
    }

    /// The head during construction, before it has clones.
    fn head(&mut self) -> &mut Head {
        Arc::make_mut(&mut self.0)
    }
}

/// The head of a request to a route without a key in its path. For routes with a key: [`Handshake::from_parts`].
impl From<&Parts> for Handshake {
    fn from(parts: &Parts) -> Self {
        Self::from_parts(parts, "").with_path_key(PathKey::default())
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("peer", &self.0.peer).finish_non_exhaustive()
    }
}

/// The pseudo-header `:protocol` as hyper passes it.
#[cfg(feature = "http2")]
fn protocol(parts: &Parts) -> Option<Box<str>> {
    parts.extensions.get::<hyper::ext::Protocol>().map(|protocol| protocol.as_str().into())
}

#[cfg(not(feature = "http2"))]
fn protocol(_: &Parts) -> Option<Box<str>> {
    None
}

#[cfg(test)]
mod tests;

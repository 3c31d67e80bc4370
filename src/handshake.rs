//! The HTTP head of an opening, as extractors see it.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};

use crate::follow::FollowFrom;
use crate::path_key::{PathKey, decode};
use crate::peer::PeerAddr;
use crate::rejection::Rejection;

/// The subprotocol by which a client says that it knows keywire's close codes.
pub(crate) const KEYWIRE_V1: &str = "keywire.v1";

/// What stands in front of a token that is offered as a subprotocol.
pub(crate) const TOKEN_PROTOCOL: &str = "base64url.bearer.keywire.";

/// The request by which a client asks for a connection: all that a [`KeyExtractor`](crate::KeyExtractor)
/// has to go by.
///
/// Each accessor answers three things: `Ok(Some(_))` is the value, decoded; `Ok(None)` that there is none,
/// so another place may be tried; `Err(Rejection::Malformed)` that what is there is no text or is there
/// twice, so that nobody can be told apart from somebody else by the order in which servers read.
///
/// Only the value that was asked for counts. Other cookies, other parameters, other subprotocols and other schemes of
/// `Authorization` come from other parties: whatever bytes they are, they change no answer. Text is UTF-8.
///
/// Cloning copies a pointer. [`Debug`] shows neither path, query nor headers, since a credential may stand in
/// each of them.
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
    uri: Uri,
    headers: HeaderMap,
    path_key: PathKey,
    peer: Option<SocketAddr>,
    /// Where somebody sees to it.
    deferred: Option<Arc<Deferred>>,
}

/// What is left to do once nothing else speaks against an opening: to use up what is good for one time.
type Deferred = Mutex<Vec<BoxFuture<'static, Result<(), Rejection>>>>;

impl Handshake {
    /// The head of `request`, from nowhere in particular.
    #[must_use]
    pub fn new(request: Request<()>) -> Self {
        let (parts, ()) = request.into_parts();
        let Parts { method, version, uri, headers, .. } = parts;
        Self(Arc::new(Head {
            method,
            version,
            uri,
            headers,
            path_key: PathKey::default(),
            peer: None,
            deferred: None,
        }))
    }

    /// The head of a request to `endpoint`, as axum and hyper give it. The URI gives [`Handshake::path_key`]: the
    /// one segment behind the path of the endpoint, which is written as in the URI, with or without slashes at its
    /// ends. The extension [`PeerAddr`], if there is one, gives [`Handshake::peer`].
    ///
    /// A path that is not below the endpoint has no key. One with several segments behind it is malformed. In a
    /// nested axum router the URI lacks the prefix of the nest, so `endpoint` lacks it too.
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
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
            path_key: PathKey::below(endpoint, parts.uri.path()),
            peer: parts.extensions.get().map(|PeerAddr(peer)| *peer),
            deferred: None,
        }))
    }

    /// The same handshake with the path segment that follows the endpoint's own path.
    #[must_use]
    pub fn with_path_key(mut self, key: PathKey) -> Self {
        self.head().path_key = key;
        self
    }

    /// The same handshake, coming from `peer`.
    #[must_use]
    pub fn with_peer(self, peer: SocketAddr) -> Self {
        self.resolved_to(Some(peer))
    }

    /// The same handshake, coming from `peer`, or from an address that is not known.
    pub(crate) fn resolved_to(mut self, peer: Option<SocketAddr>) -> Self {
        self.head().peer = peer;
        self
    }

    /// The same handshake, for one who calls [`Handshake::settle`] before the client is let in.
    pub(crate) fn deferring(mut self) -> Self {
        self.head().deferred = Some(Arc::default());
        self
    }

    /// Whether there is one.
    pub(crate) fn is_deferring(&self) -> bool {
        self.0.deferred.is_some()
    }

    /// Whether work was left.
    pub(crate) fn has_deferred(&self) -> bool {
        let deferred = self.0.deferred.as_ref();
        deferred.is_some_and(|deferred| !deferred.lock().unwrap_or_else(PoisonError::into_inner).is_empty())
    }

    /// Leaves work until it is certain that nothing else speaks against the opening. Its refusal counts as the
    /// extractor's.
    pub(crate) fn defer(&self, work: BoxFuture<'static, Result<(), Rejection>>) {
        if let Some(deferred) = &self.0.deferred {
            deferred.lock().unwrap_or_else(PoisonError::into_inner).push(work);
        }
    }

    /// Does what was deferred.
    pub(crate) async fn settle(&self) -> Result<(), Rejection> {
        let Some(deferred) = &self.0.deferred else { return Ok(()) };
        let deferred = std::mem::take(&mut *deferred.lock().unwrap_or_else(PoisonError::into_inner));
        for work in deferred {
            work.await?;
        }
        Ok(())
    }

    /// The key or token in the path, `{key}` of `/websocket/{key}`, percent-decoded. An empty segment is
    /// none.
    ///
    /// # Errors
    ///
    /// [`Rejection::Malformed`] if it is not UTF-8 once decoded, or is more than one segment.
    pub fn path_key(&self) -> Result<Option<Cow<'_, str>>, Rejection> {
        self.0.path_key.decode()
    }

    /// A parameter of the query string, decoded as forms are: `+` is a space.
    ///
    /// # Errors
    ///
    /// [`Rejection::Malformed`] if it is there twice, or is not UTF-8 once decoded.
    pub fn query(&self, name: &str) -> Result<Option<String>, Rejection> {
        let query = self.0.uri.query().unwrap_or_default();
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let values = pairs.filter(|(key, _)| form_decode(key).is_ok_and(|key| key == name));
        only(values)?.map(|(_, value)| form_decode(value)).transpose()
    }

    /// A header's text.
    ///
    /// # Errors
    ///
    /// [`Rejection::Malformed`] if it is there twice, or is not UTF-8.
    pub fn header(&self, name: impl TryInto<HeaderName>) -> Result<Option<&str>, Rejection> {
        let Ok(name) = name.try_into() else { return Ok(None) };
        only(self.lines(name))?.map(text).transpose()
    }

    /// A cookie's value as it stands, without the quotes it may be in.
    ///
    /// A name may be there several times, also in several headers: for each path and domain that it was set for. If
    /// the values are equal, that is the value. If they differ, no order of them says which one is the user's
    /// (RFC 6265, sections 4.2.2 and 5.4), and every page of the host, on any port, can add one. To take one of them
    /// would let such a page choose the user, to refuse for good would let it lock the user out. So the answer is
    /// [`Rejection::Ambiguous`]: another credential decides, or the client comes back. A cookie whose name begins with
    /// `__Host-` can be set by pages of its own host alone and only for all paths, so it is never there twice.
    ///
    /// # Errors
    ///
    /// [`Rejection::Ambiguous`] if it is there with different values, [`Rejection::Malformed`] if its value is not
    /// UTF-8.
    pub fn cookie(&self, name: &str) -> Result<Option<&str>, Rejection> {
        let cookies = self.lines(header::COOKIE).flat_map(|line| line.split(|&byte| byte == b';'));
        let pairs = cookies.filter_map(|cookie| split_once(cookie.trim_ascii(), b'='));
        let mut values = pairs.filter(|(key, _)| *key == name.as_bytes()).map(|(_, value)| unquoted(value));
        let Some(value) = values.next() else { return Ok(None) };
        if values.any(|other| other != value) {
            return Err(Rejection::Ambiguous);
        }
        text(value).map(Some)
    }

    /// The token of `Authorization: Bearer …` (RFC 6750, section 2.1). Another scheme is none: it is for somebody
    /// else, such as a proxy that asks for a password.
    ///
    /// # Errors
    ///
    /// [`Rejection::Malformed`] if there are two such tokens, or it is not UTF-8.
    pub fn bearer(&self) -> Result<Option<&str>, Rejection> {
        let tokens = self.lines(header::AUTHORIZATION).filter_map(|line| {
            let (scheme, token) = split_once(line, b' ')?;
            let token = token.trim_ascii();
            (scheme.eq_ignore_ascii_case(b"bearer") && !token.is_empty()).then_some(token)
        });
        only(tokens)?.map(text).transpose()
    }

    /// The subprotocols that the client offers, in its order (RFC 6455, section 4.1). What is not UTF-8 is left out.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        let lines = self.lines(header::SEC_WEBSOCKET_PROTOCOL);
        let elements = lines.flat_map(|line| line.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
        elements.filter_map(|element| text(element).ok()).filter(|element| !element.is_empty())
    }

    /// The token of the subprotocol `base64url.bearer.keywire.…`, decoded: a browser's only place for one that is
    /// neither the URL nor a cookie. The rest of the name is the token in base64url without padding (RFC 4648,
    /// section 5), and `keywire.v1` stands next to it:
    ///
    /// ```js
    /// new WebSocket(url, ['keywire.v1', 'base64url.bearer.keywire.' + base64url(token)])
    /// ```
    ///
    /// # Errors
    ///
    /// [`Rejection::Malformed`] if there are two, if it is no base64url or not the shortest way to write it, if
    /// it is not UTF-8 once decoded, or if `keywire.v1` is missing. A browser fails a connection whose server
    /// chooses none of the subprotocols that were offered, and the token is never chosen: it would come back in
    /// the answer.
    pub fn protocol_token(&self) -> Result<Option<String>, Rejection> {
        let tokens = self.subprotocols().filter_map(|protocol| protocol.strip_prefix(TOKEN_PROTOCOL));
        let Some(token) = only(tokens)? else { return Ok(None) };
        if !self.speaks_v1() {
            return Err(Rejection::Malformed);
        }
        let token = URL_SAFE_NO_PAD.decode(token).map_err(|_| Rejection::Malformed)?;
        String::from_utf8(token).map(Some).map_err(|_| Rejection::Malformed)
    }

    /// Whether the client knows keywire's close codes.
    pub(crate) fn speaks_v1(&self) -> bool {
        self.subprotocols().any(|protocol| protocol == KEYWIRE_V1)
    }

    /// Where the client asks to follow the log of its key, if it does.
    pub(crate) fn follows(&self) -> Option<FollowFrom> {
        if self.speaks_v1() { FollowFrom::of(self.subprotocols()) } else { None }
    }

    /// All headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The request's URI. A credential may stand in it: do not log it.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.0.uri
    }

    /// The address that the connection comes from: past the proxies that are trusted
    /// ([`TrustedProxies`](crate::limits::TrustedProxies)). `None` where the transport has no addresses, or where a trusted
    /// proxy does not say where the client is.
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

    /// The values of a header, line by line. They are bytes: a part that is no text must not hide the others.
    fn lines(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        self.0.headers.get_all(name).into_iter().map(HeaderValue::as_bytes)
    }

    /// The head while it is put together, when nobody else has a copy yet.
    fn head(&mut self) -> &mut Head {
        Arc::make_mut(&mut self.0)
    }
}

/// The head of a request to a route without a key in its path; [`Handshake::from_parts`] is for the others.
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

/// The only item, or none.
fn only<T>(mut items: impl Iterator<Item = T>) -> Result<Option<T>, Rejection> {
    let first = items.next();
    if items.next().is_some() { Err(Rejection::Malformed) } else { Ok(first) }
}

fn text(bytes: &[u8]) -> Result<&str, Rejection> {
    str::from_utf8(bytes).map_err(|_| Rejection::Malformed)
}

fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == separator)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

fn form_decode(text: &str) -> Result<String, Rejection> {
    decode(&text.replace('+', " ")).map(Cow::into_owned)
}

#[cfg(test)]
mod tests;

//! The HTTP head of an opening, as extractors see it.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request, Uri, Version, header};

use crate::path_key::{PathKey, decode};
use crate::peer::Peer;
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
/// Cloning copies a pointer. [`Debug`] shows neither path, query nor headers, since a credential may stand in
/// each of them.
///
/// ```
/// use keywire::Handshake;
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
    /// ends. The extension [`Peer`], if there is one, gives [`Handshake::peer`].
    ///
    /// A path that is not below the endpoint has no key. One with several segments behind it is malformed. In a
    /// nested axum router the URI lacks the prefix of the nest, so `endpoint` lacks it too.
    ///
    /// ```
    /// use keywire::Handshake;
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
            peer: parts.extensions.get().map(|Peer(peer)| *peer),
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
    pub fn with_peer(mut self, peer: SocketAddr) -> Self {
        self.head().peer = Some(peer);
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
    /// [`Rejection::Malformed`] if it is there twice, or has other than visible ASCII characters.
    pub fn header(&self, name: impl TryInto<HeaderName>) -> Result<Option<&str>, Rejection> {
        let Ok(name) = name.try_into() else { return Ok(None) };
        let value = only(self.0.headers.get_all(name).iter())?;
        value.map(|value| value.to_str().map_err(|_| Rejection::Malformed)).transpose()
    }

    /// A cookie's value as it stands, without the quotes it may be in.
    ///
    /// # Errors
    ///
    /// [`Rejection::Malformed`] if it is there twice, or the header is no text.
    pub fn cookie(&self, name: &str) -> Result<Option<&str>, Rejection> {
        let mut found = None;
        for header in self.0.headers.get_all(header::COOKIE) {
            let cookies = header.to_str().map_err(|_| Rejection::Malformed)?.split(';');
            let pairs = cookies.filter_map(|pair| pair.trim().split_once('='));
            if let Some((_, value)) = only(pairs.filter(|(key, _)| *key == name))? {
                if found.is_some() {
                    return Err(Rejection::Malformed);
                }
                found = Some(value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value));
            }
        }
        Ok(found)
    }

    /// The token of `Authorization: Bearer …` (RFC 6750, section 2.1). Another scheme is none.
    ///
    /// # Errors
    ///
    /// [`Rejection::Malformed`] if the header is there twice or is no text.
    pub fn bearer(&self) -> Result<Option<&str>, Rejection> {
        let Some((scheme, token)) =
            self.header(header::AUTHORIZATION)?.and_then(|value| value.split_once(' '))
        else {
            return Ok(None);
        };
        let token = token.trim_start_matches(' ');
        Ok((scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token))
    }

    /// The subprotocols that the client offers, in its order (RFC 6455, section 4.1).
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        let headers = self.0.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
        headers.filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(',').map(str::trim))
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

    /// The address that the connection comes from, where the transport has one: past the proxies that are trusted
    /// ([`TrustedProxies`](crate::TrustedProxies)).
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

    /// The head while it is put together, when nobody else has a copy yet.
    fn head(&mut self) -> &mut Head {
        Arc::make_mut(&mut self.0)
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

fn form_decode(text: &str) -> Result<String, Rejection> {
    decode(&text.replace('+', " ")).map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake(uri: &str, headers: &[(&str, &str)]) -> Handshake {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Handshake::new(request.body(()).unwrap())
    }

    #[test]
    fn the_parts_of_a_request_give_the_key_and_the_peer() {
        let peer = SocketAddr::from(([192, 0, 2, 1], 47));
        let request = Request::get("http://example.com/ws/al%2569ce?token=1").extension(Peer(peer));
        let (parts, ()) = request.header("x-badge", "7").body(()).unwrap().into_parts();
        let handshake = Handshake::from_parts(&parts, "/ws");
        assert_eq!(handshake.path_key(), Ok(Some("al%69ce".into())));
        assert_eq!(handshake.peer(), Some(peer));
        assert_eq!(handshake.query("token"), Ok(Some("1".into())));
        assert_eq!(handshake.header("x-badge"), Ok(Some("7")));
    }

    #[test]
    fn a_query_parameter_stands_once() {
        let query = |query: &str| handshake(&format!("/x?{query}"), &[]).query("token");
        assert_eq!(query("a=1&token=a%2Bb+c"), Ok(Some("a+b c".into())));
        assert_eq!(query("tok%65n=1"), Ok(Some("1".into())));
        assert_eq!(query("token"), Ok(Some(String::new())));
        assert_eq!(query("mytoken=1"), Ok(None));
        assert_eq!(query("token=1&token=1"), Err(Rejection::Malformed));
        assert_eq!(query("token=%C0"), Err(Rejection::Malformed));
    }

    #[test]
    fn a_cookie_stands_once_over_all_headers() {
        let cookie = |headers: &[(&str, &str)]| {
            handshake("/", headers).cookie("id").map(|value| value.map(str::to_owned))
        };
        assert_eq!(cookie(&[("cookie", "a=b; id=7;c=d")]), Ok(Some("7".into())));
        assert_eq!(cookie(&[("cookie", "a=b"), ("cookie", "id=\"7\"")]), Ok(Some("7".into())));
        assert_eq!(cookie(&[("cookie", "xid=7; id")]), Ok(None));
        assert_eq!(cookie(&[("cookie", "id=7; id=8")]), Err(Rejection::Malformed));
        assert_eq!(cookie(&[("cookie", "id=7"), ("cookie", "id=8")]), Err(Rejection::Malformed));
    }

    #[test]
    fn a_bearer_token_is_of_that_scheme() {
        let bearer = |value: &str| {
            let handshake = handshake("/", &[("authorization", value)]);
            handshake.bearer().map(|token| token.map(str::to_owned))
        };
        assert_eq!(bearer("Bearer abc"), Ok(Some("abc".into())));
        assert_eq!(bearer("bearer  abc"), Ok(Some("abc".into())));
        assert_eq!(bearer("Basic abc"), Ok(None));
        assert_eq!(bearer("Bearer "), Ok(None));
    }

    #[test]
    fn a_token_among_the_subprotocols_is_canonical_and_stands_next_to_keywire_v1() {
        let token = |offered: &[&str]| {
            let headers: Vec<_> = offered.iter().map(|value| ("sec-websocket-protocol", *value)).collect();
            handshake("/", &headers).protocol_token()
        };
        let good = |text: &str| Ok(Some(text.to_owned()));
        let v1 = "keywire.v1";
        assert_eq!(token(&[v1, "base64url.bearer.keywire.c2VzYW1l"]), good("sesame"));
        assert_eq!(token(&["base64url.bearer.keywire.c2VzYW1l, keywire.v1"]), good("sesame"));
        assert_eq!(token(&["keywire.v1, base64url.bearer.keywire.w7_Dvw"]), good("ÿÿ"));
        assert_eq!(token(&[v1, "base64url.bearer.keywire."]), good(""));
        for none in
            ["keywire.v1", "keywire.v1, base64url.bearer.other.c2VzYW1l", "Base64url.bearer.keywire.YQ"]
        {
            assert_eq!(token(&[none]), Ok(None), "{none}");
        }
        for bad in [
            "base64url.bearer.keywire.c2VzYW1l",
            "keywire.v2, base64url.bearer.keywire.c2VzYW1l",
            "keywire.v1, base64url.bearer.keywire.YQ, base64url.bearer.keywire.Yg",
            "keywire.v1, base64url.bearer.keywire.YQ, base64url.bearer.keywire.",
            "keywire.v1, base64url.bearer.keywire.YQ==",
            "keywire.v1, base64url.bearer.keywire.YR",
            "keywire.v1, base64url.bearer.keywire.Y",
            "keywire.v1, base64url.bearer.keywire.w7/Dvw",
            "keywire.v1, base64url.bearer.keywire.Y.Q",
            "keywire.v1, base64url.bearer.keywire._w",
        ] {
            assert_eq!(token(&[bad]), Err(Rejection::Malformed), "{bad}");
        }
    }

    #[test]
    fn debug_keeps_credentials_to_itself() {
        let handshake = handshake("/websocket/s3cret?token=s3cret", &[("authorization", "Bearer s3cret")])
            .with_path_key(PathKey::encoded("s3cret"));
        assert!(!format!("{handshake:?}").contains("s3cret"));
    }
}

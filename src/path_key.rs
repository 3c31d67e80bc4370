use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;

use crate::rejection::Rejection;

/// Path segment behind an endpoint's path: `{key}` in `/websocket/{key}`.
///
/// The segment is percent-encoded in a URI, and some routers decode it. Choose the constructor that matches the router, since
/// decoding twice changes the key: `al%2569ce` is the key `al%69ce`, and not `alice`.
/// [`Handshake::from_parts`](crate::adapter::Handshake::from_parts) takes the segment from the URI and needs no choice.
///
/// [`Debug`] does not show the segment, since it may be a token.
///
/// ```
/// use keywire::adapter::{Handshake, PathKey};
///
/// let handshake = Handshake::new(http::Request::new(()));
/// let encoded = handshake.clone().with_path_key(PathKey::encoded("al%2569ce"));
/// assert_eq!(encoded.path_key()?.as_deref(), Some("al%69ce"));
/// let decoded = handshake.with_path_key(PathKey::decoded("al%69ce"));
/// assert_eq!(decoded.path_key()?.as_deref(), Some("al%69ce"));
/// # Ok::<(), keywire::auth::Rejection>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct PathKey(Segment);

#[derive(Clone, PartialEq, Eq, Default)]
enum Segment {
    #[default]
    Absent,
    Encoded(Box<str>),
    Decoded(Box<str>),
    /// More than one segment, so it is unclear which one is the key.
    Several,
    /// A segment that the router cannot decode, or two parameters of one name.
    #[cfg_attr(not(feature = "axum"), expect(dead_code, reason = "for parameters"))]
    Malformed,
}

impl PathKey {
    /// The segment as written in the URI, for example `warp::path::Tail`. An empty segment is no key. A segment that
    /// contains a `/` is malformed.
    #[must_use]
    pub fn encoded(segment: impl Into<Box<str>>) -> Self {
        let segment = segment.into();
        Self(match &*segment {
            "" => Segment::Absent,
            several if several.contains('/') => Segment::Several,
            _ => Segment::Encoded(segment),
        })
    }

    /// The segment after percent-decoding: axum's `Path` and `RawPathParams`. An empty segment is no key.
    #[must_use]
    pub fn decoded(segment: impl Into<Box<str>>) -> Self {
        let segment = segment.into();
        Self(if segment.is_empty() { Segment::Absent } else { Segment::Decoded(segment) })
    }

    /// The segment of `path` behind `endpoint`. Both are percent-encoded. Absent if `path` is not below `endpoint`.
    pub(crate) fn below(endpoint: &str, path: &str) -> Self {
        behind(endpoint, path).map_or_else(Self::default, Self::of_tail)
    }

    /// The key of a request to `endpoint` itself or with one segment behind it. `None` for any other path.
    #[cfg(feature = "serve")]
    pub(crate) fn at(endpoint: &str, path: &str) -> Option<Self> {
        behind(endpoint, path).map(Self::of_tail).filter(|key| !key.is_several())
    }

    /// The only segment of `tail`, the path behind the endpoint's path. A trailing slash is allowed.
    pub(crate) fn of_tail(tail: &str) -> Self {
        Self::encoded(tail.strip_suffix('/').unwrap_or(tail))
    }

    /// A key that is refused as malformed.
    #[cfg(feature = "axum")]
    pub(crate) fn malformed() -> Self {
        Self(Segment::Malformed)
    }

    /// Whether there is more than one segment behind the endpoint's path.
    #[cfg_attr(not(any(feature = "serve", feature = "warp")), expect(dead_code, reason = "for routes"))]
    pub(crate) fn is_several(&self) -> bool {
        self.0 == Segment::Several
    }

    /// The key or token, decoded once.
    pub(crate) fn decode(&self) -> Result<Option<Cow<'_, str>>, Rejection> {
        match &self.0 {
            Segment::Absent => Ok(None),
            Segment::Encoded(segment) => decode(segment).map(Some),
            Segment::Decoded(segment) => Ok(Some(Cow::Borrowed(segment))),
            Segment::Several | Segment::Malformed => Err(Rejection::Malformed),
        }
    }
}

impl fmt::Debug for PathKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathKey").finish_non_exhaustive()
    }
}

/// The path behind `endpoint`, without the slash between them.
fn behind<'a>(endpoint: &str, path: &'a str) -> Option<&'a str> {
    let (endpoint, path) = (endpoint.trim_matches('/'), path.strip_prefix('/')?);
    if endpoint.is_empty() {
        return Some(path);
    }
    match path.strip_prefix(endpoint)? {
        "" => Some(""),
        behind => behind.strip_prefix('/'),
    }
}

/// Decodes percent-encoding.
pub(crate) fn decode(text: &str) -> Result<Cow<'_, str>, Rejection> {
    percent_decode_str(text).decode_utf8().map_err(|_| Rejection::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &PathKey) -> Result<Option<String>, Rejection> {
        key.decode().map(|key| key.map(Cow::into_owned))
    }

    #[test]
    fn an_encoded_segment_is_decoded_once_and_a_decoded_one_never() {
        let encoded = |segment: &str| key(&PathKey::encoded(segment));
        assert_eq!(encoded("zo%C3%AB%2F1"), Ok(Some("zoë/1".into())));
        assert_eq!(encoded("al%2569ce"), Ok(Some("al%69ce".into())));
        assert_eq!(encoded("a+b"), Ok(Some("a+b".into())));
        assert_eq!(encoded("100%"), Ok(Some("100%".into())));
        assert_eq!(encoded(""), Ok(None));
        assert_eq!(encoded("%FF"), Err(Rejection::Malformed));
        assert_eq!(encoded("a/b"), Err(Rejection::Malformed));
        let decoded = |segment: &str| key(&PathKey::decoded(segment));
        assert_eq!(decoded("al%69ce"), Ok(Some("al%69ce".into())));
        assert_eq!(decoded("zoë/1"), Ok(Some("zoë/1".into())));
        assert_eq!(decoded(""), Ok(None));
    }

    #[test]
    fn the_key_is_the_one_segment_behind_the_endpoint() {
        let good = |key: &str| Ok(Some(key.to_owned()));
        for (endpoint, path, expected) in [
            ("/ws", "/ws/alice", good("alice")),
            ("/ws", "/ws/alice/", good("alice")),
            ("ws/", "/ws/al%2569ce", good("al%69ce")),
            ("/api/live", "/api/live/a%2Fb", good("a/b")),
            ("", "/alice", good("alice")),
            ("/", "/alice/", good("alice")),
            ("/ws", "/ws/..", good("..")),
            ("/ws", "/ws", Ok(None)),
            ("/ws", "/ws/", Ok(None)),
            ("/ws", "/", Ok(None)),
            ("/", "/", Ok(None)),
            ("/ws", "*", Ok(None)),
            ("/ws", "/wsx/alice", Ok(None)),
            ("/ws", "/w/alice", Ok(None)),
            ("/ws", "//ws/alice", Ok(None)),
            ("/ws", "/api/ws/alice", Ok(None)),
            ("/ws", "/ws//alice", Err(Rejection::Malformed)),
            ("/ws", "/ws/alice//", Err(Rejection::Malformed)),
            ("/ws", "/ws/alice/bob", Err(Rejection::Malformed)),
            ("/ws", "/ws/../alice", Err(Rejection::Malformed)),
            ("/ws", "/ws/%FF", Err(Rejection::Malformed)),
        ] {
            assert_eq!(key(&PathKey::below(endpoint, path)), expected, "{endpoint} {path}");
        }
    }

    #[cfg(feature = "serve")]
    #[test]
    fn an_endpoint_has_its_own_path_and_one_segment_behind_it() {
        for path in ["/ws", "/ws/", "/ws//", "/ws/alice", "/ws/alice/", "/ws/%FF"] {
            assert!(PathKey::at("/ws", path).is_some(), "{path}");
        }
        for path in ["/", "/w", "/wsx", "/wsx/alice", "/ws//alice", "/ws/a/b", "//ws/alice", "*", "ws/a"] {
            assert!(PathKey::at("/ws", path).is_none(), "{path}");
        }
    }

    #[test]
    fn debug_keeps_tokens_to_itself() {
        for key in [PathKey::encoded("s3cret"), PathKey::decoded("s3cret")] {
            assert!(!format!("{key:?}").contains("s3cret"));
        }
    }
}

use std::borrow::Cow;

use crate::handshake::Handshake;
use crate::rejection::Rejection;

/// A place in the opening request where a credential may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialSource {
    /// The path segment after the endpoint's own path: `{key}` of `/websocket/{key}`.
    Path,
    /// A parameter of the query string. Servers and proxies tend to log these.
    Query(Cow<'static, str>),
    /// `Authorization: Bearer …`. A browser cannot set it.
    Bearer,
    /// A cookie. The browser sends it from every page, so keep the check of origins on. A name that begins with
    /// `__Host-` keeps other subdomains and pages over plain HTTP from setting one of their own.
    Cookie(Cow<'static, str>),
    /// A header. A browser cannot set one.
    Header(Cow<'static, str>),
    /// A subprotocol, `base64url.bearer.keywire.…`: how a page sends a token that stands in no URL. See
    /// [`Handshake::protocol_token`].
    Subprotocol,
}

impl CredentialSource {
    /// What stands there; nothing and an empty text are the same.
    pub(super) fn read<'a>(&self, handshake: &'a Handshake) -> Result<Option<Cow<'a, str>>, Rejection> {
        let text = match self {
            Self::Path => handshake.path_key()?,
            Self::Query(name) => handshake.query(name)?.map(Cow::Owned),
            Self::Bearer => handshake.bearer()?.map(Cow::Borrowed),
            Self::Cookie(name) => handshake.cookie(name)?.map(Cow::Borrowed),
            Self::Header(name) => handshake.header(&**name)?.map(Cow::Borrowed),
            Self::Subprotocol => handshake.protocol_token()?.map(Cow::Owned),
        };
        Ok(text.filter(|text| !text.is_empty()))
    }
}

/// What stands in the only one of these places where something does.
///
/// Two credentials are refused, also if they are the same: which of them decides would depend on the order in which
/// somebody reads. But a cookie counts only where no other place has a credential: the page has chosen what it sends
/// elsewhere, while any page of the host may have set the cookie, and could keep a user out by it.
pub(super) fn read_only<'a>(
    sources: &[CredentialSource],
    handshake: &'a Handshake,
) -> Result<Option<Cow<'a, str>>, Rejection> {
    let (cookies, chosen): (Vec<_>, Vec<_>) =
        sources.iter().partition(|source| matches!(source, CredentialSource::Cookie(_)));
    match only(&chosen, handshake)? {
        Some(credential) => Ok(Some(credential)),
        None => only(&cookies, handshake),
    }
}

fn only<'a>(
    sources: &[&CredentialSource],
    handshake: &'a Handshake,
) -> Result<Option<Cow<'a, str>>, Rejection> {
    let mut found = None;
    for source in sources {
        match source.read(handshake)? {
            None => {}
            text if found.is_none() => found = text,
            Some(_) => return Err(Rejection::Malformed),
        }
    }
    Ok(found)
}

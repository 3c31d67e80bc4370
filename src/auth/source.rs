use std::borrow::Cow;

use crate::handshake::Handshake;
use crate::rejection::Rejection;

/// Place of a credential in the opening request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialSource {
    /// Path segment behind the endpoint's path: `{key}` in `/websocket/{key}`.
    Path,
    /// Parameter of the query string. Servers and proxies often log it.
    Query(Cow<'static, str>),
    /// `Authorization: Bearer …`. A page cannot set this header.
    Bearer,
    /// Cookie. The browser sends it for every page, so keep the origin check on. Other subdomains and pages over plain HTTP
    /// cannot set a cookie whose name begins with `__Host-`.
    Cookie(Cow<'static, str>),
    /// Header. A page cannot set it.
    Header(Cow<'static, str>),
    /// Subprotocol `base64url.bearer.keywire.…`, with which a page can send a token outside of the URL. See
    /// [`Handshake::protocol_token`].
    Subprotocol,
}

impl CredentialSource {
    /// The value at this place. An empty value counts as absent.
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

/// The credential. At most one of these places may have one.
///
/// Two credentials are refused, even if they are equal: otherwise the order of reading would decide. A cookie counts only if no
/// other place has a credential. Any page of the host can set a cookie, and could otherwise lock the user out.
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

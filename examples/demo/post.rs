//! Checks of posts: pages of other origins are refused, and clients without a token if tokens are needed.

use std::sync::Arc;

use keywire::auth::{JwtKey, Rejection};
use keywire::message::Json;
use keywire::{Key, KeyExtractor as _, Push};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, HeaderValue, StatusCode, header};
use warp::hyper::body::Bytes;

/// Largest body.
const MAX_BODY: u64 = 64 * 1024;

/// Why a request is refused.
pub(crate) type Refusal = (StatusCode, String);

/// The check of tokens. `None`: keys are raw.
pub(crate) type Tokens = Option<Arc<JwtKey>>;

/// The posted value, and the key of its user if there is a token.
pub(crate) type Posted<T> = Result<(Option<Key>, T), Refusal>;

/// A push, with two more fields: `"keep": true` keeps it, and `"once"`, an id, keeps it too.
pub(crate) struct ToKeep {
    pub(crate) push: Push,
    pub(crate) keep: Option<Option<String>>,
}

impl<'de> Deserialize<'de> for ToKeep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Keep {
            #[serde(default)]
            keep: bool,
            once: Option<String>,
        }
        // Parsed twice, since a push does not know the other fields.
        let json = Json::deserialize(deserializer)?;
        let push = json.parse().map_err(D::Error::custom)?;
        let Keep { keep, once } = json.parse().map_err(D::Error::custom)?;
        Ok(Self { push, keep: (keep || once.is_some()).then_some(once) })
    }
}

/// The JSON body of a POST of any content type, or the refusal.
pub(crate) fn body<T: DeserializeOwned + Send + 'static>() -> BoxedFilter<(Result<T, Refusal>,)> {
    headers_and_body().map(|headers: HeaderMap, body: Bytes| read(&headers, &body)).boxed()
}

/// The JSON body and the key of the user's token. If keys are raw, any client may post, without a key.
pub(crate) fn body_of_user<T: DeserializeOwned + Send + 'static>(
    tokens: Tokens,
) -> BoxedFilter<(Posted<T>,)> {
    let read = move |headers: HeaderMap, body: Bytes| {
        let tokens = tokens.clone();
        async move {
            let user = user(tokens, &headers).await?;
            Ok((user, read(&headers, &body)?))
        }
    };
    headers_and_body().then(read).boxed()
}

/// The key of the user's token, for a request without a body.
pub(crate) fn poster(tokens: Tokens) -> BoxedFilter<(Result<Option<Key>, Refusal>,)> {
    let check = move |headers: HeaderMap| {
        let tokens = tokens.clone();
        async move {
            own(&headers)?;
            user(tokens, &headers).await
        }
    };
    warp::header::headers_cloned().then(check).boxed()
}

fn headers_and_body() -> BoxedFilter<(HeaderMap, Bytes)> {
    warp::post()
        .and(warp::header::headers_cloned())
        .and(warp::body::content_length_limit(MAX_BODY))
        .and(warp::body::bytes())
        .boxed()
}

fn read<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Refusal> {
    own(headers)?;
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

/// Refuses pages of other origins.
fn own(headers: &HeaderMap) -> Result<(), Refusal> {
    match is_foreign(headers) {
        true => Err((StatusCode::FORBIDDEN, "requests from other sites are refused".to_owned())),
        false => Ok(()),
    }
}

async fn user(tokens: Tokens, headers: &HeaderMap) -> Result<Option<Key>, Refusal> {
    let Some(tokens) = tokens else { return Ok(None) };
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let identity = match token {
        Some((_, token)) => tokens.refresh(token.trim()).await,
        None => Err(Rejection::Missing),
    };
    match identity {
        Ok(identity) => Ok(Some(identity.key().clone())),
        Err(Rejection::Unavailable) => {
            Err((StatusCode::SERVICE_UNAVAILABLE, "tokens cannot be checked now".to_owned()))
        }
        Err(rejection) => Err((
            StatusCode::UNAUTHORIZED,
            format!("the request needs a token in `Authorization: Bearer` ({rejection})"),
        )),
    }
}

/// Whether a browser sent the request for a page of another origin. Browsers send `Origin` with every POST, and
/// `Sec-Fetch-Site` over https and to this machine. `curl` sends neither.
fn is_foreign(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST);
    let same = |site: &HeaderValue| site == "same-origin" || site == "none";
    !headers.get_all("sec-fetch-site").iter().all(same)
        || !headers.get_all(header::ORIGIN).iter().all(|origin| is_own(origin, host))
}

/// Whether an origin is the host of the request. The scheme is not compared, since a proxy may have ended TLS.
fn is_own(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let Some((scheme, authority)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else {
        return false;
    };
    let Some(host) = host.and_then(|host| host.to_str().ok()) else { return false };
    let host = host.strip_suffix(if scheme == "https" { ":443" } else { ":80" }).unwrap_or(host);
    authority.eq_ignore_ascii_case(host)
}

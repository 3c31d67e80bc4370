//! Who may post: no page of another origin, and where only tokens get in nobody without one.

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

/// The largest body that is read.
const MAX_BODY: u64 = 64 * 1024;

/// What is wrong with a request.
pub(crate) type Refusal = (StatusCode, String);

/// Checks tokens; `None` where keys are raw.
pub(crate) type Tokens = Option<Arc<JwtKey>>;

/// What was posted, and by whom where that is known.
pub(crate) type Posted<T> = Result<(Option<Key>, T), Refusal>;

/// A push, and beside its own fields whether to keep it: `"keep": true`, and an id `"once"`, which keeps it as well.
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
        // Read twice, since what stands beside a push is nothing that it knows.
        let json = Json::deserialize(deserializer)?;
        let push = json.parse().map_err(D::Error::custom)?;
        let Keep { keep, once } = json.parse().map_err(D::Error::custom)?;
        Ok(Self { push, keep: (keep || once.is_some()).then_some(once) })
    }
}

/// The JSON body of a POST, whatever its content type, or the refusal.
pub(crate) fn body<T: DeserializeOwned + Send + 'static>() -> BoxedFilter<(Result<T, Refusal>,)> {
    headers_and_body().map(|headers: HeaderMap, body: Bytes| read(&headers, &body)).boxed()
}

/// The same from a user with a token, whose key comes with it. Where keys are raw it may come from any client.
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

fn headers_and_body() -> BoxedFilter<(HeaderMap, Bytes)> {
    warp::post()
        .and(warp::header::headers_cloned())
        .and(warp::body::content_length_limit(MAX_BODY))
        .and(warp::body::bytes())
        .boxed()
}

fn read<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Refusal> {
    if is_foreign(headers) {
        return Err((StatusCode::FORBIDDEN, "not from another site".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
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
            format!("authorization: Bearer with a token is needed ({rejection})"),
        )),
    }
}

/// Whether a browser sends it for a page of another origin. Browsers put `Origin` on every POST, and `Sec-Fetch-Site` over
/// https and to this machine; `curl` sends neither.
fn is_foreign(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST);
    let same = |site: &HeaderValue| site == "same-origin" || site == "none";
    !headers.get_all("sec-fetch-site").iter().all(same)
        || !headers.get_all(header::ORIGIN).iter().all(|origin| is_own(origin, host))
}

/// Whether an origin is the host that was asked. The scheme is not compared: a proxy may have taken the TLS off.
fn is_own(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let Some((scheme, authority)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else {
        return false;
    };
    let Some(host) = host.and_then(|host| host.to_str().ok()) else { return false };
    let host = host.strip_suffix(if scheme == "https" { ":443" } else { ":80" }).unwrap_or(host);
    authority.eq_ignore_ascii_case(host)
}

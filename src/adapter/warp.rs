//! Adapter for [warp].

#[cfg(feature = "push-api")]
mod push_api;

use std::convert::Infallible;
use std::net::SocketAddr;

use http::header::UPGRADE;
use http::{HeaderMap, Method, Request, Uri, Version};
use hyper::upgrade::OnUpgrade;
use warp::filters::BoxedFilter;
use warp::path::{FullPath, Tail};
use warp::{Filter, Reply};

#[cfg(feature = "push-api")]
pub use self::push_api::push_api;
use super::hyper::answer;
use crate::handshake::Handshake;
use crate::hub::Hub;
use crate::path_key::PathKey;
use crate::peer::PeerAddr;

/// The endpoint: `GET /{path}/{key}`, and `GET /{path}` for credentials outside of the path.
///
/// `path` may have several segments, for example `"api/live"`. The filter refuses all other requests below this path, so put your
/// own routes below it in front of the filter.
///
/// ```no_run
/// use keywire::auth::RawKey;
/// use keywire::Hub;
///
/// # async fn example() {
/// let hub = Hub::builder(RawKey::from_path()).build();
/// warp::serve(keywire::adapter::warp::websocket("websocket", hub)).run(([127, 0, 0, 1], 8090)).await;
/// # }
/// ```
///
/// # Panics
///
/// If `path` has an empty segment, as with warp's own `path`.
pub fn websocket(path: &str, hub: Hub) -> BoxedFilter<(impl Reply + use<>,)> {
    prefix(path)
        .and(warp::path::tail().and_then(key))
        .and(warp::method())
        .and(warp::path::full())
        .and(warp::query::raw().map(Some).or(warp::any().map(|| None)).unify())
        .and(warp::header::headers_cloned())
        .and(peer())
        .and(warp::ext::optional::<OnUpgrade>())
        .then(move |key, method, path, query, headers, peer, on_upgrade: Option<OnUpgrade>| {
            let hub = hub.clone();
            async move {
                let version = version(&headers, on_upgrade.as_ref());
                let handshake = handshake(key, method, version, &path, query, headers, peer);
                answer(&hub, handshake, on_upgrade).await
            }
        })
        .boxed()
}

/// The path of an endpoint, in segments.
fn prefix(path: &str) -> BoxedFilter<()> {
    path.split('/')
        .fold(warp::any().boxed(), |prefix, segment| prefix.and(warp::path(segment.to_owned())).boxed())
}

/// The only segment after the endpoint's path, if there is one. Not `warp::path::param`, which would log the segment, and the
/// segment may be a token.
async fn key(tail: Tail) -> Result<PathKey, warp::Rejection> {
    let key = PathKey::of_tail(tail.as_str());
    if key.is_several() { Err(warp::reject::not_found()) } else { Ok(key) }
}

/// The address of the client: from `keywire::serve`, or from warp's own server.
fn peer() -> impl Filter<Extract = (Option<SocketAddr>,), Error = Infallible> + Copy {
    let told = warp::ext::optional::<PeerAddr>();
    told.and(warp::addr::remote())
        .map(|told: Option<PeerAddr>, remote| told.map(|PeerAddr(addr)| addr).or(remote))
}

fn handshake(
    key: PathKey,
    method: Method,
    version: Version,
    path: &FullPath,
    query: Option<String>,
    headers: HeaderMap,
    peer: Option<SocketAddr>,
) -> Handshake {
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.version_mut() = version;
    // Cannot fail, since both parts come from a URI.
    *request.uri_mut() = format!("{}{query}", path.as_str()).parse::<Uri>().unwrap_or_default();
    *request.headers_mut() = headers;
    let handshake = Handshake::new(request).with_path_key(key);
    match peer {
        Some(peer) => handshake.with_peer(peer),
        None => handshake,
    }
}

/// The version of a request, which warp does not expose. hyper has an upgrade for every HTTP/1.1 request that asks for one, so a
/// request that asks and has none is of another version.
fn version(headers: &HeaderMap, on_upgrade: Option<&OnUpgrade>) -> Version {
    if headers.contains_key(UPGRADE) && on_upgrade.is_none() { Version::HTTP_10 } else { Version::HTTP_11 }
}

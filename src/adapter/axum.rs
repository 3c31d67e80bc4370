//! Adapter for [axum].

use std::net::SocketAddr;

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{ConnectInfo, FromRequestParts as _, OriginalUri, RawPathParams, Request};
use axum::routing::{MethodRouter, any};
use http::Response;
use http::request::Parts;

use super::hyper::answer;
use crate::handshake::Handshake;
use crate::hub::Hub;
use crate::path_key::PathKey;

/// The endpoint, to be merged into a router: `GET {path}/{key}`, and `GET {path}` for credentials outside of the path.
///
/// `path` is a path of axum, for example `"/api/live"` or `"/teams/{team}/live"`. Other paths below it are left to the router. The
/// answer to other methods is 405.
///
/// With the feature `http2`, and a server that speaks HTTP/2, the endpoint also accepts the WebSockets of HTTP/2 (RFC 8441).
///
/// The client's address is that of [`keywire::serve`](crate::serve()), or axum's `ConnectInfo<SocketAddr>`:
/// `axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())`. Without it, limits for each address do not
/// apply, and trusted proxies are not recognised.
///
/// ```
/// use axum::Router;
/// use keywire::auth::RawKey;
/// use keywire::Hub;
///
/// let hub = Hub::builder(RawKey::from_path()).build();
/// let router: Router = Router::new().merge(keywire::adapter::axum::websocket("/websocket", hub.clone()));
/// # let _ = router;
/// ```
///
/// # Panics
///
/// If `path` does not begin with a slash, or is no path of axum.
pub fn websocket<S>(path: &str, hub: Hub) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let path = path.strip_suffix('/').unwrap_or(path);
    let endpoint = endpoint(hub);
    let router = if path.is_empty() { Router::new() } else { Router::new().route(path, endpoint.clone()) };
    router
        .route(&format!("{path}/"), endpoint.clone())
        .route(&format!("{path}/{{key}}"), endpoint.clone())
        .route(&format!("{path}/{{key}}/"), endpoint)
}

/// The endpoint as a route, for a path of your own. Its parameter `{key}` is the key or token in the path. Without this parameter the
/// credential is elsewhere.
///
/// ```
/// use axum::Router;
/// use keywire::adapter::axum::endpoint;
/// use keywire::auth::RawKey;
/// use keywire::Hub;
///
/// let hub = Hub::builder(RawKey::from_path()).build();
/// let router: Router = Router::new().route("/teams/{team}/live/{key}", endpoint(hub.clone()));
/// # let _ = router;
/// ```
///
/// Everything else is as with [`websocket`].
pub fn endpoint<S>(hub: Hub) -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    any(async move |params: Result<RawPathParams, RawPathParamsRejection>, request: Request| {
        respond(&hub, key(params), request).await
    })
}

async fn respond(hub: &Hub, key: PathKey, request: Request) -> Response<String> {
    let (mut parts, _) = request.into_parts();
    let on_upgrade = parts.extensions.remove();
    // In a nested router the URI lacks the prefix of the nest.
    if let Some(OriginalUri(uri)) = parts.extensions.remove() {
        parts.uri = uri;
    }
    let handshake = Handshake::from(&parts).with_path_key(key);
    let handshake = match handshake.peer() {
        Some(_) => handshake,
        None => handshake.resolved_to(connected(&mut parts).await),
    };
    answer(hub, handshake, on_upgrade).await
}

/// The parameter `key`. axum has decoded it once.
fn key(params: Result<RawPathParams, RawPathParamsRejection>) -> PathKey {
    let params = match params {
        Ok(params) => params,
        Err(RawPathParamsRejection::MissingPathParams(_)) => return PathKey::default(),
        // A parameter that is not UTF-8.
        Err(_) => return PathKey::malformed(),
    };
    let mut values = params.iter().filter(|(name, _)| *name == "key").map(|(_, value)| value);
    match (values.next(), values.next()) {
        (None, _) => PathKey::default(),
        (Some(value), None) => PathKey::decoded(value),
        // A nest has the same parameter.
        (Some(_), Some(_)) => PathKey::malformed(),
    }
}

/// The address of the client from axum's own server.
async fn connected(parts: &mut Parts) -> Option<SocketAddr> {
    let info = ConnectInfo::<SocketAddr>::from_request_parts(parts, &()).await;
    info.ok().map(|ConnectInfo(addr)| addr)
}

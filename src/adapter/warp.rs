//! The adapter for [warp](::warp).

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use tokio::net::TcpStream;
use warp::filters::BoxedFilter;
use warp::path::FullPath;
use warp::{Filter, Reply};

use crate::handshake::Handshake;
use crate::hub::Hub;
use crate::upgrade::Connection;

/// The endpoint: `GET /{path}/{key}`, and `GET /{path}` for credentials that stand elsewhere.
///
/// `path` may have several segments, `"api/live"` for example. Whatever else is asked of these paths is
/// refused here, so put routes of your own under them in front.
///
/// ```no_run
/// use keywire::{Hub, RawKey};
///
/// # async fn example() {
/// let hub = Hub::builder().keys(RawKey::from_path()).build();
/// warp::serve(keywire::warp::websocket("websocket", hub)).run(([127, 0, 0, 1], 8090)).await;
/// # }
/// ```
///
/// # Panics
///
/// Within the runtime never; at the call if `path` has an empty segment, as warp's own `path` does.
pub fn websocket(path: &str, hub: Hub) -> BoxedFilter<(impl Reply + use<>,)> {
    let prefix = path
        .split('/')
        .fold(warp::any().boxed(), |prefix, segment| prefix.and(warp::path(segment.to_owned())).boxed());
    let key = warp::path::param::<String>().map(Some);
    let no_key = warp::any().map(|| None);
    prefix
        .and(key.or(no_key).unify())
        .and(warp::path::end())
        .and(warp::method())
        .and(warp::path::full())
        .and(warp::query::raw().map(Some).or(warp::any().map(|| None)).unify())
        .and(warp::header::headers_cloned())
        .and(warp::addr::remote())
        .and(warp::ext::optional::<OnUpgrade>())
        .then(move |key, method, path, query, headers, peer, on_upgrade| {
            let hub = hub.clone();
            async move {
                let handshake = handshake(key, method, &path, query, headers, peer);
                answer(&hub, handshake, on_upgrade).await
            }
        })
        .boxed()
}

fn handshake(
    key: Option<String>,
    method: Method,
    path: &FullPath,
    query: Option<String>,
    headers: HeaderMap,
    peer: Option<SocketAddr>,
) -> Handshake {
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    let mut request = Request::new(());
    *request.method_mut() = method;
    // Both parts came out of a URI.
    *request.uri_mut() = format!("{}{query}", path.as_str()).parse::<Uri>().unwrap_or_default();
    *request.headers_mut() = headers;
    let mut handshake = Handshake::new(request);
    if let Some(key) = key {
        handshake = handshake.with_path_key(key);
    }
    match peer {
        Some(peer) => handshake.with_peer(peer),
        None => handshake,
    }
}

async fn answer(hub: &Hub, handshake: Handshake, on_upgrade: Option<OnUpgrade>) -> Response<String> {
    let upgrade = hub.upgrade(handshake).await;
    if let Some(connection) = upgrade.connection {
        match on_upgrade {
            Some(on_upgrade) => {
                tokio::spawn(run(connection, on_upgrade));
            }
            // The head was right and the server cannot do it: HTTP/2, or a filter run without a server.
            None => return Response::builder().status(501).body(String::new()).unwrap_or_default(),
        }
    }
    upgrade.response
}

async fn run(connection: Connection, on_upgrade: OnUpgrade) {
    let upgraded = match on_upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%error, "the client went away before the upgrade");
            return;
        }
    };
    match downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => {
            let socket = parts.io.into_inner();
            // Without this the second of two small messages waits for the first one's acknowledgement. It
            // fails only on a socket that is dead already.
            let _ = socket.set_nodelay(true);
            connection.run(socket, parts.read_buf).await;
        }
        // TLS, a Unix socket, a test.
        Err(upgraded) => connection.run(TokioIo::new(upgraded), Bytes::new()).await,
    }
}

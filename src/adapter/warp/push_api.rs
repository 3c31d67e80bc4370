use std::net::SocketAddr;

use bytes::{Buf, Bytes};
use futures_util::{Stream, TryStreamExt as _};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::StreamBody;
use hyper::body::Frame;
use warp::filters::BoxedFilter;
use warp::path::Tail;
use warp::{Filter, Reply};

use super::{peer, prefix};
use crate::peer::PeerAddr;
use crate::push_api::PushApi;

/// The routes of a [`PushApi`] below `path`, for example `POST /api/push/alice`. The filter answers all requests below this path.
///
/// ```no_run
/// use keywire::auth::RawKey;
/// use keywire::adapter::push_api::PushApi;
/// use keywire::Hub;
/// use warp::Filter;
///
/// # async fn example(secret: String) -> Result<(), keywire::adapter::push_api::SecretError> {
/// let hub = Hub::builder(RawKey::from_path()).build();
/// let api = PushApi::new(hub.clone(), [secret])?;
/// let routes = keywire::adapter::warp::push_api("api", api).or(keywire::adapter::warp::websocket("websocket", hub));
/// warp::serve(routes).run(([127, 0, 0, 1], 8090)).await;
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// If `path` has an empty segment, as with warp's own `path`.
pub fn push_api(path: &str, api: PushApi) -> BoxedFilter<(impl Reply + use<>,)> {
    prefix(path)
        .and(warp::path::tail())
        .and(warp::method())
        .and(warp::query::raw().map(Some).or(warp::any().map(|| None)).unify())
        .and(warp::header::headers_cloned())
        .and(peer())
        .and(warp::body::stream())
        .then(move |tail, method, query, headers, peer, body| {
            let (api, request) = (api.clone(), request(&tail, method, query, headers, peer));
            async move { api.answer(request.map(|()| bytes(body))).await }
        })
        .boxed()
}

fn request(
    tail: &Tail,
    method: Method,
    query: Option<String>,
    headers: HeaderMap,
    peer: Option<SocketAddr>,
) -> Request<()> {
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    let mut request = Request::new(());
    *request.method_mut() = method;
    // Cannot fail, since both parts come from a URI.
    *request.uri_mut() = format!("/{}{query}", tail.as_str()).parse::<Uri>().unwrap_or_default();
    *request.headers_mut() = headers;
    if let Some(peer) = peer {
        request.extensions_mut().insert(PeerAddr(peer));
    }
    request
}

fn bytes<B: Buf, E>(
    body: impl Stream<Item = Result<B, E>>,
) -> StreamBody<impl Stream<Item = Result<Frame<Bytes>, E>>> {
    StreamBody::new(body.map_ok(|mut data| Frame::data(data.copy_to_bytes(data.remaining()))))
}

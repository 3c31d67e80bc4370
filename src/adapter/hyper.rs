//! Adapter for [hyper], and for servers on hyper that have no adapter of their own.

use http::{Request, Response};
use hyper::upgrade::OnUpgrade;

use crate::handshake::Handshake;
use crate::hub::Hub;

/// Answers a request to `endpoint`, and runs its connection in a task of its own: `GET /{endpoint}/{key}`, and `GET /{endpoint}` for
/// credentials outside of the path.
///
/// Call it for requests at and below `endpoint`, of any method. The path is read as by [`Handshake::from_parts`]. The server has to
/// support upgrades, as [`keywire::serve`](crate::serve()) and hyper's `with_upgrades` do.
///
/// ```
/// use std::convert::Infallible;
///
/// use http::{Request, Response};
/// use hyper::body::Incoming;
/// use keywire::Hub;
///
/// async fn respond(hub: Hub, request: Request<Incoming>) -> Result<Response<String>, Infallible> {
///     Ok(match request.uri().path() {
///         "/" => Response::new("a page".to_owned()),
///         _ => keywire::adapter::hyper::websocket("/websocket", &hub, request).await,
///     })
/// }
/// # let _ = respond;
/// ```
///
/// # Cancel safety
///
/// As [`Hub::upgrade`].
pub fn websocket<B>(
    endpoint: &str,
    hub: &Hub,
    request: Request<B>,
) -> impl Future<Output = Response<String>> + Send + use<B> {
    let (mut parts, _) = request.into_parts();
    let on_upgrade = parts.extensions.remove();
    let (hub, handshake) = (hub.clone(), Handshake::from_parts(&parts, endpoint));
    async move { answer(&hub, handshake, on_upgrade).await }
}

/// Answers an opening, and runs its connection on hyper's upgrade in a task of its own.
pub(super) async fn answer(
    hub: &Hub,
    handshake: Handshake,
    on_upgrade: Option<OnUpgrade>,
) -> Response<String> {
    hub.upgrade(handshake).await.respond(on_upgrade)
}

//! An HTTP API through which other services push: programs in other languages, scheduled jobs, `curl`.

#![cfg(feature = "push-api")]

mod answer;
mod body;
mod fields;
mod posted;
mod query;
mod route;
mod run;
mod secrets;
mod service;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body::Body;

use self::answer::Failure;
use self::route::Route;
pub use self::secrets::SecretError;
use self::secrets::Secrets;
use crate::hub::Hub;
use crate::limits::{Address, AddressRates, Rate};
use crate::metrics::{PushApiCall, RefusedSecret};
use crate::peer::PeerAddr;

/// The OpenAPI document of the API, for the default settings. `GET /openapi.json` answers with it.
pub const OPENAPI: &str = include_str!("../../docs/push-api.openapi.json");

/// An HTTP API over a [`Hub`], for services that hold a secret: `POST /push/alice` sends to alice.
///
/// It knows no web framework. With warp use `keywire::adapter::warp::push_api`. It is a tower service too, so an axum router
/// takes it as it is:
///
/// ```
/// use axum::Router;
/// use keywire::auth::RawKey;
/// use keywire::adapter::push_api::PushApi;
/// use keywire::Hub;
///
/// # fn example(secret: String) -> Result<(), keywire::adapter::push_api::SecretError> {
/// let hub = Hub::builder(RawKey::from_path()).build();
/// let api = PushApi::new(hub, [secret])?;
/// let router: Router = Router::new().nest_service("/api", api);
/// # let _ = router;
/// # Ok(())
/// # }
/// ```
///
/// Each request needs one of the secrets, in `Authorization: Bearer`. There is no other place for the secret and no setting that
/// opens the API. It does not support CORS on purpose: a page that could push would have the secret.
///
/// Clones share the secrets and the limits.
#[derive(Clone)]
pub struct PushApi {
    hub: Hub,
    secrets: Arc<Secrets>,
    body_bytes: usize,
    keys: usize,
    wrong: Option<Arc<AddressRates>>,
}

impl PushApi {
    /// An API for callers that have one of these secrets. To replace a secret, accept the old and the new one for a while.
    ///
    /// A secret has at least 16 bytes, all of them visible ASCII characters. Draw it at random: `openssl rand -hex 32`.
    ///
    /// # Errors
    ///
    /// [`SecretError`] if there is no secret, one is too short or has other characters.
    pub fn new<S: AsRef<str>>(hub: Hub, secrets: impl IntoIterator<Item = S>) -> Result<Self, SecretError> {
        let api = Self {
            hub,
            secrets: Arc::new(Secrets::new(secrets)?),
            body_bytes: 1024 * 1024,
            keys: 1000,
            wrong: None,
        };
        Ok(api.wrong_secrets(Some(Rate::new(10, Duration::from_secs(60)))))
    }

    /// Largest body of a request. Default: 1 MiB. A larger one is answered with 413.
    #[must_use]
    pub fn body_bytes(mut self, bytes: usize) -> Self {
        self.body_bytes = bytes;
        self
    }

    /// The most keys in a request. Default: 1,000.
    #[must_use]
    pub fn keys(mut self, keys: usize) -> Self {
        self.keys = keys;
        self
    }

    /// Rate limit for wrong secrets of one address. Default: bursts of 10, then 10 in a minute. `None`: unlimited. Further ones are
    /// answered with 429 and not logged. A right secret is always accepted: a job with an old secret does not lock out the other
    /// services of its machine.
    ///
    /// The address is the request's [`PeerAddr`], behind
    /// [`Limits::proxies`](crate::limits::Limits::proxies). All requests without one count as one address.
    #[must_use]
    pub fn wrong_secrets(mut self, rate: Option<Rate>) -> Self {
        self.wrong = rate.map(|rate| Arc::new(AddressRates::new(rate)));
        self
    }

    /// Answers a request. Its path is the path of the route: without the prefix at which the API is mounted.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before its end, the push may have been sent to some of the recipients.
    pub async fn answer<B: Body>(&self, request: Request<B>) -> Response<String> {
        let (parts, body) = request.into_parts();
        let metrics = self.hub.metrics().push_api();
        // First of all: a caller without the secret does not get to know which routes there are.
        if let Err(refused) = self.authenticate(&parts) {
            metrics.refused(refused);
            return Failure::of_secret(refused).into_response();
        }
        let (call, answer) = match Route::find(&parts.method, parts.uri.path()) {
            Ok(route) => (route.as_call(), route.run(self, &parts, body).await),
            Err(failure) => (PushApiCall::Other, Err(failure)),
        };
        let answer = answer.unwrap_or_else(Failure::into_response);
        metrics.answered(call, answer.status());
        answer
    }

    fn authenticate(&self, parts: &Parts) -> Result<(), RefusedSecret> {
        let Some(secret) = bearer(&parts.headers) else { return Err(RefusedSecret::Missing) };
        if self.secrets.contains(secret) {
            return Ok(());
        }
        let peer = self.peer(parts);
        let address = peer.unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        match &self.wrong {
            Some(wrong) if !wrong.allow(Address::from(address)) => Err(RefusedSecret::Throttled),
            _ => {
                tracing::warn!(peer = peer.map(tracing::field::display), "push API: wrong secret");
                Err(RefusedSecret::Wrong)
            }
        }
    }

    /// The client's address, behind trusted proxies.
    fn peer(&self, parts: &Parts) -> Option<SocketAddr> {
        let PeerAddr(peer) = *parts.extensions.get::<PeerAddr>()?;
        self.hub.config().limits.proxies.resolve(peer, &parts.headers)
    }
}

/// The credential of the only `Authorization: Bearer`.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).into_iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, secret) = value.as_bytes().split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(secret)
}

/// Without the secrets.
impl fmt::Debug for PushApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("PushApi");
        debug.field("body_bytes", &self.body_bytes).field("keys", &self.keys).finish_non_exhaustive()
    }
}

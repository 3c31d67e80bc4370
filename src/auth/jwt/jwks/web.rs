//! Requests a JWK set from a URL.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, USER_AGENT};
use http::uri::Scheme;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};

use super::JwksError;

pub(super) struct Endpoint {
    uri: Uri,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

impl Endpoint {
    pub(super) fn new(url: &str) -> Result<Self, JwksError> {
        let uri: Uri = url.parse().map_err(|_| JwksError::Url)?;
        let https = uri.scheme() == Some(&Scheme::HTTPS);
        let loopback = uri.scheme() == Some(&Scheme::HTTP) && uri.host().is_some_and(is_this_machine);
        let password = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if password || !(https || loopback) {
            return Err(JwksError::Url);
        }
        // rustls panics if other crates enable two backends and none is named.
        let backend = Arc::new(rustls::crypto::ring::default_provider());
        let tls = HttpsConnectorBuilder::new();
        let connector = if https {
            let trusting = tls.with_provider_and_native_roots(backend);
            trusting.map_err(|_| JwksError::Unreachable)?.https_only().enable_http1().build()
        } else {
            let config = ClientConfig::builder_with_provider(backend).with_safe_default_protocol_versions();
            let config = config.map_err(|_| JwksError::Unreachable)?;
            let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
            tls.with_tls_config(config).https_or_http().enable_http1().build()
        };
        // Requests are minutes apart, so no idle connection is kept.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { uri, client })
    }

    pub(super) async fn get(&self, max_bytes: usize) -> Result<Vec<u8>, JwksError> {
        let request = Request::get(self.uri.clone())
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(USER_AGENT, concat!("keywire/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|_| JwksError::Url)?;
        let answer = self.client.request(request).await.map_err(|error| unreachable(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(JwksError::Status(answer.status().as_u16()));
        }
        match Limited::new(answer.into_body(), max_bytes).collect().await {
            Ok(body) => Ok(body.to_bytes().to_vec()),
            Err(error) if error.is::<LengthLimitError>() => Err(JwksError::TooLarge),
            Err(error) => Err(unreachable(&*error)),
        }
    }
}

/// Logs the causes. They are not part of the error, so that the error is the same each time.
fn unreachable(error: &(dyn Error + 'static)) -> JwksError {
    let causes: Vec<_> =
        std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect();
    tracing::debug!(causes = causes.join(": "), "request for the JWK set failed");
    JwksError::Unreachable
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Endpoint {
    /// Omits the query, since it may contain a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        write!(f, "{}://{authority}{}", self.uri.scheme_str().unwrap_or_default(), self.uri.path())
    }
}

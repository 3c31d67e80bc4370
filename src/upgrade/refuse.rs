//! What a refused client reads.

use http::{HeaderValue, Response, StatusCode, header};

use crate::rejection::Rejection;
use crate::websocket::OpeningError;

/// The answer to what is no opening.
pub(super) fn opening(error: OpeningError) -> Response<String> {
    let mut response = refusal(error.status(), &error.to_string());
    response.headers_mut().extend(error.headers());
    response
}

/// The answer to an opening.
pub(super) fn rejection(rejection: Rejection) -> Response<String> {
    let mut response = refusal(rejection.status(), rejection.kind());
    if rejection.status() == StatusCode::UNAUTHORIZED {
        // RFC 9110, section 11.6.1: a 401 names a scheme.
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(wait) = rejection.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    response
}

fn refusal(status: StatusCode, error: &str) -> Response<String> {
    let mut response = Response::new(serde_json::json!({ "error": error }).to_string());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

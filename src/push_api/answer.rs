//! Answers, all of them JSON.

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::metrics::RefusedSecret;

/// Why a request is refused. The answer is `{"error": "…"}`.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    error: String,
    header: Option<(HeaderName, &'static str)>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), header: None }
    }

    /// 400: this field breaks this rule.
    pub(super) fn bad(field: impl std::fmt::Display, rule: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("{field}: {rule}"))
    }

    /// 401, or 429 for too many wrong secrets.
    pub(super) fn of_secret(refused: RefusedSecret) -> Self {
        match refused {
            RefusedSecret::Missing => {
                Self::unauthorized("secret missing: send `Authorization: Bearer` with it, once")
            }
            RefusedSecret::Wrong => Self::unauthorized("wrong secret"),
            RefusedSecret::Throttled => {
                let header = Some((RETRY_AFTER, "60"));
                Self { header, ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong secrets") }
            }
        }
    }

    fn unauthorized(error: &str) -> Self {
        let header = Some((WWW_AUTHENTICATE, "Bearer"));
        Self { header, ..Self::new(StatusCode::UNAUTHORIZED, error) }
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no such route: GET /openapi.json lists them")
    }

    /// 405, with the methods that the route has.
    pub(super) fn method(allowed: &'static str) -> Self {
        let failure = Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("method: the route has {allowed}"));
        Self { header: Some((ALLOW, allowed)), ..failure }
    }

    /// 503.
    pub(super) fn unavailable(error: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error)
    }

    pub(super) fn into_response(self) -> Response<String> {
        #[derive(Serialize)]
        struct Body<'a> {
            error: &'a str,
        }
        let mut answer = json(self.status, &Body { error: &self.error });
        if let Some((name, value)) = self.header {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        answer
    }
}

/// An answer with this value as JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<String> {
    match serde_json::to_string(value) {
        Ok(json) => written(status, json),
        // None of the answers has a map with keys that are not strings.
        Err(_) => written(StatusCode::INTERNAL_SERVER_ERROR, r#"{"error":"internal"}"#.to_owned()),
    }
}

/// An answer with this JSON.
pub(super) fn written(status: StatusCode, json: String) -> Response<String> {
    let mut answer = Response::new(json);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

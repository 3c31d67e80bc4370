//! Everything that the demo answers over HTTP.

use keywire::{Hub, Key, Push};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use warp::filters::BoxedFilter;
use warp::http::{HeaderValue, Response, StatusCode, header};
use warp::path::Tail;
use warp::{Filter, Reply};

use crate::login::{self, Login};

/// The largest body that is read.
const MAX_BODY: u64 = 64 * 1024;

/// What the page is made of, compiled in: path, media type, content.
const FILES: [(&str, &str, &str); 5] = [
    ("", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("demo.js", "text/javascript; charset=utf-8", include_str!("page/demo.js")),
    ("favicon.svg", "image/svg+xml", include_str!("page/favicon.svg")),
    ("keywire.js", "text/javascript; charset=utf-8", include_str!("../../client/keywire.js")),
];

type Answer = Response<String>;

/// What is wrong with a request.
type Refusal = (StatusCode, String);

/// All routes, the socket's among them.
pub(crate) fn all(hub: Hub, login: Login) -> BoxedFilter<(impl Reply,)> {
    keywire::warp::websocket("websocket", hub.clone())
        .or(files())
        .or(config(&login))
        .or(issue(login))
        .or(push(hub.clone()))
        .or(broadcast(hub.clone()))
        .or(stats(hub))
        .or(warp::path!("healthz").and(warp::get()).map(|| "ok"))
        .boxed()
}

fn files() -> BoxedFilter<(Answer,)> {
    let found = async |tail: Tail| {
        let file = FILES.iter().find(|(path, ..)| *path == tail.as_str());
        file.ok_or_else(warp::reject::not_found)
    };
    let send = |(_, media_type, content): &(&str, &'static str, &str)| {
        let mut answer = Response::new((*content).to_owned());
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let own = HeaderValue::from_static("default-src 'self'; connect-src 'self' ws: wss:");
        headers.insert(header::CONTENT_SECURITY_POLICY, own);
        answer
    };
    warp::get().and(warp::path::tail()).and_then(found).map(send).boxed()
}

/// What the page has to send as a credential, and whether it gets one here.
fn config(login: &Login) -> BoxedFilter<(Answer,)> {
    let config = match login {
        Login::No => json!({ "auth": "key" }),
        Login::Here(_) => json!({ "auth": "token", "login": true }),
        Login::Elsewhere => json!({ "auth": "token", "login": false }),
    };
    warp::path!("config").and(warp::get()).map(move || answer(StatusCode::OK, &config)).boxed()
}

fn issue(login: Login) -> BoxedFilter<(Answer,)> {
    let issue = move |request: Result<login::Request, Refusal>| match (&login, request) {
        (Login::No, _) => {
            refuse(StatusCode::NOT_FOUND, "keys are raw here: start the demo with --jwt-secret")
        }
        (Login::Elsewhere, _) => refuse(
            StatusCode::NOT_FOUND,
            "tokens are checked with a public key here, which cannot sign any: get one where they are issued",
        ),
        (_, Err((status, error))) => refuse(status, error),
        (Login::Here(issuer), Ok(request)) => match issuer.issue(&request) {
            Ok(ticket) => answer(StatusCode::OK, &ticket),
            Err(error) => refuse(StatusCode::BAD_REQUEST, error),
        },
    };
    warp::path!("login").and(body::<login::Request>()).map(issue).boxed()
}

fn push(hub: Hub) -> BoxedFilter<(Answer,)> {
    let push = async |hub: Hub, key: String, push: Result<Push, Refusal>| {
        let key = percent_decode_str(&key).decode_utf8().ok().and_then(|key| Key::new(key).ok());
        match (key, push) {
            (None, _) => refuse(StatusCode::BAD_REQUEST, "not a key"),
            (_, Err((status, error))) => refuse(status, error),
            (Some(key), Ok(push)) => answer(StatusCode::OK, &hub.send_to(key, push).await),
        }
    };
    with(hub).and(warp::path!("push" / String)).and(body::<Push>()).then(push).boxed()
}

fn broadcast(hub: Hub) -> BoxedFilter<(Answer,)> {
    let broadcast = async |hub: Hub, push: Result<Push, Refusal>| match push {
        Ok(push) => answer(StatusCode::OK, &hub.broadcast(push).await),
        Err((status, error)) => refuse(status, error),
    };
    with(hub).and(warp::path!("broadcast")).and(body::<Push>()).then(broadcast).boxed()
}

fn stats(hub: Hub) -> BoxedFilter<(Answer,)> {
    let stats = async |hub: Hub| answer(StatusCode::OK, &hub.counts().await);
    with(hub).and(warp::path!("stats")).and(warp::get()).then(stats).boxed()
}

fn with(hub: Hub) -> BoxedFilter<(Hub,)> {
    warp::any().map(move || hub.clone()).boxed()
}

/// The JSON body of a POST, whatever its content type, or the refusal. A page of another site may not post:
/// the browser says where a request comes from (Fetch Metadata), and `curl` says nothing.
fn body<T: DeserializeOwned + Send + 'static>() -> BoxedFilter<(Result<T, Refusal>,)> {
    warp::post()
        .and(warp::header::optional::<String>("sec-fetch-site"))
        .and(warp::body::content_length_limit(MAX_BODY))
        .and(warp::body::bytes())
        .map(|site: Option<String>, body: warp::hyper::body::Bytes| {
            if site.as_deref() == Some("cross-site") {
                return Err((StatusCode::FORBIDDEN, "not from another site".to_owned()));
            }
            serde_json::from_slice(&body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
        })
        .boxed()
}

fn refuse(status: StatusCode, error: impl Into<String>) -> Answer {
    answer(status, &json!({ "error": error.into() }))
}

fn answer(status: StatusCode, body: &impl Serialize) -> Answer {
    let mut answer = Response::new(serde_json::to_string(body).unwrap_or_default());
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

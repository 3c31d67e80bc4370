//! The HTTP routes of the demo.

use std::sync::Arc;
use std::time::Duration;

use keywire::log::Kept;
use keywire::{Hub, Key, Push};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::{Value, json};
use warp::filters::BoxedFilter;
use warp::http::{HeaderValue, Response, StatusCode, header};
use warp::path::Tail;
use warp::{Filter, Reply};

use crate::login::{self, Login};
use crate::node::{self, Node};
use crate::post::{Posted, Refusal, ToKeep, Tokens, body, body_of_user, poster};

/// The files of the page, compiled in: path, media type, content.
const FILES: [(&str, &str, &str); 9] = [
    ("", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("cluster.css", "text/css; charset=utf-8", include_str!("page/cluster.css")),
    ("demo.js", "text/javascript; charset=utf-8", include_str!("page/demo.js")),
    ("cluster.js", "text/javascript; charset=utf-8", include_str!("page/cluster.js")),
    ("mining.js", "text/javascript; charset=utf-8", include_str!("page/mining.js")),
    ("dom.js", "text/javascript; charset=utf-8", include_str!("page/dom.js")),
    ("favicon.svg", "image/svg+xml", include_str!("page/favicon.svg")),
    ("keywire.js", "text/javascript; charset=utf-8", include_str!("../../client/keywire.js")),
];

/// Content security policy: the page loads from its own origin only, and no other page may frame it (clickjacking).
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

type Answer = Response<String>;

/// All routes, including the WebSocket.
pub(crate) fn all(
    hub: Hub,
    login: Login,
    tokens: Tokens,
    keeps: bool,
    node: Option<Arc<Node>>,
) -> BoxedFilter<(impl Reply,)> {
    keywire::adapter::warp::websocket("websocket", hub.clone())
        .or(files())
        .or(config(&login, keeps, node.as_ref().map(|node| node.config(&hub))))
        .or(issue(login))
        .or(push(hub.clone(), tokens.clone()))
        .or(broadcast(hub.clone(), tokens.clone()))
        .or(ask(hub.clone(), tokens.clone()))
        .or(online(hub.clone()))
        .or(health(hub.clone()))
        .or(stats(hub, node.is_some()))
        .or(kill(tokens, node.is_some_and(|node| node.killable)))
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
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        answer
    };
    warp::get().and(warp::path::tail()).and_then(found).map(send).boxed()
}

/// The configuration of the page: kind of credential, whether there is a login, whether pushes are kept, the node of a cluster.
fn config(login: &Login, keeps: bool, node: Option<Value>) -> BoxedFilter<(Answer,)> {
    let mut config = match login {
        Login::No => json!({ "auth": "key" }),
        Login::Here(_) => json!({ "auth": "token", "login": true }),
        Login::Elsewhere => json!({ "auth": "token", "login": false }),
    };
    config["log"] = keeps.into();
    if let Some(node) = node {
        config["cluster"] = node;
    }
    warp::path!("config").and(warp::get()).map(move || answer(StatusCode::OK, &config)).boxed()
}

fn issue(login: Login) -> BoxedFilter<(Answer,)> {
    let issue = move |request: Result<login::Request, Refusal>| match (&login, request) {
        (_, Err((status @ StatusCode::FORBIDDEN, error))) => refuse(status, error),
        (Login::No, _) => {
            refuse(StatusCode::NOT_FOUND, "no tokens: this demo uses raw keys; start it with --jwt-secret")
        }
        (Login::Elsewhere, _) => refuse(
            StatusCode::NOT_FOUND,
            "no tokens: this demo has only a public key, which cannot sign; get a token from its issuer",
        ),
        (_, Err((status, error))) => refuse(status, error),
        (Login::Here(issuer), Ok(request)) => match issuer.issue(&request) {
            Ok(ticket) => answer(StatusCode::OK, &ticket),
            Err(error) => refuse(StatusCode::BAD_REQUEST, error),
        },
    };
    warp::path!("login").and(body::<login::Request>()).map(issue).boxed()
}

fn push(hub: Hub, tokens: Tokens) -> BoxedFilter<(Answer,)> {
    let push = async |hub: Hub, key: String, posted: Posted<ToKeep>| match (decoded(&key), posted) {
        (_, Err((status, error))) => refuse(status, error),
        (None, _) => refuse(StatusCode::BAD_REQUEST, "the path contains no valid key"),
        (Some(key), Ok((user, ToKeep { push, keep }))) => {
            let push = from_user((user, push));
            let delivery = match keep {
                None => hub.send_to(key, push).await,
                Some(None) => hub.send_to(key, push.kept()).await,
                Some(Some(once)) => hub.send_to(key, push.kept().once(once)).await,
            };
            let status = match delivery.kept {
                Kept::Failed | Kept::Unknown => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::OK,
            };
            answer(status, &delivery)
        }
    };
    with(hub).and(warp::path!("push" / String)).and(body_of_user(tokens)).then(push).boxed()
}

fn broadcast(hub: Hub, tokens: Tokens) -> BoxedFilter<(Answer,)> {
    let broadcast = async |hub: Hub, posted: Posted<Push>| match posted {
        Ok(posted) => answer(StatusCode::OK, &hub.broadcast(from_user(posted)).await),
        Err((status, error)) => refuse(status, error),
    };
    with(hub).and(warp::path!("broadcast")).and(body_of_user(tokens)).then(broadcast).boxed()
}

/// Asks the pages of a key. The response has an answer or an error for each of them.
fn ask(hub: Hub, tokens: Tokens) -> BoxedFilter<(Answer,)> {
    const TIMEOUT: Duration = Duration::from_secs(10);
    let ask = async |hub: Hub, key: String, posted: Posted<Push>| match (decoded(&key), posted) {
        (_, Err((status, error))) => refuse(status, error),
        (None, _) => refuse(StatusCode::BAD_REQUEST, "the path contains no valid key"),
        (Some(key), Ok(posted)) => match hub.request(key, from_user(posted), TIMEOUT).await {
            Err(error) => refuse(StatusCode::BAD_REQUEST, error.to_string()),
            Ok(mut coming) => {
                let mut answers = Vec::with_capacity(coming.asked());
                while let Some(answered) = coming.next().await {
                    answers.push(match answered.answer {
                        Ok(answer) => json!({ "answer": answer.json() }),
                        Err(error) => json!({ "error": error.to_string() }),
                    });
                }
                answer(StatusCode::OK, &answers)
            }
        },
    };
    with(hub).and(warp::path!("ask" / String)).and(body_of_user(tokens)).then(ask).boxed()
}

/// With a token, the sender is the user of the token. Without one, it is the server.
fn from_user((user, push): (Option<Key>, Push)) -> Push {
    match user {
        Some(user) => push.with_sender(&user),
        None => push,
    }
}

/// The number of sessions and keys: of the cluster, if there is one.
fn stats(hub: Hub, is_cluster: bool) -> BoxedFilter<(Answer,)> {
    let stats = move |hub: Hub| async move {
        if !is_cluster {
            return answer(StatusCode::OK, &hub.counts().await);
        }
        match hub.cluster_counts().await {
            Ok(counts) => answer(StatusCode::OK, &counts),
            Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
    };
    with(hub).and(warp::path!("stats")).and(warp::get()).then(stats).boxed()
}

/// The nodes that have sessions of a key.
fn online(hub: Hub) -> BoxedFilter<(Answer,)> {
    let online = async |hub: Hub, key: String| match decoded(&key) {
        None => refuse(StatusCode::BAD_REQUEST, "the path contains no valid key"),
        Some(key) => match hub.presence(key).await {
            Ok(nodes) => answer(StatusCode::OK, &nodes),
            Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        },
    };
    with(hub).and(warp::path!("online" / String)).and(warp::get()).then(online).boxed()
}

/// The state of the hub and of its connection to the cluster. A node without its cluster still serves its own sessions, so the
/// status is 200.
fn health(hub: Hub) -> BoxedFilter<(Answer,)> {
    let health = |hub: Hub| answer(StatusCode::OK, &hub.health());
    with(hub).and(warp::path!("health")).and(warp::get()).map(health).boxed()
}

fn kill(tokens: Tokens, killable: bool) -> BoxedFilter<(Answer,)> {
    let kill = move |user: Result<Option<Key>, Refusal>| match user {
        Err((status, error)) => refuse(status, error),
        Ok(_) if killable => node::die(),
        Ok(_) => refuse(StatusCode::NOT_FOUND, "--killable is not set"),
    };
    warp::path!("kill").and(warp::post()).and(poster(tokens)).map(kill).boxed()
}

/// The key in a segment of a path.
fn decoded(segment: &str) -> Option<Key> {
    percent_decode_str(segment).decode_utf8().ok().and_then(|key| Key::new(key).ok())
}

fn with(hub: Hub) -> BoxedFilter<(Hub,)> {
    warp::any().map(move || hub.clone()).boxed()
}

fn refuse(status: StatusCode, error: impl Into<String>) -> Answer {
    answer(status, &json!({ "error": error.into() }))
}

fn answer(status: StatusCode, body: &impl Serialize) -> Answer {
    let mut answer = Response::new(serde_json::to_string(body).unwrap_or_default());
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

//! The API in the frameworks, and as a bare service.

use axum::Router;
use axum::routing::get;
use http::Request;
use keywire::adapter::push_api::PushApi;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use warp::Filter as _;

use crate::api::{SECRET, delivery, hub, request};
use crate::support::Raw;

fn api() -> PushApi {
    PushApi::new(hub(), [SECRET]).expect("a good secret")
}

/// A push over TCP below `/api`, what lies beside it, and what does not exist.
async fn is_mounted(addr: std::net::SocketAddr) {
    let secret = format!("Authorization: Bearer {SECRET}");
    let ask = async |request: String| {
        let mut raw = Raw::connect(addr).await;
        raw.write(request.as_bytes()).await;
        raw.head().await
    };
    let headers = [&*secret, "Content-Type: application/json"];
    let answer = ask(request("POST /push/zo%C3%AB%2F1", &headers, "{\"msg\":\"hi\"}")).await;
    assert_eq!((answer.status, answer.json()), (200, delivery(0)));
    assert_eq!(ask(request("POST /push/alice", &headers[1..], "{}")).await.status, 401);
    for path in ["", "/", "/unknown"] {
        let answer = ask(request(&format!("GET {path}"), &headers[..1], "")).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    assert_eq!(ask("GET /beside HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()).await.body, "beside");
}

#[tokio::test]
async fn in_warp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("an address");
    let routes = keywire::adapter::warp::push_api("api", api()).or(warp::path!("beside").map(|| "beside"));
    tokio::spawn(warp::serve(routes).incoming(listener).run());
    is_mounted(addr).await;
}

#[tokio::test]
async fn in_axum() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("an address");
    let router: Router =
        Router::new().nest_service("/api", api()).route("/beside", get(|| async { "beside" }));
    tokio::spawn(keywire::serve(listener, router).run());
    is_mounted(addr).await;
}

#[tokio::test]
async fn without_a_framework() {
    let request = Request::post("/push/alice")
        .header("authorization", format!("Bearer {SECRET}"))
        .header("content-type", "application/json");
    let answer = api().answer(request.body("{}".to_owned()).expect("a request")).await;
    assert_eq!(answer.status(), 200);
    let answer: Value = serde_json::from_str(answer.body()).expect("JSON");
    assert_eq!(answer, json!(delivery(0)));
}

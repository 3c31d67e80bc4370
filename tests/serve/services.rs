//! Whatever can be served, by whatever address.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::Extension;
use axum::routing::get;
use http::{Request, Response};
use hyper::service::service_fn;
use keywire::Hub;
use keywire::adapter::PeerAddr;
use keywire::auth::RawKey;
use keywire::serve::{RequestBody, ServeConfig};
use serde_json::json;
use tokio::net::TcpListener;
use warp::Filter;

use crate::Served;
use crate::support::{Raw, opening};

async fn listen(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(address).await.expect("a free port");
    let addr = listener.local_addr().expect("an address");
    (listener, addr)
}

#[tokio::test]
async fn a_warp_filter_with_sessions_and_requests_side_by_side() {
    let server = Served::start(ServeConfig::default()).await;
    let mut alice = server.client("alice").await;
    let mut kept = server.kept().await;
    let push = json!({ "code": "00", "msg": "hello" });
    server.hub.send_to("alice", keywire::Push::message("hello")).await;
    assert_eq!(alice.next().await, push);
    assert_eq!(kept.get("/hello").await.status, 200);
    // A request and its upgrade on a connection that was used before.
    kept.write(opening("/websocket/bob", &[]).as_bytes()).await;
    assert_eq!(kept.head().await.status, 101);
    server.hub.send_to("bob", keywire::Push::message("hello")).await;
    assert_eq!(kept.push().await, push);
    let session = server.hub.sessions("bob").await.pop().expect("a session");
    assert_eq!(session.peer(), Some(kept.address()));
}

#[tokio::test]
async fn a_large_filter() {
    let hub = Hub::builder(RawKey::from_path()).build();
    let (listener, addr) = listen("127.0.0.1:0").await;
    let peer = warp::ext::optional::<PeerAddr>().and(warp::addr::remote()).map(
        |peer: Option<PeerAddr>, remote: Option<SocketAddr>| {
            format!("{:?} {remote:?}", peer.map(|PeerAddr(addr)| addr))
        },
    );
    let number = |number: u32| warp::path(number.to_string()).map(move || number.to_string());
    let routes = keywire::adapter::warp::websocket("websocket", hub)
        .or(number(1).or(number(2)).or(number(3)).or(number(4)))
        .or(number(5).or(number(6)).or(number(7)).or(number(8)))
        .or(warp::path!("sum" / u32 / u32).then(|a: u32, b: u32| async move { (a + b).to_string() }))
        .or(warp::post().and(warp::body::bytes()).map(|body: bytes::Bytes| body.len().to_string()))
        .or(warp::path!("peer").and(peer))
        .with(warp::reply::with::header("x-test", "yes"));
    // Compiles only if all of it is `Send`.
    tokio::spawn(keywire::serve(listener, warp::service(routes)).run());
    let mut raw = Raw::connect(addr).await;
    assert_eq!(raw.get("/sum/1/2").await.body, "3");
    let address = raw.address();
    assert_eq!(raw.get("/peer").await.body, format!("Some({address}) None"));
}

#[tokio::test]
async fn an_axum_router_over_either_version_of_ip() {
    let router =
        Router::new().route("/peer", get(|Extension(PeerAddr(addr))| async move { addr.to_string() }));
    let mut addresses = vec!["127.0.0.1:0"];
    // A container may have no IPv6.
    addresses.extend(std::net::TcpListener::bind("[::1]:0").is_ok().then_some("[::1]:0"));
    for address in addresses {
        let (listener, addr) = listen(address).await;
        tokio::spawn(keywire::serve(listener, router.clone()).run());
        let mut raw = Raw::connect(addr).await;
        assert_eq!(raw.get("/peer").await.body, raw.address().to_string());
        assert_eq!(raw.get("/nothing").await.status, 404);
    }
}

#[tokio::test]
async fn a_service_of_hypers() {
    let (listener, addr) = listen("127.0.0.1:0").await;
    let service = service_fn(|request: Request<RequestBody>| async move {
        Ok::<_, Infallible>(Response::new(request.uri().path().to_owned()))
    });
    tokio::spawn(keywire::serve::serve_hyper(listener, service).run());
    assert_eq!(Raw::connect(addr).await.get("/there").await.body, "/there");
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{UnixListener, UnixStream};

    let hub = Hub::builder(RawKey::from_path()).build();
    let path = std::env::temp_dir().join(format!("keywire-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("a socket");
    let routes = keywire::adapter::warp::websocket("websocket", hub.clone());
    tokio::spawn(keywire::serve(listener, warp::service(routes)).run());
    let mut stream = UnixStream::connect(&path).await.expect("a server");
    let _ = std::fs::remove_file(&path);
    let mut request = opening("/websocket/alice", &[]).into_bytes();
    request.extend(crate::support::masked(crate::support::TEXT, br#"{"flag":"kw:ping"}"#));
    stream.write_all(&request).await.expect("an open connection");
    let mut seen = Vec::new();
    crate::support::within("a pong", async {
        while !seen.ends_with(br#""flag":"kw:pong"}"#) {
            assert!(stream.read_buf(&mut seen).await.expect("an open connection") > 0);
        }
    })
    .await;
    let session = hub.sessions("alice").await.pop().expect("a session");
    assert_eq!(session.peer(), None);
}

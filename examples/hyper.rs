//! A server on bare hyper that pushes the time to each user.
//!
//! Run with `cargo run --example hyper` and open <http://127.0.0.1:8090/?alice>.
//!
//! `keywire::serve::serve_hyper` runs the same service, with time limits and a graceful shutdown.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use keywire::adapter::PeerAddr;
use keywire::auth::RawKey;
use keywire::{Hub, Push};
use tokio::net::TcpListener;

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<h1>…</h1>
<script>
  const socket = new WebSocket(`ws://${location.host}/websocket/${location.search.slice(1) || 'alice'}`);
  socket.onmessage = ({ data }) => document.querySelector('h1').textContent = JSON.parse(data).data;
</script>"#;

async fn respond(hub: Hub, peer: SocketAddr, mut request: Request<Incoming>) -> Response<String> {
    let path = request.uri().path();
    if path == "/" {
        let html = Response::builder().header("content-type", "text/html");
        return html.body(PAGE.to_owned()).expect("a valid header");
    }
    if path == "/websocket" || path.starts_with("/websocket/") {
        request.extensions_mut().insert(PeerAddr(peer));
        return keywire::adapter::hyper::websocket("/websocket", &hub, request).await;
    }
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

pub(crate) async fn accept(listener: TcpListener, hub: Hub) -> std::io::Result<()> {
    loop {
        let (stream, peer) = listener.accept().await?;
        let hub = hub.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = respond(hub.clone(), peer, request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let server = auto::Builder::new(TokioExecutor::new());
            // Fails if the client breaks the connection off.
            let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
        });
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let hub = Hub::builder(RawKey::from_path()).build();

    let push = hub.clone();
    tokio::spawn(async move {
        loop {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            push.broadcast(Push::data(now.as_secs())).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });

    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8090".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("http://{}/?alice", listener.local_addr()?);
    accept(listener, hub).await
}

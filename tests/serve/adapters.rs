//! Adapters of an application's own, under `keywire::serve` and under other servers of hyper's.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::routing::{any, get};
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use keywire::adapter::{Connection, Handshake, Upgrade};
use keywire::auth::RawKey;
use keywire::limits::Limits;
use keywire::serve::{RequestBody, ServeConfig};
use keywire::{Config, Hub};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{Client, PING, Raw, TEXT, masked, opening, within};

fn hub() -> Hub {
    Hub::builder(RawKey::from_path()).build()
}

/// What an application does with the connection of an upgrade.
#[derive(Clone, Copy)]
enum Way {
    OnUpgrade,
    /// As hyper's own examples do it.
    Stream,
}

impl Way {
    async fn run(self, connection: Connection, on_upgrade: OnUpgrade) {
        match self {
            Self::OnUpgrade => connection.run_upgraded(on_upgrade).await,
            Self::Stream => {
                let upgraded = on_upgrade.await.expect("an upgrade");
                connection.run(TokioIo::new(upgraded), Bytes::new()).await;
            }
        }
    }
}

async fn answer<B>(hub: &Hub, way: Way, request: Request<B>) -> Response<String> {
    let (mut parts, _) = request.into_parts();
    let on_upgrade = parts.extensions.remove::<OnUpgrade>();
    let Upgrade { response, connection } = hub.upgrade(Handshake::from_parts(&parts, "/ws")).await;
    if let (Some(connection), Some(on_upgrade)) = (connection, on_upgrade) {
        tokio::spawn(way.run(connection, on_upgrade));
    }
    response
}

async fn websocket(
    State((hub, way)): State<(Hub, Way)>,
    request: axum::extract::Request,
) -> Response<String> {
    answer(&hub, way, request).await
}

fn router(hub: &Hub, way: Way) -> Router {
    Router::new()
        .route("/ws/{key}", any(websocket))
        .route("/hello", get(|| async { "hello" }))
        .with_state((hub.clone(), way))
}

async fn session(addr: SocketAddr, path: &str) -> Client {
    let mut client = Client::connect(addr, path, &[]).await.expect("an upgrade");
    client.ping().await;
    client
}

#[tokio::test]
async fn sessions_of_an_axum_adapter_leave_their_places_to_requests() {
    for way in [Way::OnUpgrade, Way::Stream] {
        let hub = hub();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let config = ServeConfig { connections: 2, ..ServeConfig::default() };
        tokio::spawn(keywire::serve(listener, router(&hub, way)).config(config).run());
        let mut sessions = Vec::new();
        for key in ["alice", "bob", "carol"] {
            sessions.push(session(addr, &format!("/ws/{key}")).await);
        }
        assert_eq!(Raw::connect(addr).await.get("/hello").await.body, "hello");
        for session in &mut sessions {
            session.ping().await;
        }
        let peer = hub.sessions("alice").await.pop().expect("a session").peer();
        assert_eq!(peer.map(|peer| peer.ip()), Some(addr.ip()));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn sessions_of_a_unix_socket_leave_their_places_to_requests() {
    use tokio::net::{UnixListener, UnixStream};

    for (number, way) in [Some(Way::OnUpgrade), Some(Way::Stream), None].into_iter().enumerate() {
        let hub = hub();
        let path = std::env::temp_dir().join(format!("keywire-{}-{number}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).expect("a socket");
        let config = ServeConfig { connections: 2, ..ServeConfig::default() };
        if let Some(way) = way {
            tokio::spawn(keywire::serve(listener, router(&hub, way)).config(config).run());
        } else {
            use warp::Filter as _;
            let routes =
                keywire::adapter::warp::websocket("ws", hub.clone()).or(warp::path!("hello").map(|| "hello"));
            tokio::spawn(keywire::serve(listener, warp::service(routes)).config(config).run());
        }
        let mut sessions = Vec::new();
        for key in ["alice", "bob", "carol"] {
            let mut stream = UnixStream::connect(&path).await.expect("a server");
            let mut request = opening(&format!("/ws/{key}"), &[]).into_bytes();
            request.extend(masked(TEXT, br#"{"flag":"kw:ping"}"#));
            stream.write_all(&request).await.expect("an open connection");
            let mut seen = Vec::new();
            within("a pong", async {
                while !seen.ends_with(br#""flag":"kw:pong"}"#) {
                    assert!(stream.read_buf(&mut seen).await.expect("an open connection") > 0);
                }
            })
            .await;
            sessions.push(stream);
        }
        let mut stream = UnixStream::connect(&path).await.expect("a server");
        let _ = std::fs::remove_file(&path);
        let request = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.expect("an open connection");
        let mut seen = Vec::new();
        within("an answer", stream.read_to_end(&mut seen)).await.expect("an end");
        assert!(seen.ends_with(b"hello"));
    }
}

#[tokio::test]
async fn the_key_is_decoded_once() {
    let hub = hub();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("an address");
    let nested = Router::new().nest("/api", router(&hub, Way::OnUpgrade));
    let router = nested.merge(router(&hub, Way::OnUpgrade));
    tokio::spawn(keywire::serve(listener, router).run());
    for (path, key) in [
        ("/ws/al%2569ce", "al%69ce"),
        ("/ws/al%69ce", "alice"),
        ("/api/ws/a%2Fb?debug", "a/b"),
        ("/api/ws/zo%C3%AB", "zoë"),
    ] {
        let _client = session(addr, path).await;
        let [session] = &hub.sessions(key).await[..] else { panic!("{path} is not {key}") };
        session.close(keywire::session::CloseCode::NORMAL, "");
    }
}

/// A session and its permit, over every kind of server.
async fn works(addr: SocketAddr, hub: &Hub) {
    let mut raw = Raw::connect(addr).await;
    // The first frame comes together with the request.
    let mut request = opening("/ws/alice", &[]).into_bytes();
    request.extend(masked(PING, b"early"));
    raw.write(&request).await;
    assert_eq!(raw.head().await.status, 101);
    assert_eq!(raw.frame().await.expect("a pong").payload, b"early");
    hub.send_to("alice", keywire::Push::message("hello")).await;
    assert_eq!(raw.push().await["msg"], "hello");
}

#[tokio::test]
async fn a_bare_hyper_service_under_keywires_server() {
    for way in [Way::OnUpgrade, Way::Stream] {
        let hub = hub();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let inner = hub.clone();
        let service = service_fn(move |request: Request<RequestBody>| {
            let hub = inner.clone();
            async move { Ok::<_, Infallible>(answer(&hub, way, request).await) }
        });
        tokio::spawn(keywire::serve::serve_hyper(listener, service).run());
        works(addr, &hub).await;
    }
}

#[tokio::test]
async fn a_bare_hyper_service_under_hypers_servers() {
    for way in [Way::OnUpgrade, Way::Stream] {
        for is_auto in [true, false] {
            let hub = hub();
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let addr = listener.local_addr().expect("an address");
            let inner = hub.clone();
            tokio::spawn(async move {
                let (stream, _) = listener.accept().await.expect("a client");
                let service = service_fn(move |request: Request<Incoming>| {
                    let hub = inner.clone();
                    async move { Ok::<_, Infallible>(answer(&hub, way, request).await) }
                });
                let io = TokioIo::new(stream);
                if is_auto {
                    let server = auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection_with_upgrades(io, service).await;
                } else {
                    let _ = http1::Builder::new().serve_connection(io, service).with_upgrades().await;
                }
            });
            works(addr, &hub).await;
        }
    }
}

#[tokio::test]
async fn the_body_of_an_opening_is_never_read_as_frames() {
    let hub = hub();
    for is_warp in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        if is_warp {
            let routes = warp::service(keywire::adapter::warp::websocket("ws", hub.clone()));
            tokio::spawn(keywire::serve(listener, routes).run());
        } else {
            tokio::spawn(keywire::serve(listener, router(&hub, Way::OnUpgrade)).run());
        }
        let ping = masked(PING, b"body");
        let len = ping.len().to_string();
        for (body, chunk) in [(("Content-Length", &*len), ""), (("Transfer-Encoding", "chunked"), "a\r\n")] {
            let mut raw = Raw::connect(addr).await;
            raw.write(opening("/ws/alice", &[body]).as_bytes()).await;
            assert_eq!(raw.head().await.status, 400);
            // Late, and perhaps to a connection that has ended.
            raw.try_write(&[chunk.as_bytes(), &ping].concat()).await;
            raw.gone().await;
        }
    }
    assert_eq!(hub.counts().await, keywire::store::Counts::default());
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_never_comes_gives_its_place_back() {
    let limits = Limits { sessions: 1, ..Limits::default() };
    let hub = Hub::builder(RawKey::from_path()).config(Config { limits, ..Config::default() }).build();
    let (mut near, far) = tokio::io::duplex(4096);
    let inner = hub.clone();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let service = service_fn(move |mut request: Request<Incoming>| {
            let (hub, tell) = (inner.clone(), tell.clone());
            async move {
                let on_upgrade = hyper::upgrade::on(&mut request);
                let (parts, _) = request.into_parts();
                let upgrade = hub.upgrade(Handshake::from_parts(&parts, "/ws")).await;
                let running = upgrade.connection.expect("a promise").run_upgraded(on_upgrade);
                tell.send(tokio::spawn(running)).expect("a test");
                // The 101 is never sent.
                pending::<Result<Response<String>, Infallible>>().await
            }
        });
        let _ = http1::Builder::new().serve_connection(TokioIo::new(far), service).with_upgrades().await;
    });
    near.write_all(opening("/ws/alice", &[]).as_bytes()).await.expect("a server");
    let running = told.recv().await.expect("a server");
    running.await.expect("no panic");
    let (parts, ()) = Request::get("/ws/bob")
        .header("host", "localhost")
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-version", "13")
        .body(())
        .expect("a request")
        .into_parts();
    let upgrade = hub.upgrade(Handshake::from_parts(&parts, "/ws")).await;
    assert_eq!(upgrade.response.status(), 101);
}

//! WebSockets over HTTP/2 (RFC 8441), with hyper's client.
#![cfg(all(feature = "axum", feature = "http2"))]

mod support;

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::ext::Protocol;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use keywire::auth::{Origins, RawKey};
use keywire::{Hub, HubBuilder, Push};
use serde_json::json;
use support::{Client, End, within};
use tokio::net::{TcpListener, TcpStream};

fn builder() -> HubBuilder {
    Hub::builder(RawKey::from_path()).origins(Origins::same().and("https://app.example"))
}

fn router(hub: &Hub) -> Router {
    let nested = Router::new().nest("/api", keywire::adapter::axum::websocket("/websocket", hub.clone()));
    keywire::adapter::axum::websocket("/websocket", hub.clone())
        .merge(nested)
        .route("/", get(|| async { "a page" }))
}

/// Who serves.
#[derive(Clone, Copy, Debug)]
enum Server {
    /// axum's own server, which enables extended CONNECT.
    Axum,
    /// An axum router on hyper-util's server.
    Auto,
    /// The adapter for bare hyper.
    Hyper,
}

impl Server {
    const ALL: [Self; 3] = [Self::Axum, Self::Auto, Self::Hyper];

    async fn start(self, hub: &Hub) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let (hub, router) = (hub.clone(), router(hub));
        if let Self::Axum = self {
            let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a socket"));
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            tokio::spawn(async move { axum::serve(listener, service).await });
            return addr;
        }
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("a socket");
                let mut server = auto::Builder::new(TokioExecutor::new());
                server.http2().enable_connect_protocol();
                let (hub, router) = (hub.clone(), router.clone());
                tokio::spawn(async move {
                    let io = TokioIo::new(stream);
                    if let Self::Auto = self {
                        let service = TowerToHyperService::new(router);
                        let _ = server.serve_connection_with_upgrades(io, service).await;
                    } else {
                        let service = service_fn(move |request: Request<Incoming>| {
                            let is_page = request.uri().path() == "/";
                            let answer = keywire::adapter::hyper::websocket("/websocket", &hub, request);
                            async move {
                                let page = Response::new("a page".to_owned());
                                Ok::<_, Infallible>(if is_page { page } else { answer.await })
                            }
                        });
                        let _ = server.serve_connection_with_upgrades(io, service).await;
                    }
                });
            }
        });
        addr
    }
}

/// One connection of HTTP/2, on which extended CONNECT is allowed.
struct Connection {
    addr: SocketAddr,
    requests: SendRequest<String>,
}

/// An answer, with the stream behind it if it accepts, or else its body.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    stream: Option<Upgraded>,
    body: String,
}

impl Connection {
    async fn open(addr: SocketAddr) -> Self {
        let stream = within("a connection", TcpStream::connect(addr)).await.expect("a server");
        stream.set_nodelay(true).expect("a socket");
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (requests, connection) = within("a handshake", handshake).await.expect("HTTP/2");
        tokio::spawn(connection);
        let mut connection = Self { addr, requests };
        // The answer comes after the server's settings.
        let page = connection.send(connection.request("/", &[])).await;
        assert_eq!((page.status, &*page.body), (StatusCode::OK, "a page"));
        connection
    }

    fn request(&self, path: &str, headers: &[(&'static str, &str)]) -> Request<String> {
        let uri = Uri::try_from(format!("http://{}{path}", self.addr)).expect("a URI");
        let mut request = Request::builder().version(Version::HTTP_2).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(String::new()).expect("a request")
    }

    fn connect_request(&self, path: &str, headers: &[(&'static str, &str)]) -> Request<String> {
        let mut request = self.request(path, headers);
        *request.method_mut() = Method::CONNECT;
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        request.headers_mut().entry("sec-websocket-version").or_insert("13".parse().expect("a value"));
        request
    }

    async fn send(&mut self, request: Request<String>) -> Answer {
        let mut response = within("an answer", self.requests.send_request(request)).await.expect("an answer");
        let on_upgrade = hyper::upgrade::on(&mut response);
        let (parts, mut body) = response.into_parts();
        let mut answer =
            Answer { status: parts.status, headers: parts.headers, stream: None, body: String::new() };
        if let Ok(upgraded) = on_upgrade.await {
            answer.stream = Some(upgraded);
        } else {
            let mut body = std::pin::pin!(&mut body);
            while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
                if let Ok(data) = frame.expect("a whole body").into_data() {
                    answer.body += std::str::from_utf8(&data).expect("UTF-8");
                }
            }
        }
        answer
    }

    async fn connect(&mut self, path: &str, headers: &[(&'static str, &str)]) -> Answer {
        self.send(self.connect_request(path, headers)).await
    }

    async fn client(&mut self, path: &str, headers: &[(&'static str, &str)]) -> Client<TokioIo<Upgraded>> {
        let answer = self.connect(path, headers).await;
        Client::upgraded(TokioIo::new(answer.stream.expect("an open stream"))).await
    }
}

#[tokio::test]
async fn sessions_share_a_connection_with_each_other_and_with_requests() {
    for server in Server::ALL {
        let hub = builder().build();
        let mut connection = Connection::open(server.start(&hub).await).await;
        let answer =
            connection.connect("/websocket/zo%C3%AB", &[("sec-websocket-protocol", "keywire.v1")]).await;
        assert_eq!(answer.status, StatusCode::OK, "{server:?}");
        assert_eq!(answer.headers["sec-websocket-protocol"], "keywire.v1");
        for absent in ["upgrade", "connection", "sec-websocket-accept", "content-length"] {
            assert!(!answer.headers.contains_key(absent), "{absent}");
        }
        let mut zoe = Client::upgraded(TokioIo::new(answer.stream.expect("an open stream"))).await;
        let mut bob = connection.client("/websocket/bob", &[]).await;
        zoe.ping().await;
        bob.ping().await;
        assert_eq!(hub.counts().await.sessions, 2);
        let peer = hub.sessions("zoë").await.pop().expect("a session").peer();
        assert_eq!(peer.is_some(), matches!(server, Server::Axum));
        let long = "long".repeat(100_000);
        hub.send_to("zoë", Push::message(long.clone())).await;
        hub.send_to("bob", Push::message("hello")).await;
        assert_eq!(bob.next().await["msg"], "hello");
        let page = connection.send(connection.request("/", &[])).await;
        assert_eq!(page.body, "a page");
        assert_eq!(zoe.next().await["msg"], *long);

        // Each ends by itself, in order.
        assert_eq!(bob.close(1000, "").await.code, 1000);
        zoe.ping().await;
        hub.disconnect("zoë").await;
        assert_eq!(zoe.end().await.code, 4505);
        assert_eq!(hub.shutdown(std::time::Duration::from_secs(30)).await, 0);
        let refused = connection.connect("/websocket/alice", &[]).await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test]
async fn a_stream_that_is_broken_off_ends_its_session() {
    let hub = builder().build();
    let mut connection = Connection::open(Server::Axum.start(&hub).await).await;
    let mut alice = connection.client("/websocket/alice", &[]).await;
    let mut bob = connection.client("/api/websocket/bob", &[]).await;
    alice.ping().await;
    bob.ping().await;
    drop(alice);
    support::until("the end of a session", async || match hub.counts().await.sessions {
        1 => Ok(()),
        others => Err(format!("{others} sessions")),
    })
    .await;
    bob.ping().await;
}

#[tokio::test]
async fn refusals_are_those_of_http_1() {
    let v1 = ("sec-websocket-protocol", "keywire.v1");
    for server in Server::ALL {
        let hub = builder().build();
        let mut connection = Connection::open(server.start(&hub).await).await;
        let same = format!("http://{}", connection.addr);
        for (path, origin, status, error, code) in [
            ("/websocket", None, 401, "missing", 4501),
            ("/websocket/%FF", None, 400, "malformed", 4501),
            ("/websocket/alice", Some("https://evil.example"), 403, "forbidden", 4503),
        ] {
            let mut headers: Vec<_> = origin.iter().map(|origin| ("origin", *origin)).collect();
            let refused = connection.connect(path, &headers).await;
            assert_eq!(refused.status, status, "{server:?} {path}");
            assert_eq!(refused.body, json!({ "error": error }).to_string(), "{server:?} {path}");
            headers.push(v1);
            let end = connection.client(path, &headers).await.end().await;
            assert_eq!(end, End { code, reason: error.into() }, "{server:?} {path}");
        }
        for origin in [&*same, "https://app.example"] {
            connection.client("/websocket/alice", &[("origin", origin)]).await.ping().await;
        }
    }
}

#[tokio::test]
async fn what_is_no_opening_is_told_why() {
    for server in Server::ALL {
        let hub = builder().build();
        let mut connection = Connection::open(server.start(&hub).await).await;
        let path = "/websocket/alice";
        let mut other = connection.connect_request(path, &[]);
        other.extensions_mut().insert(Protocol::from_static("connect-udp"));
        let mut post = connection.request(path, &[]);
        *post.method_mut() = Method::POST;
        for (request, status) in [
            (other, 501),
            (connection.connect_request(path, &[("sec-websocket-version", "8")]), 400),
            (connection.connect_request(path, &[("sec-websocket-protocol", "a, a")]), 400),
            (connection.connect_request(path, &[("host", "other.example")]), 400),
            (connection.request(path, &[]), 505),
            (post, 505),
        ] {
            let shown = format!("{server:?} {request:?}");
            let is_version_8 = request.headers().get("sec-websocket-version").is_some_and(|it| it == "8");
            let refused = connection.send(request).await;
            assert_eq!(refused.status, status, "{shown}");
            assert!(refused.body.starts_with(r#"{"error":""#), "{shown}");
            let versions = refused.headers.get("sec-websocket-version");
            assert_eq!(versions.is_some_and(|it| it == "13"), is_version_8, "{shown}");
            assert!(!refused.headers.contains_key("upgrade") && !refused.headers.contains_key("connection"));
        }
        assert_eq!(hub.counts().await.sessions, 0);
    }
}

/// HTTP/1.1 on the same port.
#[tokio::test]
async fn http_1_is_served_beside_it() {
    for server in Server::ALL {
        let hub = builder().build();
        let addr = server.start(&hub).await;
        Client::connect(addr, "/websocket/alice", &[]).await.expect("an upgrade").ping().await;
    }
}

#[cfg(feature = "deflate")]
#[tokio::test]
async fn messages_are_compressed() {
    use keywire::Config;
    use keywire::limits::Compression;
    use support::{TEXT, masked};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let compression = Compression::deflate().threshold(200);
    let hub = builder().config(Config { compression, ..Config::default() }).build();
    let mut connection = Connection::open(Server::Auto.start(&hub).await).await;
    let offer = ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits");
    let answer = connection.connect("/websocket/alice", &[offer]).await;
    let granted = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(answer.headers["sec-websocket-extensions"], granted);
    let mut stream = TokioIo::new(answer.stream.expect("an open stream"));
    let ping = masked(TEXT, br#"{"flag":"kw:ping"}"#);
    stream.write_all(&ping).await.expect("an open stream");
    let pong = stream.read_u8().await.expect("a frame");
    let len = stream.read_u8().await.expect("a length");
    stream.read_exact(&mut vec![0; len.into()]).await.expect("a pong");
    assert_eq!(pong, 0x81);
    hub.send_to("alice", Push::message("long ".repeat(100))).await;
    assert_eq!(within("a frame", stream.read_u8()).await.expect("a frame"), 0xc1);
}

//! The axum adapter beyond what all adapters share (`opening.rs`, `refusals.rs`, `secrets.rs`): nests, parameters, fallbacks, the
//! client's address.
#![cfg(feature = "axum")]

mod support;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use keywire::adapter::Handshake;
use keywire::adapter::axum::{endpoint, websocket};
use keywire::auth::{RawKey, Rejection, extract_fn};
use keywire::limits::{Limits, TrustedProxies};
use keywire::{Config, Hub, Identity, Key, KeyExtractor as _, Push};
use serde_json::json;
use support::{Client, Raw, masked, opening};
use tokio::net::TcpListener;

fn hub() -> Hub {
    Hub::builder(RawKey::from_path().or(RawKey::from_query("token"))).build()
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("an address");
    (listener, addr)
}

/// Serves by axum's own server, without the addresses of clients.
async fn start(router: Router) -> SocketAddr {
    let (listener, addr) = listener().await;
    tokio::spawn(async move { axum::serve(listener, router).await });
    addr
}

async fn answer(addr: SocketAddr, method: &str, path: &str) -> support::Head {
    let mut raw = Raw::connect(addr).await;
    raw.write(opening(path, &[]).replacen("GET", method, 1).as_bytes()).await;
    raw.head().await
}

/// Opens `path`, which has to be a session of `key`, and closes it.
async fn opens(addr: SocketAddr, hub: &Hub, path: &str, key: &str) {
    let mut client = Client::connect(addr, path, &[]).await.unwrap_or_else(|error| panic!("{path}: {error}"));
    client.ping().await;
    hub.send_to(key, Push::message(path.to_owned())).await;
    assert_eq!(client.next().await["msg"], path, "{path} is a session of {key}");
    client.close(1000, "").await;
}

#[tokio::test]
async fn the_endpoint_may_be_nested_and_has_neighbours() {
    let hub = hub();
    let live = || websocket("/live", hub.clone()).route("/live/about", get(|| async { "about" }));
    let state: Router<&'static str> = Router::new()
        .merge(live())
        .nest("/api", live())
        .nest("/teams/{team}", Router::new().nest("/rooms/{room}", live()))
        .nest("/root", websocket("/", hub.clone()))
        .merge(websocket("/slash/", hub.clone()))
        .route("/hello", get(|State(name): State<&'static str>| async move { name }))
        .fallback(|| async { "fallback" });
    let addr = start(state.with_state("hello")).await;
    for prefix in ["/live", "/api/live", "/teams/red/rooms/7/live", "/root", "/slash"] {
        opens(addr, &hub, &format!("{prefix}/alice"), "alice").await;
        opens(addr, &hub, &format!("{prefix}/alice/"), "alice").await;
        opens(addr, &hub, &format!("{prefix}/al%2569ce?x=y"), "al%69ce").await;
        opens(addr, &hub, &format!("{prefix}/a%2Fb"), "a/b").await;
        opens(addr, &hub, &format!("{prefix}?token=zo%C3%AB"), "zoë").await;
        assert_eq!(answer(addr, "GET", prefix).await.status, 401, "{prefix}");
        assert_eq!(
            answer(addr, "GET", &format!("{prefix}/%FF")).await.json(),
            json!({ "error": "malformed" })
        );
        for elsewhere in ["/alice/more", "//alice", "/alice//"] {
            let path = format!("{prefix}{elsewhere}");
            assert_eq!(answer(addr, "GET", &path).await.body, "fallback", "{path}");
        }
    }
    assert_eq!(Raw::connect(addr).await.get("/api/live/about").await.body, "about");
    assert_eq!(Raw::connect(addr).await.get("/hello").await.body, "hello");
    opens(addr, &hub, "/live?token=about", "about").await;
}

#[tokio::test]
async fn the_parameter_named_key_is_the_key() {
    let hub = hub();
    let router = Router::new()
        .route("/teams/{team}/live/{key}", endpoint(hub.clone()))
        .route("/teams/{team}/live", endpoint(hub.clone()))
        .route("/{key}/first", endpoint(hub.clone()))
        .nest("/twice/{key}", websocket("/live", hub.clone()));
    let addr = start(router).await;
    opens(addr, &hub, "/teams/red/live/zo%C3%AB", "zoë").await;
    opens(addr, &hub, "/teams/red/live?token=alice", "alice").await;
    opens(addr, &hub, "/alice/first", "alice").await;
    // The nest's parameter, which no segment contradicts.
    opens(addr, &hub, "/twice/bob/live", "bob").await;
    for malformed in ["/twice/bob/live/alice", "/twice/bob/live/bob", "/teams/%FF/live/alice"] {
        let refused = answer(addr, "GET", malformed).await;
        assert_eq!((refused.status, refused.json()), (400, json!({ "error": "malformed" })), "{malformed}");
    }
    assert_eq!(answer(addr, "GET", "/teams/red/live/alice/more").await.status, 404);
    assert_eq!(answer(addr, "GET", "/teams/red/live").await.status, 401);
}

#[tokio::test]
async fn other_methods_are_told_the_right_one() {
    let addr = start(websocket("/websocket", hub())).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = answer(addr, method, "/websocket/alice").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")), "{method}");
        assert_eq!(answer.json(), json!({ "error": "the method of an opening must be GET" }));
    }
    // Without a body, so the test's client cannot read it by its length.
    let mut raw = Raw::connect(addr).await;
    let head = opening("/websocket/alice", &[("Connection", "close")]).replacen("GET", "HEAD", 1);
    raw.write(head.as_bytes()).await;
    let start = String::from_utf8(raw.bytes("HTTP/1.1 405".len()).await).expect("a status line");
    assert_eq!(start, "HTTP/1.1 405");
}

/// Extractors of an application may decide by the path.
#[tokio::test]
async fn an_extractor_sees_the_uri_of_the_client() {
    let keys = extract_fn(|handshake: Handshake| async move {
        let seen = format!("{} {:?}", handshake.uri(), handshake.query("x")?);
        Key::new(seen).map(Identity::new).map_err(|_| Rejection::Malformed)
    });
    let hub = Hub::builder(keys).build();
    let addr = start(Router::new().nest("/api", websocket("/live", hub.clone()))).await;
    opens(addr, &hub, "/api/live/alice?x=1", r#"/api/live/alice?x=1 Some("1")"#).await;
}

#[tokio::test]
async fn the_client_has_its_address_where_the_server_tells_it() {
    let limits = || Limits {
        proxies: TrustedProxies::x_forwarded_for(["127.0.0.1"]).expect("a network"),
        ..Limits::default()
    };
    let hub =
        Hub::builder(RawKey::from_path()).config(Config { limits: limits(), ..Config::default() }).build();
    let router = || Router::new().nest("/api", websocket("/live", hub.clone()));
    let mut addresses = vec![(start(router()).await, false)];
    let (listening, addr) = listener().await;
    let service = router().into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listening, service).await });
    addresses.push((addr, true));
    #[cfg(feature = "serve")]
    {
        let (listening, addr) = listener().await;
        tokio::spawn(keywire::serve(listening, router()).run());
        addresses.push((addr, true));
    }
    for (addr, is_told) in addresses {
        for (forwarded, client) in [(None, "127.0.0.2"), (Some("192.0.2.7"), "127.0.0.1")] {
            let headers: Vec<_> = forwarded.iter().map(|client| ("X-Forwarded-For", *client)).collect();
            let mut raw = Raw::connect_from(client, addr).await;
            raw.write(opening("/api/live/alice", &headers).as_bytes()).await;
            assert_eq!(raw.head().await.status, 101);
            raw.write(&masked(support::TEXT, br#"{"flag":"kw:ping"}"#)).await;
            raw.push().await;
            let session = hub.sessions("alice").await.pop().expect("a session");
            let expected = is_told.then_some(forwarded.unwrap_or(client));
            assert_eq!(session.peer().map(|peer| peer.ip().to_string()).as_deref(), expected, "{addr}");
            if forwarded.is_none() && is_told {
                assert_eq!(session.peer(), Some(raw.address()));
            }
            raw.write(&masked(support::CLOSE, &1000u16.to_be_bytes())).await;
            raw.gone().await;
            support::until("no session", async || match hub.sessions("alice").await.len() {
                0 => Ok(()),
                some => Err(format!("{some} sessions")),
            })
            .await;
        }
    }
}

/// The server's places are given back, which only the bare socket allows.
#[cfg(feature = "serve")]
#[tokio::test]
async fn sessions_leave_their_places_to_requests() {
    use keywire::serve::ServeConfig;

    let hub = hub();
    let (listening, addr) = listener().await;
    let router = websocket("/live", hub.clone()).route("/hello", get(|| async { "hello" }));
    let config = ServeConfig { connections: 2, ..ServeConfig::default() };
    tokio::spawn(keywire::serve(listening, router).config(config).run());
    let mut sessions = Vec::new();
    for key in ["alice", "bob", "carol"] {
        let mut client = Client::connect(addr, &format!("/live/{key}"), &[]).await.expect("an upgrade");
        client.ping().await;
        sessions.push(client);
    }
    assert_eq!(Raw::connect(addr).await.get("/hello").await.body, "hello");
}

/// A router without hyper below it has no upgrade. The client is told that it is the server's fault, and no session is left behind.
#[tokio::test]
async fn a_server_without_upgrades_is_the_servers_fault() {
    let hub = hub();
    let router = websocket("/live", hub.clone()).layer(axum::middleware::map_request(
        |mut request: axum::extract::Request| async {
            request.extensions_mut().remove::<hyper::upgrade::OnUpgrade>();
            request
        },
    ));
    let addr = start(router).await;
    assert_eq!(answer(addr, "GET", "/live/alice").await.status, 500);
    assert_eq!(answer(addr, "GET", "/live").await.status, 401);
    assert_eq!(hub.counts().await, keywire::store::Counts::default());
}

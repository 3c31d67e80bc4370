//! The place of an opening, from before it is decided about until its client has taken the 101 or has had its time.
#![cfg(all(feature = "warp", feature = "serve"))]

mod support;

use std::future::pending;
use std::time::Duration;

use keywire::adapter::Handshake;
use keywire::auth::{RawKey, extract_fn};
use keywire::limits::Limits;
use keywire::{Config, Hub, KeyExtractor as _, Session, Switch};
use support::{events, request, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

const V1: (&str, &str) = ("Sec-WebSocket-Protocol", "keywire.v1");

/// The opening of alice over HTTP, through a pipe that is narrower than the answer: the 101 has not left the server until
/// this end is read.
async fn narrow(hub: &Hub) -> DuplexStream {
    use tower_service::Service as _;
    let (near, mut far) = tokio::io::duplex(64);
    let routes = warp::service(keywire::adapter::warp::websocket("websocket", hub.clone()));
    let service = hyper::service::service_fn(move |request| routes.clone().call(request));
    let connection = hyper::server::conn::http1::Builder::new();
    let connection = connection.serve_connection(hyper_util::rt::TokioIo::new(near), service).with_upgrades();
    tokio::spawn(connection);
    let opening = support::opening("/websocket/alice", &[V1]);
    within("room to write", far.write_all(opening.as_bytes())).await.expect("an open pipe");
    far
}

/// The 101 waits behind what the client does not read, and reads at last.
#[tokio::test]
async fn who_does_not_read_gains_nothing() {
    let (extracted, mut extractions) = events();
    let (tell, mut opened) = events();
    let switch = Switch::new().opened(move |_: Session| {
        let _ = tell.send(());
        async { Ok(()) }
    });
    let keys = RawKey::from_path().map(move |identity| {
        let _ = extracted.send(());
        identity
    });
    let hub = Hub::builder(keys).handler(switch).build();
    let mut alice = narrow(&hub).await;
    extractions.next("the decision").await;
    hub.disconnect("alice").await;
    let mut answer = Vec::new();
    within("the end", alice.read_to_end(&mut answer)).await.expect("an end in order");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    assert_eq!(answer[end + 4..][2..4], 4505_u16.to_be_bytes());
    assert_eq!(opened.rest(), [(); 0]);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_loses_its_place() {
    let (extracted, mut extractions) = events();
    let keys = RawKey::from_path().map(move |identity| {
        let _ = extracted.send(());
        identity
    });
    let limits = Limits { sessions: 1, ..Limits::default() };
    let config = Config { limits, upgrade_timeout: Duration::from_secs(7), ..Config::default() };
    let hub = Hub::builder(keys).config(config).build();
    let _alice = narrow(&hub).await;
    extractions.next("the decision").await;
    let free = async || {
        let plain = Handshake::new(request(([127, 0, 0, 1], 1).into(), "/", &[]))
            .with_path_key(keywire::adapter::PathKey::decoded("bob"));
        hub.upgrade(plain).await.response.status() == 101
    };
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(!free().await);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(free().await);

    // A shutdown does not wait for it either.
    extractions.rest();
    let carol = narrow(&hub).await;
    extractions.next("the decision").await;
    let start = tokio::time::Instant::now();
    assert_eq!(hub.shutdown(Duration::from_secs(2)).await, 1);
    assert!(start.elapsed() <= Duration::from_secs(3), "{:?}", start.elapsed());
    drop(carol);
}

#[tokio::test(start_paused = true)]
async fn an_extractor_has_a_time_and_its_opening_a_place() {
    let (asked, mut told) = events();
    let keys = extract_fn(move |_: Handshake| {
        let _ = asked.send(());
        pending()
    });
    let limits = Limits { sessions: 1, ..Limits::default() };
    let config = Config { limits, handler_timeout: Duration::from_secs(5), ..Config::default() };
    let hub = Hub::builder(keys).config(config).build();
    let plain = || {
        let hub = hub.clone();
        async move {
            let request = request(([127, 0, 0, 1], 1).into(), "/", &[]);
            hub.upgrade(Handshake::new(request)).await.response
        }
    };
    let start = tokio::time::Instant::now();
    let first = tokio::spawn(plain());
    told.next("the extractor").await;
    // Another one has no place as long as this one has it, and the extractor is not even asked.
    let second = within("the refusal of the second", plain()).await;
    assert_eq!((second.status().as_u16(), told.rest().len()), (503, 0));
    let first = within("the end of the extractor", first).await.expect("no panic");
    assert_eq!((first.status().as_u16(), start.elapsed().as_secs()), (503, 5));
    assert_eq!(first.headers()["retry-after"], "5");
    // The place is free again.
    let third = tokio::spawn(plain());
    told.next("the extractor").await;
    third.abort();
    let _ = third.await;
    tokio::spawn(plain());
    told.next("the extractor, after one went away").await;
}

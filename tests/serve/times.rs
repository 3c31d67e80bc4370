//! Every time of the configuration may be for ever, or nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keywire::serve::ServeConfig;
use keywire::store::Counts;

use super::start;
use crate::support::within;

type Set = fn(&mut ServeConfig, Duration);

const TIMES: [(&str, Set); 5] = [
    ("head_timeout", |config, time| config.head_timeout = time),
    ("idle_timeout", |config, time| config.idle_timeout = time),
    ("stall_timeout", |config, time| config.stall_timeout = time),
    ("tcp_keepalive", |config, time| config.tcp_keepalive = Some(time)),
    ("grace", |config, time| config.grace = time),
];

fn config(set: Set, time: Duration) -> ServeConfig {
    let mut config = ServeConfig::default();
    set(&mut config, time);
    // Compiles only as long as all are listed.
    let ServeConfig {
        head_timeout: _,
        idle_timeout: _,
        stall_timeout: _,
        tcp_keepalive: _,
        grace: _,
        connections: _,
        connections_per_address: _,
        min_bytes_per_second: _,
        head_bytes: _,
        non_exhaustive: (),
    } = &config;
    config
}

const POST: &[u8] = b"POST /length HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n";

#[tokio::test]
async fn they_may_be_for_ever() {
    for (name, set) in TIMES {
        let mut server = start(config(set, Duration::MAX)).await;
        let mut alice = server.client("alice").await;
        let mut kept = server.kept().await;
        kept.write(POST).await;
        kept.write(b"hello").await;
        assert_eq!(kept.head().await.body, "5", "{name}");
        let mut waiting = server.waiting().await;
        alice.ping().await;
        server.stop.send(()).expect("a server");
        assert_eq!(alice.end().await.code, 1001, "{name}");
        server.answer.notify_one();
        assert_eq!(waiting.head().await.body, "at last", "{name}");
        assert_eq!(within(name, server.running).await.expect("no panic"), 0);
        assert_eq!(server.hub.counts().await, Counts::default());
    }
}

#[tokio::test]
async fn they_may_be_nothing() {
    // A connection's panic ends its task alone, and looks like an end.
    let panics = Arc::new(AtomicUsize::new(0));
    let former = std::panic::take_hook();
    let count = panics.clone();
    std::panic::set_hook(Box::new(move |info| {
        count.fetch_add(1, Ordering::SeqCst);
        former(info);
    }));
    for (name, set) in TIMES {
        let server = start(config(set, Duration::ZERO)).await;
        // Each may be answered or cut.
        if let Some(mut raw) = server.try_raw().await {
            let _ = raw.try_get("/hello").await;
        }
        if let Some(mut raw) = server.try_raw().await
            && raw.try_write(POST).await && raw.try_write(b"hello").await {
            let _ = raw.try_head().await;
        }
        server.stop.send(()).expect("a server");
        within(name, server.running).await.expect("no panic");
        assert_eq!(server.hub.counts().await, Counts::default());
    }
    assert_eq!(panics.load(Ordering::SeqCst), 0);
}

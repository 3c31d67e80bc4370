//! Limits on openings and sessions: their number, their rate, and the release of permits.
#![cfg(feature = "warp")]

mod addresses;
mod permits;
mod quotas;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use keywire::auth::RawKey;
use keywire::limits::{Limits, Rate};
use keywire::session::CloseCode;
use keywire::{Config, Hub, KeyExtractor, Reply, Session, Switch};
use serde_json::json;
use support::{Head, Raw, Server, opening, until};

pub(crate) const V1: (&str, &str) = ("Sec-WebSocket-Protocol", "keywire.v1");

pub(crate) fn hub(limits: Limits) -> Hub {
    asking(RawKey::from_path(), limits)
}

pub(crate) fn asking(keys: impl KeyExtractor, limits: Limits) -> Hub {
    let config = Config { limits, ..Config::default() };
    let handler = Switch::new()
        .on("panic", |_: Session, (): ()| async { panic!("a handler's bug") as keywire::HandlerResult })
        .on("close", |session: Session, (): ()| async move {
            session.close(CloseCode::NORMAL, "");
            Ok(Reply::none())
        });
    Hub::builder(keys).handler(handler).config(config).build()
}

/// One a day is enough for a test.
pub(crate) fn times(times: u32) -> Option<Rate> {
    Some(Rate::new(times, Duration::from_secs(86_400)))
}

/// The answer to an opening from this address; the connection stays open as long as it is held.
pub(crate) async fn open_from(
    server: &Server,
    address: &str,
    headers: &[(&'static str, &str)],
) -> (Head, Raw) {
    let mut raw = Raw::connect_from(address, server.addr).await;
    raw.write(opening("/websocket/alice", headers).as_bytes()).await;
    (raw.head().await, raw)
}

pub(crate) async fn refused(server: &Server, address: &str, status: u16, kind: &str) {
    let (head, _raw) = open_from(server, address, &[]).await;
    assert_eq!((head.status, head.json()), (status, json!({ "error": kind })));
    assert_eq!(head.header("retry-after"), Some("5"));
    let (head, mut raw) = open_from(server, address, &[V1]).await;
    assert_eq!(head.status, 101);
    let frame = raw.frame().await.expect("a close frame");
    assert_eq!((frame.close_code(), &frame.payload[2..]), (1013, kind.as_bytes()));
}

/// Opens until it is accepted.
pub(crate) async fn free_again(server: &Server) {
    until("a free permit", async || {
        let (head, _) = open_from(server, "127.0.0.1", &[]).await;
        if head.status == 101 { Ok(()) } else { Err(format!("{head:?}")) }
    })
    .await;
}

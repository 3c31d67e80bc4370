//! The other routes of an application ask the hub who sends a request.

use std::future::pending;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use http::request::Parts;
use keywire::adapter::{Handshake, PeerAddr};
use keywire::auth::{RawKey, Rejection, TicketKey, Tickets, extract_fn};
use keywire::limits::{Limits, TrustedProxies};
use keywire::{Config, Hub, Identity, Key, KeyExtractor};

fn parts(path: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = http::Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

fn hub(keys: impl KeyExtractor) -> Hub {
    Hub::builder(keys).build()
}

/// Who it is, or why nobody.
async fn identify(hub: &Hub, request: impl Into<Handshake>) -> Result<String, Rejection> {
    hub.identify(request).await.map(|identity| identity.key().to_string())
}

#[tokio::test]
async fn the_extractor_of_the_openings_decides() {
    let hub = hub(RawKey::from_path().or(RawKey::from_header("x-user")));
    assert_eq!(identify(&hub, &parts("/", &[("x-user", "alice")])).await, Ok("alice".into()));
    // What stands in the path of another route is no key.
    for path in ["/bob", "/bob/", "/bob/carol", "/", "//bob", "/%FF"] {
        assert_eq!(identify(&hub, &parts(path, &[])).await, Err(Rejection::Missing), "{path}");
    }
    let of_bob = parts("/orders/bob", &[]);
    assert_eq!(identify(&hub, Handshake::from_parts(&of_bob, "/orders")).await, Ok("bob".into()));
    assert_eq!(identify(&hub, &parts("/", &[("x-user", "a\u{202e}")])).await, Err(Rejection::Malformed));
}

#[tokio::test(start_paused = true)]
async fn an_extractor_that_fails_takes_nobody_with_it() {
    let config = Config { handler_timeout: Duration::from_secs(3), ..Config::default() };
    let slow = extract_fn(|_| pending::<Result<Identity, Rejection>>());
    let slow = Hub::builder(slow).config(config).build();
    let begin = tokio::time::Instant::now();
    assert_eq!(identify(&slow, &parts("/", &[])).await, Err(Rejection::Unavailable));
    assert_eq!(begin.elapsed().as_secs(), 3);

    let panics = hub(extract_fn(|handshake: Handshake| async move {
        panic!("a bug at {}", handshake.uri());
    }));
    assert_eq!(identify(&panics, &parts("/", &[])).await, Err(Rejection::Unavailable));
}

#[tokio::test]
async fn an_identity_that_has_ended_is_none() {
    let over = extract_fn(|_| async {
        let key = Key::new("alice").map_err(|_| Rejection::Invalid)?;
        Ok(Identity::new(key).expiring_at(SystemTime::UNIX_EPOCH))
    });
    assert_eq!(identify(&hub(over), &parts("/", &[])).await, Err(Rejection::Expired));
}

#[tokio::test]
async fn the_address_is_that_behind_the_trusted_proxies() {
    let by_address = extract_fn(|handshake: Handshake| async move {
        let peer = handshake.peer().ok_or(Rejection::Missing)?;
        Key::new(peer.ip().to_string()).map(Identity::new).map_err(|_| Rejection::Invalid)
    });
    let proxies = TrustedProxies::x_forwarded_for(["10.0.0.1"]).expect("an address");
    let limits = Limits { proxies, ..Limits::default() };
    let hub = Hub::builder(by_address).config(Config { limits, ..Config::default() }).build();
    let mut forwarded = parts("/", &[("x-forwarded-for", "192.0.2.7")]);
    assert_eq!(identify(&hub, &forwarded).await, Err(Rejection::Missing));
    forwarded.extensions.insert(PeerAddr(SocketAddr::from(([10, 0, 0, 1], 80))));
    assert_eq!(identify(&hub, &forwarded).await, Ok("192.0.2.7".into()));
    forwarded.extensions.insert(PeerAddr(SocketAddr::from(([10, 0, 0, 2], 80))));
    assert_eq!(identify(&hub, &forwarded).await, Ok("10.0.0.2".into()));
}

#[tokio::test]
async fn a_ticket_is_used_up() {
    let tickets = Tickets::new();
    let hub = hub(TicketKey::new(&tickets));
    let ticket = tickets.issue(Identity::new(Key::new("alice").expect("a key"))).await.expect("a ticket");
    let presented = parts(&format!("/?ticket={}", ticket.as_str()), &[]);
    assert_eq!(identify(&hub, &presented).await, Ok("alice".into()));
    assert_eq!(identify(&hub, &presented).await, Err(Rejection::Expired));
}

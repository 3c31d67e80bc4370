//! Tickets: what a backend hands out on a route of its own opens one connection.
#![cfg(feature = "warp")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use keywire::adapter::Handshake;
use keywire::auth::{
    CredentialSource, MemoryTickets, RawKey, Rejection, TicketError, TicketHash, TicketKey, TicketStore,
    Tickets,
};
use keywire::limits::SessionPolicy;
use keywire::{Config, Hub, Identity, Key, KeyExtractor, async_trait};
use serde_json::json;
use support::{Raw, Server, opening};

const V1: (&str, &str) = ("Sec-WebSocket-Protocol", "keywire.v1");

async fn server(keys: impl KeyExtractor) -> Server {
    Server::start(Hub::builder(keys).build()).await
}

async fn issue(tickets: &Tickets, key: &str) -> String {
    let identity = Identity::new(Key::new(key).expect("a key"));
    tickets.issue(identity).await.expect("a ticket").as_str().to_owned()
}

#[tokio::test]
async fn a_ticket_opens_one_connection() {
    let tickets = Tickets::new();
    let server = server(TicketKey::new(&tickets)).await;
    let path = format!("/websocket?ticket={}", issue(&tickets, "alice").await);
    let mut alice = server.open(&path).await;
    alice.ping().await;
    assert_eq!(server.hub.sessions("alice").await.len(), 1);

    // Who comes again fetches a new one, and is told so in a way that a browser can read.
    let refusal = server.refusal(&path, &[]).await;
    assert_eq!((refusal.status, refusal.json()), (401, json!({ "error": "expired" })));
    assert_eq!(server.open_with(&path, &[V1]).await.end().await.code, 4001);
    alice.ping().await;
    for (path, error, code) in [
        ("/websocket", "missing", 4501),
        ("/websocket?ticket=", "missing", 4501),
        ("/websocket?ticket=alice", "invalid", 4501),
        ("/websocket?ticket=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "expired", 4001),
    ] {
        assert_eq!(server.refusal(path, &[]).await.json(), json!({ "error": error }), "{path}");
        assert_eq!(server.open_with(path, &[V1]).await.end().await.code, code, "{path}");
    }
    let two = format!("/websocket?ticket={0}&ticket={0}", issue(&tickets, "alice").await);
    assert_eq!(server.refusal(&two, &[]).await.status, 400);
}

#[tokio::test]
async fn a_ticket_renews_an_open_session_once() {
    let tickets = Tickets::new();
    let server = server(TicketKey::new(&tickets)).await;
    let lasting = async |hours: u64| {
        let end = SystemTime::now() + Duration::from_secs(hours * 3600);
        let identity = Identity::new(Key::new("alice").expect("a key")).expiring_at(end);
        (end, tickets.issue(identity).await.expect("a ticket").as_str().to_owned())
    };
    let (first, ticket) = lasting(1).await;
    let mut alice = server.open(&format!("/websocket?ticket={ticket}")).await;
    alice.ping().await;
    let ends = async || server.hub.sessions("alice").await[0].identity().expires_at();
    assert_eq!(ends().await, Some(first));
    let (second, ticket) = lasting(2).await;
    let refresh = json!({ "flag": "kw:refresh", "body": ticket });
    assert_eq!(alice.ask(refresh.clone()).await["code"], "00");
    assert_eq!(ends().await, Some(second));
    assert_eq!(alice.ask(refresh).await, json!({ "code": "41", "msg": "expired" }));
    assert_eq!(ends().await, Some(second));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_at_the_same_moment_one_gets_in() {
    let tickets = Tickets::new();
    let server = server(TicketKey::new(&tickets)).await;
    for _ in 0..20 {
        let path = format!("/websocket?ticket={}", issue(&tickets, "alice").await);
        let open = async || {
            let mut raw = Raw::connect(server.addr).await;
            raw.write(opening(&path, &[]).as_bytes()).await;
            (raw.head().await.status, raw)
        };
        let ((one, _one), (other, _other)) = tokio::join!(open(), open());
        assert_eq!(one.min(other), 101);
        assert_eq!(one.max(other), 401);
    }
}

#[tokio::test]
async fn a_ticket_may_stand_elsewhere_and_next_to_other_credentials() {
    let tickets = Tickets::new();
    let anywhere =
        [CredentialSource::Path, CredentialSource::Subprotocol, CredentialSource::Query("t".into())];
    let anywhere_but_default = server(TicketKey::new(&tickets).sources(anywhere)).await;
    let ticket = issue(&tickets, "path").await;
    let both = format!("/websocket/{ticket}?t={ticket}");
    assert_eq!(anywhere_but_default.refusal(&both, &[]).await.status, 400);
    anywhere_but_default.open(&format!("/websocket/{ticket}")).await.ping().await;
    let default = format!("/websocket?ticket={}", issue(&tickets, "alice").await);
    assert_eq!(anywhere_but_default.refusal(&default, &[]).await.json(), json!({ "error": "missing" }));

    let first = server(TicketKey::new(&tickets).or(RawKey::from_path())).await;
    first.open("/websocket/bob").await.ping().await;
    assert_eq!(first.hub.sessions("bob").await.len(), 1);
    assert_eq!(first.refusal("/websocket/bob?ticket=wrong", &[]).await.status, 401, "a wrong one decides");
}

#[tokio::test]
async fn the_identity_of_a_ticket_is_that_of_the_session() {
    let tickets = Tickets::new();
    let server = server(TicketKey::new(&tickets)).await;
    let end = SystemTime::now() + Duration::from_secs(3600);
    let identity = Identity::new(Key::new("alice").expect("a key")).expiring_at(end).with("staff");
    let ticket = tickets.issue(identity).await.expect("a ticket");
    let mut alice = server.open(&format!("/websocket?ticket={}", ticket.as_str())).await;
    alice.ping().await;
    let identity = server.hub.sessions("alice").await[0].identity();
    assert_eq!((identity.expires_at(), identity.get::<&str>()), (Some(end), Some(&"staff")));
}

/// What several nodes share.
#[derive(Clone, Default)]
struct Shared {
    tickets: Arc<MemoryTickets>,
    taken: Arc<AtomicUsize>,
    broken: bool,
}

#[async_trait]
impl TicketStore for Shared {
    async fn put(
        &self,
        ticket: TicketHash,
        identity: Identity,
        lifetime: Duration,
    ) -> Result<(), TicketError> {
        self.tickets.put(ticket, identity, lifetime).await
    }

    async fn take(&self, ticket: TicketHash) -> Result<Option<Identity>, TicketError> {
        self.taken.fetch_add(1, Ordering::SeqCst);
        if self.broken {
            return Err(TicketError::Unavailable("no connection".into()));
        }
        self.tickets.take(ticket).await
    }
}

#[tokio::test]
async fn a_ticket_of_one_node_opens_a_connection_at_another_once() {
    let shared = Shared::default();
    let (here, there) = (Tickets::in_store(shared.clone()), Tickets::in_store(shared.clone()));
    let (first, second) = (server(TicketKey::new(&here)).await, server(TicketKey::new(&there)).await);
    let path = format!("/websocket?ticket={}", issue(&here, "alice").await);
    second.open(&path).await.ping().await;
    assert_eq!(first.refusal(&path, &[]).await.status, 401);
    assert_eq!(shared.taken.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_nobodys_fault() {
    let broken = Tickets::in_store(Shared { broken: true, ..Shared::default() });
    let server = server(TicketKey::new(&broken)).await;
    let path = format!("/websocket?ticket={}", issue(&broken, "alice").await);
    assert_eq!(server.refusal(&path, &[]).await.status, 503);
    assert_eq!(server.open_with(&path, &[V1]).await.end().await.code, 1013);
}

/// An opening that is refused for another reason leaves the ticket good.
#[tokio::test]
async fn a_ticket_is_used_up_last() {
    let tickets = Tickets::new();
    let config = Config { policy: SessionPolicy::Reject, ..Config::default() };
    let banned = |identity: Identity| async move {
        if identity.key().as_str() == "mallory" { Err(Rejection::Forbidden) } else { Ok(identity) }
    };
    let keys = TicketKey::new(&tickets).and_then(banned);
    let server = Server::start(Hub::builder(keys).config(config).build()).await;
    let path = async |key| format!("/websocket?ticket={}", issue(&tickets, key).await);

    let mut first = server.open(&path("alice").await).await;
    first.ping().await;
    let reading = tokio::spawn(async move { first.receive().await });
    let ticket = path("alice").await;
    for _ in 0..2 {
        assert_eq!(server.refusal(&ticket, &[]).await.json(), json!({ "error": "too_many" }));
        assert_eq!(server.open_with(&ticket, &[V1]).await.end().await.code, 4506);
    }
    server.hub.disconnect("alice").await;
    reading.await.expect("no panic");
    let mut second = server.open(&ticket).await;
    second.ping().await;
    assert_eq!(server.refusal(&ticket, &[]).await.status, 401, "used by now");

    let ticket = path("mallory").await;
    for _ in 0..2 {
        assert_eq!(server.refusal(&ticket, &[]).await.status, 403);
    }
    let ticket = ticket.rsplit_once('=').expect("a ticket").1;
    assert_eq!(tickets.take(ticket).await.expect("a good ticket").key().as_str(), "mallory");
}

/// Whoever asks the extractor without deciding about an opening has the ticket, and nobody else.
#[tokio::test]
async fn outside_of_an_opening_a_ticket_is_used_up_at_once() {
    let tickets = Tickets::new();
    let keys = TicketKey::new(&tickets);
    let ticket = issue(&tickets, "alice").await;
    let request = http::Request::get(format!("/?ticket={ticket}")).body(()).expect("a request");
    let handshake = Handshake::new(request);
    assert_eq!(keys.extract(&handshake).await.expect("an identity").key().as_str(), "alice");
    assert_eq!(keys.extract(&handshake).await.err(), Some(Rejection::Expired));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_four_at_the_same_moment_one_gets_in_whatever_the_policy() {
    for policy in [SessionPolicy::default(), SessionPolicy::Reject, SessionPolicy::Replace] {
        let tickets = Tickets::new();
        let config = Config { policy, ..Config::default() };
        let server = Server::start(Hub::builder(TicketKey::new(&tickets)).config(config).build()).await;
        for round in 0..20 {
            let path = format!("/websocket?ticket={}", issue(&tickets, &round.to_string()).await);
            let open = async || {
                let mut raw = Raw::connect(server.addr).await;
                raw.write(opening(&path, &[]).as_bytes()).await;
                (raw.head().await.status, raw)
            };
            let (a, b, c, d) = tokio::join!(open(), open(), open(), open());
            let mut statuses = [a.0, b.0, c.0, d.0];
            statuses.sort_unstable();
            assert_eq!(statuses[0], 101, "{policy:?}");
            assert!(
                statuses[1..].iter().all(|status| [401, 503].contains(status)),
                "{policy:?}: {statuses:?}"
            );
        }
    }
}

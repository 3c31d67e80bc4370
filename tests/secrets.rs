//! A credential is neither answered nor logged, wherever it stands.
#![cfg(all(any(feature = "axum", feature = "warp"), feature = "jwt"))]

mod support;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header};
use keywire::adapter::Handshake;
use keywire::auth::{CredentialSource, JwtKey, Rejection, TicketKey, Tickets, extract_fn};
use keywire::limits::{Limits, TrustedProxies};
use keywire::{Config, Envelope, Hub, Identity, Key, KeyExtractor as _, Push, Reply, Session, Switch};
use serde_json::json;
use support::{Adapter, Lines, Server, TEXT, masked, opening};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const SECRET: &str = "open-sesame";

/// Everything that is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let mut log = self.0.lock().expect("no panic while it is held");
        let _ = writeln!(log, "{}={value:?}", field.name());
    }
}

impl Subscriber for Log {
    /// What others log of a request counts as well: keywire chose them.
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn hub(decide: impl Fn() -> Result<Identity, Rejection> + Clone + Send + Sync + 'static) -> Hub {
    let fails = |_: Session, envelope: Envelope| async move {
        Err::<(), _>(keywire::handler::HandlerError::msg(format!("forged\nline {}", envelope.body.as_str())))
    };
    let keys = extract_fn(move |_: Handshake| {
        let decided = decide();
        async { decided }
    });
    Hub::builder(keys).handler(Switch::new().command(fails)).build()
}

/// Opens with the secret in each of the places where a credential may stand, and some where none should; what
/// comes back.
async fn answers(server: &Server, secret: &str) -> String {
    let bearer = format!("Bearer {secret}");
    let basic = format!("Basic {secret}");
    let cookie = format!("session={secret}");
    let protocol = format!("base64url.bearer.keywire.{secret}");
    let with_v1 = format!("keywire.v1, {protocol}");
    let encoded = format!("keywire.v1, base64url.bearer.keywire.{}", URL_SAFE_NO_PAD.encode(secret));
    let quoted = format!("for=\"{secret}\"");
    let mut answers = String::new();
    for (path, headers) in [
        (format!("/websocket/{secret}"), vec![]),
        (format!("/websocket/{secret}"), vec![("Sec-WebSocket-Protocol", "keywire.v1")]),
        (format!("/websocket/{secret}/more"), vec![]),
        (format!("/websocket?token={secret}"), vec![]),
        (format!("/websocket?ticket={secret}"), vec![]),
        (format!("/websocket/{secret}?ticket={secret}"), vec![]),
        ("/websocket".into(), vec![("Authorization", &*bearer)]),
        ("/websocket".into(), vec![("Authorization", &*basic)]),
        ("/websocket".into(), vec![("Cookie", &*cookie)]),
        ("/websocket".into(), vec![("X-Api-Key", secret)]),
        ("/websocket".into(), vec![("X-Forwarded-For", secret)]),
        ("/websocket".into(), vec![("Forwarded", &*quoted)]),
        ("/websocket".into(), vec![("Host", secret)]),
        ("/websocket".into(), vec![("Sec-WebSocket-Key", secret)]),
        ("/websocket".into(), vec![("Sec-WebSocket-Protocol", &*protocol)]),
        ("/websocket".into(), vec![("Sec-WebSocket-Protocol", &*with_v1)]),
        ("/websocket".into(), vec![("Sec-WebSocket-Protocol", &*encoded)]),
        ("/websocket".into(), vec![("Origin", &*bearer)]),
        ("/websocket".into(), vec![("Sec-WebSocket-Version", &*bearer)]),
    ] {
        let mut raw = server.raw().await;
        raw.write(opening(&path, &headers).as_bytes()).await;
        let head = raw.head().await;
        let _ = writeln!(answers, "{head:?}");
        if head.status == 101 {
            let refresh = json!({ "flag": "kw:refresh", "body": secret }).to_string();
            raw.write(&masked(TEXT, refresh.as_bytes())).await;
            // The answer, or the close frame of a refusal.
            let answer = raw.frame().await.expect("an answer");
            let _ = writeln!(answers, "{}", String::from_utf8_lossy(&answer.payload));
            raw.write(&masked(8, &1000u16.to_be_bytes())).await;
            while let Some(frame) = raw.frame().await {
                let _ = writeln!(answers, "{}", String::from_utf8_lossy(&frame.payload));
            }
        }
    }
    answers
}

#[tokio::test]
async fn a_credential_comes_back_to_nobody_and_stands_in_no_log() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let accept = || Key::new("alice").map(Identity::new).map_err(|_| Rejection::Malformed);
    let mut seen = String::new();
    for &adapter in Adapter::ALL {
        for hub in [
            hub(accept),
            hub(|| Err(Rejection::Missing)),
            hub(|| Err(Rejection::Invalid)),
            hub(|| panic!("{SECRET}")),
        ] {
            let server = Server::with(adapter, "websocket", hub).await;
            seen += &answers(&server, SECRET).await;
        }
    }
    let log = log.0.lock().unwrap();
    assert!(!seen.contains(SECRET), "{seen}");
    assert!(!log.contains(SECRET), "{log}");
    // Something was said and something was logged, so the above means something.
    assert!(seen.contains("status: 101") && seen.contains("invalid"), "{seen}");
    assert!(log.contains("message=opened") && log.contains("message=refused"), "{log}");
}

/// The extractors of the crate itself, with credentials that are good and that are not.
#[tokio::test]
async fn no_real_credential_comes_back_or_is_logged() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let hmac = b"the secret of the tests, longer than 32 bytes";
    let sources = [
        CredentialSource::Path,
        CredentialSource::Query("token".into()),
        CredentialSource::Bearer,
        CredentialSource::Cookie("session".into()),
        CredentialSource::Header("x-api-key".into()),
        CredentialSource::Subprotocol,
    ];
    let tickets = Tickets::new();
    let limits = Limits {
        proxies: TrustedProxies::forwarded(["127.0.0.1"]).expect("a network"),
        sessions_per_address: Some(3),
        ..Limits::default()
    };
    let config = Config { limits, ..Config::default() };
    let tokens = TicketKey::new(&tickets).or(JwtKey::hs256(hmac).sources(sources.clone()));
    let tickets_anywhere = TicketKey::new(&tickets).sources(sources);
    let hubs = [Hub::builder(tokens).config(config).build(), Hub::builder(tickets_anywhere).build()];
    let mut servers = Vec::new();
    for &adapter in Adapter::ALL {
        for hub in &hubs {
            servers.push(Server::with(adapter, "websocket", hub.clone()).await);
        }
    }

    let exp = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs() + 3600;
    let sign = |claims| {
        jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(hmac)).expect("a token")
    };
    let good = sign(json!({ "sub": "alice", "exp": exp }));
    let expired = sign(json!({ "sub": "alice", "exp": 1 }));
    let wrong = sign(json!({ "sub": "", "exp": exp }));
    let bent = format!("{}AAAA", &good[..good.len() - 4]);
    let (mut secrets, mut seen) = (vec![good, expired, wrong, bent], String::new());
    for _ in 0..2 {
        let key = Key::new("alice").expect("a key");
        secrets.push(tickets.issue(Identity::new(key)).await.expect("a ticket").as_str().to_owned());
    }
    for secret in &secrets {
        for server in &servers {
            seen += &answers(server, secret).await;
        }
    }

    let log = log.0.lock().unwrap();
    for secret in &secrets {
        // Neither as it is nor as it stands among the subprotocols, and no part of a token either.
        let encoded = URL_SAFE_NO_PAD.encode(secret);
        for part in secret.split('.').chain([&*encoded]) {
            assert!(!seen.contains(part), "{part} in {seen}");
            assert!(!log.contains(part), "{part} in {log}");
        }
    }
    for said in ["status: 101", "refreshed", "\"{\\\"error\\\":\\\"invalid", "expired", "malformed"] {
        assert!(seen.contains(said), "{said} is not in {seen}");
    }
    assert!(log.contains("message=opened") && log.contains("message=refused"), "{log}");
}

/// What a handler logs says by itself whose doing it is, and so does what keywire logs.
#[tokio::test]
async fn handlers_work_within_a_span() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(lines.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (tell, mut ids) = support::events();
    let handler = Switch::new()
        .opened(|_: Session| async {
            tracing::info!("in opened");
            Ok(())
        })
        .command(|_: Session, _: Envelope| async {
            tokio::task::yield_now().await;
            tracing::info!("in command");
            Ok(Reply::none())
        })
        .closed(move |session: Session, _| {
            let tell = tell.clone();
            async move {
                tracing::info!("in closed");
                let _ = tell.send(session.id());
            }
        });
    let keys = extract_fn(|_: Handshake| async {
        tracing::info!("in extract");
        Key::new("alice").map(Identity::new).map_err(|_| Rejection::Malformed)
    });
    let server = Server::start(Hub::builder(keys).handler(handler).build()).await;
    let mut client = server.open("/websocket").await;
    client.send(json!({ "flag": "command" })).await;
    client.ping().await;
    client.close(1000, "").await;
    let id = ids.next("the session's end").await;

    let lines = lines.text();
    for said in ["in opened", "in command", "in closed", "opened", "closed"] {
        let line =
            lines.lines().find(|line| line.ends_with(said) || line.contains(&format!(": {said} code=")));
        let line = line.unwrap_or_else(|| panic!("{said} is not in {lines}"));
        assert!(line.contains(&format!("session{{id={id} key=alice peer=127.0.0.1:")), "{line}");
    }
    let line = lines.lines().find(|line| line.ends_with("in extract")).expect("a line");
    assert!(line.contains("opening{peer=127.0.0.1:"), "{line}");
}

#[tokio::test]
async fn what_a_client_wrote_is_logged_escaped_and_cut() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let accept = || Key::new("alice").map(Identity::new).map_err(|_| Rejection::Malformed);
    let server = Server::start(hub(accept)).await;
    let mut alice = server.raw_session("alice").await;
    let message = format!(r#"{{"flag":"command","body":"{}"}}"#, "long ".repeat(1_000));
    alice.write(&masked(1, message.as_bytes())).await;
    assert_eq!(alice.push().await["code"], "50");
    server.hub.send_to("alice", Push::message(SECRET)).await;
    alice.frame().await;

    let log = log.0.lock().unwrap();
    assert!(log.contains("forged") && !log.contains("forged\nline"), "{log}");
    assert!(log.len() < 2_000, "{log}");
    assert!(!log.contains(SECRET), "what is sent is nobody's business: {log}");
}

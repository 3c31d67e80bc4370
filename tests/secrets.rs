//! A credential is neither answered nor logged, wherever it stands.
#![cfg(feature = "warp")]

mod support;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use keywire::{Envelope, Handshake, Hub, Identity, Key, Push, Rejection, Session, Switch, extract_fn};
use support::{Server, masked, opening};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const SECRET: &str = "open-sesame";

/// Everything that keywire logs, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let mut log = self.0.lock().expect("no panic while it is held");
        let _ = writeln!(log, "{}={value:?}", field.name());
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("keywire")
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
        Err::<(), _>(keywire::HandlerError::msg(format!("forged\nline {}", envelope.body.as_str())))
    };
    let keys = extract_fn(move |_: Handshake| {
        let decided = decide();
        async { decided }
    });
    Hub::builder().keys(keys).handler(Switch::new().command(fails)).build()
}

/// Opens with the secret in each of the places where a credential may stand; what comes back.
async fn answers(server: &Server) -> String {
    let bearer = format!("Bearer {SECRET}");
    let cookie = format!("session={SECRET}");
    let protocol = format!("base64url.bearer.keywire.{SECRET}");
    let with_v1 = format!("keywire.v1, {protocol}");
    let mut answers = String::new();
    for (path, headers) in [
        (format!("/websocket/{SECRET}"), vec![]),
        (format!("/websocket/{SECRET}/more"), vec![]),
        (format!("/websocket?token={SECRET}"), vec![]),
        ("/websocket".into(), vec![("Authorization", &*bearer)]),
        ("/websocket".into(), vec![("Cookie", &*cookie)]),
        ("/websocket".into(), vec![("Sec-WebSocket-Protocol", &*protocol)]),
        ("/websocket".into(), vec![("Sec-WebSocket-Protocol", &*with_v1)]),
        ("/websocket".into(), vec![("Origin", &*bearer)]),
        ("/websocket".into(), vec![("Sec-WebSocket-Version", &*bearer)]),
    ] {
        let mut raw = server.raw().await;
        raw.write(opening(&path, &headers).as_bytes()).await;
        let head = raw.head().await;
        let _ = writeln!(answers, "{head:?}");
        if head.status == 101 {
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
    for server in [
        Server::start(hub(accept)).await,
        Server::start(hub(|| Err(Rejection::Missing))).await,
        Server::start(hub(|| Err(Rejection::Invalid))).await,
        Server::start(hub(|| panic!("{SECRET}"))).await,
    ] {
        seen += &answers(&server).await;
    }
    let log = log.0.lock().unwrap();
    assert!(!seen.contains(SECRET), "{seen}");
    assert!(!log.contains(SECRET), "{log}");
    // Something was said and something was logged, so the above means something.
    assert!(seen.contains("status: 101") && seen.contains("invalid"), "{seen}");
    assert!(log.contains("message=opened") && log.contains("message=refused"), "{log}");
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

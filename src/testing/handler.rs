//! Checks for a [`MessageHandler`]: what no client may do to it, and what a decorator of one must not forget.
//!
//! ```
//! use keywire::testing::handler;
//! use keywire::{HandlerResult, Reply, Session, Switch};
//!
//! async fn double(_: Session, number: u32) -> HandlerResult {
//!     Ok(Reply::data(2 * u64::from(number)))
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! handler::all(Switch::new().command(double)).await;
//! handler::a_decorator_forwards(|inner| Switch::new().before(|_, envelope| async { Ok(envelope) }).fallback(inner)).await;
//! # }
//! ```

mod recorder;

use std::sync::Arc;
use std::time::Duration;

use self::recorder::Watched;
pub use self::recorder::{Recorder, a_decorator_forwards};
use super::Tab;
use crate::auth::RawKey;
use crate::handler::MessageHandler;
use crate::hub::Hub;
use crate::limits::Config;
use crate::websocket::CloseCode;

/// Runs all checks that every handler must pass which does not take raw messages by its [`text`](MessageHandler::text) hook. A paused
/// clock (`#[tokio::test(start_paused = true)]`) makes a handler that hangs fail at once.
///
/// # Panics
///
/// If the handler does not pass.
pub async fn all(handler: impl MessageHandler) {
    let handler: Arc<dyn MessageHandler> = Arc::new(handler);
    each_session_ends_once(&handler).await;
    odd_messages_are_survived(&handler).await;
    odd_bytes_are_survived(&handler).await;
    an_unknown_flag_is_answered(&handler).await;
}

/// No message makes the handler panic, which would end the session with 1011, or hang. The next message is handled.
pub async fn odd_messages_are_survived(handler: &Arc<dyn MessageHandler>) {
    let (hub, watched) = watch(handler);
    let long = format!("\"{}\"", "x".repeat(60_000));
    let deep = format!("{}{}", "[".repeat(60), "]".repeat(60));
    let bodies = [
        "null",
        "true",
        "0",
        "-1",
        "255",
        "256",
        "1.5",
        "-0.0",
        "9007199254740993",
        "18446744073709551616",
        "1e308",
        "1e999",
        "\"\"",
        "\" \"",
        "\"alice\"",
        "\"\\u0000\"",
        "\"\\u202e\"",
        "\"\u{1f600}\"",
        "[]",
        "[null]",
        "[1,\"2\",{}]",
        "{}",
        "{\"\":null}",
        "{\"a\":1,\"a\":2}",
        "{\"name\":null,\"id\":[]}",
        &long,
        &deep,
    ];
    for flag in ["command", "inform", "", " ", "open", "COMMAND", "a/b", "\\u0000", "\\u202e", "\u{1f600}"] {
        for body in bodies {
            for more in ["", r#","reception":"alice","id":1"#, r#","reception":"nobody","id":"x""#] {
                let text = format!(r#"{{"flag":"{flag}","body":{body}{more}}}"#);
                survive(&hub, &watched, &text, |tab| tab.send_text(&text)).await;
            }
        }
    }
}

/// Nor do texts that are no envelopes, nor binary frames.
pub async fn odd_bytes_are_survived(handler: &Arc<dyn MessageHandler>) {
    let (hub, watched) = watch(handler);
    for text in
        ["", " ", "{", "{}", "[]", "null", "\"\"", "\0", "{\"flag\":1}", "{\"flag\":\"command\",\"id\":{}}"]
    {
        survive(&hub, &watched, text, |tab| tab.send_text(text)).await;
    }
    for bytes in [&b""[..], b"\0", b"\xff\xfe", b"{}", &[7; 60_000]] {
        let what = format!("{} bytes", bytes.len());
        survive(&hub, &watched, &what, |tab| tab.send_binary(bytes)).await;
    }
}

/// A message with a flag that no handler knows gets a reply, so that a page which waits for one learns of its mistake.
pub async fn an_unknown_flag_is_answered(handler: &Arc<dyn MessageHandler>) {
    let (hub, _) = watch(handler);
    let mut alice = alice(&hub).await;
    let reply = alice.request("a flag that no handler knows", ()).await;
    assert_ne!(reply.code.as_str(), "50", "an unknown flag is a failure of the handler: {reply:?}");
}

/// However a session ends, `closed` is called once, and returns.
pub async fn each_session_ends_once(handler: &Arc<dyn MessageHandler>) {
    for end in ["closed by the client", "broken off", "closed by the server"] {
        let (hub, watched) = watch(handler);
        let mut alice = alice(&hub).await;
        match end {
            "closed by the client" => _ = alice.close().await,
            "broken off" => alice.break_off().await,
            _ => {
                hub.disconnect("alice").await;
                alice.closed().await;
            }
        }
        assert_eq!(
            watched.ends(),
            (1, 1),
            "`closed` was called and has returned, of a session that was {end}"
        );
    }
}

/// A hub of this handler, for which nothing is too much.
fn watch(handler: &Arc<dyn MessageHandler>) -> (Hub, Watched) {
    let watched = Watched::new(handler.clone());
    let config = Config { message_rate: None, handler_timeout: PATIENCE, ..Config::default() };
    let hub = Hub::builder(RawKey::from_path()).config(config).handler(watched.clone()).build();
    (hub, watched)
}

/// Less than a [`Tab`] waits.
const PATIENCE: Duration = Duration::from_secs(30);

async fn alice(hub: &Hub) -> Tab {
    let mut alice = match Tab::connect(hub, Tab::builder().path_key("alice")).await {
        Ok(alice) => alice,
        Err(refused) => panic!("a session of the handler did not begin: {refused}"),
    };
    alice.settle().await;
    if let Some(closed) = alice.ended_with() {
        panic!("`opened` ended a session with {} {:?}", closed.code, closed.reason);
    }
    alice
}

async fn survive(hub: &Hub, watched: &Watched, what: &str, send: impl FnOnce(&mut Tab)) {
    let what: String = what.chars().take(200).collect();
    let mut alice = alice(hub).await;
    send(&mut alice);
    alice.settle().await;
    // The application may end a session for what a client sends.
    if let Some(closed) = alice.ended_with() {
        assert_ne!(closed.code, CloseCode::INTERNAL, "the handler panicked at {what}");
    }
    assert_eq!(watched.timeouts(), 0, "the handler did not return within 30 s after {what}");
}

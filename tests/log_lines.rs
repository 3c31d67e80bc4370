//! Each line that is logged in the life of a session says whose it is, once, whatever level is listened to.
#![cfg(feature = "warp")]

mod support;

use keywire::adapter::Handshake;
use keywire::auth::{Rejection, extract_fn};
use keywire::{Envelope, Hub, Identity, Key, Reply, Session, Switch};
use serde_json::json;
use support::{Lines, Server, events};
use tracing::Level;

/// Whatever can be logged of a session: its beginning, calls that fail in each way, a hook that does, its end.
async fn life(level: Level) -> (String, Vec<String>) {
    let lines = Lines::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(lines.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let (tell, mut ends) = events();
    let handler = Switch::new()
        .command(|_: Session, _: Envelope| async {
            tokio::task::yield_now().await;
            Err::<Reply, _>("out of order".into())
        })
        .inform(|_: Session, _: Envelope| async {
            tracing::error!("said by the application");
            Ok(())
        })
        .closed(move |session: keywire::Session, _| {
            let tell = tell.clone();
            async move {
                let _ = tell.send(session.id().to_string());
                panic!("at the end");
            }
        });
    let keys = extract_fn(|_: Handshake| async {
        Key::new("al ice").map(Identity::new).map_err(|_| Rejection::Malformed)
    });
    let server = Server::start(Hub::builder(keys).handler(handler).build()).await;
    let mut client = server.open("/websocket").await;
    assert_eq!(client.ask(json!({ "flag": "command" })).await["code"], "50");
    client.send(json!({ "flag": "inform" })).await;
    client.ping().await;
    client.close(1000, "").await;
    let id = ends.next("the session's end").await;
    support::until("the last line", async || {
        let lines = lines.text();
        if lines.contains("a handler's hook failed") { Ok(()) } else { Err(lines) }
    })
    .await;
    let lines = lines.text();
    (id, lines.lines().map(str::to_owned).collect())
}

/// The lines with these words, each of which says once whose it is.
fn assert_named(id: &str, lines: &[String], said: &[&str]) {
    for words in said {
        let line = lines.iter().find(|line| line.contains(words));
        let line = line.unwrap_or_else(|| panic!("{words} is not in {lines:#?}"));
        for part in [id, r#"key="al ice""#, "peer=127.0.0.1:"] {
            assert_eq!(line.matches(part).count(), 1, "{part} in {line}");
        }
        assert!(!line.contains("session="), "{line}");
    }
}

#[tokio::test]
async fn where_the_spans_are_heard() {
    let (id, lines) = life(Level::DEBUG).await;
    let said = [
        "opened",
        "handler failed",
        "said by the application",
        "closed code=1000",
        "a handler's hook failed",
    ];
    assert_named(&id, &lines, &said);
    // And nothing else is said of it.
    let of_session = |line: &&String| line.contains("keywire::") && !line.contains("keywire::upgrade");
    let number = lines.iter().filter(of_session).filter(|line| !line.contains("keywire::serve")).count();
    assert_eq!(number, said.len() - 1, "{lines:#?}");
}

#[tokio::test]
async fn where_only_errors_are_heard() {
    let (id, lines) = life(Level::ERROR).await;
    assert_named(&id, &lines, &["handler failed", "a handler's hook failed"]);
    assert_eq!(lines.len(), 3, "{lines:#?}");
}

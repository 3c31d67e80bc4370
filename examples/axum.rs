//! An axum server whose users write to each other.
//!
//! Run with `cargo run --example axum --features axum`, open <http://127.0.0.1:8090/?alice> in one tab and
//! <http://127.0.0.1:8090/?bob> in another.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Html;
use axum::routing::{get, post};
use keywire::adapter::BROWSER_CLIENT;
use keywire::adapter::axum::websocket;
use keywire::auth::RawKey;
use keywire::{Envelope, HandlerResult, Hub, Push, Reply, Session, Switch};

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<form><input name="to" placeholder="To" value="bob"> <input name="text" placeholder="Text"> <button>Send</button></form>
<ol></ol>
<script type="module">
  import { Keywire } from '/keywire.js';

  const wire = new Keywire('/websocket', { key: location.search.slice(1) || 'alice' }).connect();
  wire.on('*', ({ sender, msg, data }) => {
    const line = document.createElement('li');
    line.textContent = `${sender ?? 'backend'}: ${msg || data}`;
    document.querySelector('ol').prepend(line);
  });
  document.forms[0].onsubmit = (event) => {
    event.preventDefault();
    const { to, text } = event.target.elements;
    wire.inform(to.value, text.value);
  };
</script>"#;

/// Handles an `inform`: passes the body on to the user in `reception`.
async fn relay(session: Session, envelope: Envelope) -> HandlerResult {
    let push = Push::data(&envelope.body).with_flag("inform").with_sender(&envelope.sender);
    let Some(to) = envelope.reception else { return Ok(Reply::none()) };
    session.hub().send_to(to, push).await;
    Ok(Reply::none())
}

/// A route of the backend that pushes: `curl -X POST http://127.0.0.1:8090/notify/alice`.
async fn notify(State(hub): State<Hub>, Path(key): Path<String>) -> String {
    let delivery = hub.send_to(key, Push::message("your build is green")).await;
    format!("{} sessions\n", delivery.delivered)
}

pub(crate) fn router(hub: Hub) -> Router {
    Router::new()
        .route("/", get(Html(PAGE)))
        .route("/keywire.js", get(([("content-type", "text/javascript")], BROWSER_CLIENT)))
        .route("/notify/{key}", post(notify))
        .merge(websocket("/websocket", hub.clone()))
        .with_state(hub)
}

pub(crate) fn hub() -> Hub {
    Hub::builder(RawKey::from_path()).handler(Switch::new().inform(relay)).build()
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let hub = hub();
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8090".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/?alice", listener.local_addr()?);
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    keywire::serve(listener, router(hub.clone())).graceful(&hub, stop).run().await;
    Ok(())
}

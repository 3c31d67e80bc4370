//! The server of the README, with its page.
//!
//! Run with `cargo run --example hello`, open <http://127.0.0.1:8090/?alice> in one tab and
//! <http://127.0.0.1:8090/?bob> in another.

use std::time::Duration;

use keywire::adapter::BROWSER_CLIENT;
use keywire::auth::RawKey;
use keywire::message::Code;
use keywire::{Envelope, HandlerResult, Hub, Push, Reply, Session, Switch};
use warp::Filter;

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
    let to = envelope.reception.ok_or(Reply::error(Code::MALFORMED, "reception missing"))?;
    let push = Push::data(&envelope.body).with_flag("inform").with_sender(&envelope.sender);
    let delivery = session.hub().send_to(to, push).await;
    Ok(if delivery.is_absent() { Reply::error(Code::ABSENT, "not connected") } else { Reply::ok("sent") })
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let hub = Hub::builder(RawKey::from_path()).handler(Switch::new().inform(relay)).build();

    let push = hub.clone(); // cheap: keep one wherever you send
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            push.send_to("alice", Push::message("your build is green")).await;
        }
    });

    let page = warp::path::end().map(|| warp::reply::html(PAGE));
    let client = warp::path!("keywire.js")
        .map(|| warp::reply::with_header(BROWSER_CLIENT, "content-type", "text/javascript"));
    let routes = keywire::adapter::warp::websocket("websocket", hub.clone()).or(page).or(client);

    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8090".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/?alice", listener.local_addr()?);
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    keywire::serve(listener, warp::service(routes)).graceful(&hub, stop).run().await;
    Ok(())
}

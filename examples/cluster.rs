//! Two nodes of a cluster, in one process: a push on one reaches the pages of the other.
//!
//! Run with `cargo run --example cluster`, open both addresses that it prints, and write from one to the other.
//!
//! In production each node is a process, and `MemoryBackplane` is `Redis::connect("redis://…")` or `Nats::connect("nats://…")`.

use keywire::adapter::BROWSER_CLIENT;
use keywire::auth::RawKey;
use keywire::cluster::MemoryBackplane;
use keywire::cluster::presence::MemoryPresence;
use keywire::message::Code;
use keywire::{Envelope, HandlerResult, Hub, Push, Reply, Session, Switch};
use warp::Filter;

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<form>To <input name="to" value="bob"> <input name="text" placeholder="Text"> <button>Send</button></form>
<ol></ol>
<script type="module">
  import { Keywire } from '/keywire.js';

  const wire = new Keywire('/websocket', { key: location.search.slice(1) || 'alice' }).connect();
  wire.on('*', ({ sender, msg, data }) => {
    const line = document.createElement('li');
    line.textContent = `${sender ?? 'server'}: ${msg || data}`;
    document.querySelector('ol').prepend(line);
  });
  document.forms[0].onsubmit = (event) => {
    event.preventDefault();
    const { to, text } = event.target.elements;
    wire.inform(to.value, text.value);
  };
</script>"#;

async fn relay(session: Session, envelope: Envelope) -> HandlerResult {
    let to = envelope.reception.ok_or(Reply::error(Code::MALFORMED, "to whom?"))?;
    let hub = session.hub();
    if !hub.online(&to).await? {
        return Ok(Reply::error(Code::ABSENT, format!("{to} is on no node")));
    }
    hub.send_to(to, Push::data(&envelope.body).with_sender(session.key())).await;
    Ok(Reply::none())
}

/// Serves a node until it ends.
async fn node(hub: Hub, address: &str, user: &str) -> std::io::Result<()> {
    let routes = keywire::adapter::warp::websocket("websocket", hub.clone())
        .or(warp::path::end().map(|| warp::reply::html(PAGE)))
        .or(warp::path!("keywire.js")
            .map(|| warp::reply::with_header(BROWSER_CLIENT, "content-type", "text/javascript")));
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/?{user}", listener.local_addr()?);
    keywire::serve(listener, warp::service(routes)).run().await;
    Ok(())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let (backplane, presence) = (MemoryBackplane::new(), MemoryPresence::new());
    let hub = || {
        let keys = RawKey::from_path();
        let hub = Hub::builder(keys).cluster(backplane.join()).presence(presence.clone());
        hub.handler(Switch::new().inform(relay)).build()
    };
    let address = std::env::args().nth(1);
    let (first, second) = match &address {
        Some(address) => (&**address, &**address), // with port 0: two free ports
        None => ("127.0.0.1:8091", "127.0.0.1:8092"),
    };
    tokio::try_join!(node(hub(), first, "alice"), node(hub(), second, "bob"))?;
    Ok(())
}

//! Chat rooms: sessions join groups.
//!
//! Run with `cargo run --example chat`, open <http://127.0.0.1:8090/?alice> and <http://127.0.0.1:8090/?bob>, and write.

use keywire::adapter::BROWSER_CLIENT;
use keywire::auth::RawKey;
use keywire::message::Code;
use keywire::session::{Closed, Group};
use keywire::{HandlerResult, Hub, Push, Reply, Session, Switch};
use warp::Filter;

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<form><input name="text" placeholder="Text"> <button>Send</button></form>
<ol></ol>
<script type="module">
  import { Keywire } from '/keywire.js';

  const wire = new Keywire('/websocket', { key: location.search.slice(1) || 'alice' }).connect();
  // A membership belongs to a connection, so each connection enters.
  wire.addEventListener('open', () => wire.send({ flag: 'enter', body: 'lobby' }));
  wire.on('*', ({ group, sender, msg }) => {
    if (!group) return;
    const line = document.createElement('li');
    line.textContent = `${group}, ${sender}: ${msg}`;
    document.querySelector('ol').prepend(line);
  });
  document.forms[0].onsubmit = (event) => {
    event.preventDefault();
    wire.send({ flag: 'say', body: ['lobby', event.target.elements.text.value] });
  };
</script>"#;

/// Any session may enter any room. A real server checks here who may.
async fn enter(session: Session, room: Group) -> HandlerResult {
    session.join(&room).await?;
    session.hub().send_to_group(&room, Push::message("is here").with_sender(session.key())).await;
    Ok(Reply::none())
}

async fn say(session: Session, (room, text): (Group, String)) -> HandlerResult {
    if !session.is_in(&room) {
        return Ok(Reply::error(Code::FORBIDDEN, "enter the room first"));
    }
    session.hub().send_to_group(&room, Push::message(text).with_sender(session.key())).await;
    Ok(Reply::none())
}

async fn left(session: Session, _: Closed) {
    for room in session.groups() {
        session.hub().send_to_group(room, Push::message("is gone").with_sender(session.key())).await;
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let switch = Switch::new().on("enter", enter).on("say", say).closed(left);
    let hub = Hub::builder(RawKey::from_path()).handler(switch).build();

    let routes = keywire::adapter::warp::websocket("websocket", hub.clone())
        .or(warp::path::end().map(|| warp::reply::html(PAGE)))
        .or(warp::path!("keywire.js")
            .map(|| warp::reply::with_header(BROWSER_CLIENT, "content-type", "text/javascript")));

    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8090".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/?alice", listener.local_addr()?);
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    keywire::serve(listener, warp::service(routes)).graceful(&hub, stop).run().await;
    Ok(())
}

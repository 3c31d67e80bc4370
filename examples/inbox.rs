//! An inbox: pushes wait for a user who is offline.
//!
//! Run with `cargo run --example inbox`, send to alice while she has no page, and then open <http://127.0.0.1:8090/?alice>:
//!
//! ```sh
//! curl --data 'your order has left' http://127.0.0.1:8090/send/alice
//! ```
//!
//! `MemoryLog` ends with the process. `SqliteLog`, with the feature `sqlite`, does not.

use keywire::Hub;
use keywire::Push;
use keywire::adapter::BROWSER_CLIENT;
use keywire::auth::RawKey;
use keywire::log::MemoryLog;
use warp::Filter;
use warp::hyper::body::Bytes;

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<button>I have read all</button>
<ol></ol>
<script type="module">
  import { Keywire } from '/keywire.js';

  // `unread`: begins after the last push that this user has seen, on any device.
  const wire = new Keywire('/websocket', { key: location.search.slice(1) || 'alice', follow: 'unread' });
  wire.on('mail', ({ msg, time }) => {
    const line = document.createElement('li');
    line.textContent = `${new Date(time).toLocaleTimeString()}: ${msg}`;
    document.querySelector('ol').prepend(line);
  });
  wire.addEventListener('gap', () => location.reload());
  document.querySelector('button').onclick = () => {
    wire.seen();
    document.querySelector('ol').replaceChildren();
  };
  wire.connect();
</script>"#;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let hub = Hub::builder(RawKey::from_path()).log(MemoryLog::new()).build();

    let sender = hub.clone();
    let send = warp::post().and(warp::path!("send" / String)).and(warp::body::bytes()).then(
        move |user: String, text: Bytes| {
            let hub = sender.clone();
            async move {
                let push = Push::message(String::from_utf8_lossy(&text).into_owned()).with_flag("mail");
                let delivery = hub.send_to(user, push.kept()).await;
                format!("{:?}, {} tabs have it now\n", delivery.kept, delivery.delivered)
            }
        },
    );
    let routes = keywire::adapter::warp::websocket("websocket", hub.clone())
        .or(send)
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

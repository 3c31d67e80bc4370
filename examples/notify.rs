//! Notifications from an HTTP route: what happens in one request shows on the pages of another user.
//!
//! Run with `cargo run --example notify`, open <http://127.0.0.1:8090/?alice>, and then:
//!
//! ```sh
//! curl --request POST http://127.0.0.1:8090/orders/17/paid/alice
//! ```

use keywire::Hub;
use keywire::Push;
use keywire::adapter::BROWSER_CLIENT;
use keywire::auth::RawKey;
use serde::Serialize;
use warp::Filter;

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<ol></ol>
<script type="module">
  import { Keywire } from '/keywire.js';

  const wire = new Keywire('/websocket', { key: location.search.slice(1) || 'alice' }).connect();
  wire.on('order', ({ msg, data }) => {
    const line = document.createElement('li');
    line.textContent = `${msg} (${data.number}: ${data.state})`;
    document.querySelector('ol').prepend(line);
  });
</script>"#;

/// What the page gets as `data`.
#[derive(Serialize)]
struct Order {
    number: u64,
    state: &'static str,
}

/// The part of an application that knows nothing of sockets: it has a hub, and sends.
async fn paid(hub: Hub, number: u64, user: String) -> String {
    let order = Order { number, state: "paid" };
    let push = Push::message("Your order is paid").with_data(order).with_flag("order");
    let delivery = hub.send_to(user, push).await;
    match delivery.is_absent() {
        true => "the user is offline: send a mail\n".to_owned(),
        false => format!("{} tabs show it\n", delivery.delivered),
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let hub = Hub::builder(RawKey::from_path()).build();

    let orders = hub.clone();
    let orders = warp::post()
        .and(warp::path!("orders" / u64 / "paid" / String))
        .then(move |number, user| paid(orders.clone(), number, user));
    let routes = keywire::adapter::warp::websocket("websocket", hub.clone())
        .or(orders)
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

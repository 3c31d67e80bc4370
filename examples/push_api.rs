//! A server whose users other services push to.
//!
//! Run with `PUSH_SECRET=$(openssl rand -hex 32) cargo run --example push_api --features push-api`, connect as alice with any
//! WebSocket client (`ws://127.0.0.1:8090/websocket/alice`), and push to her with `curl`. The server prints the command.

use keywire::Hub;
use keywire::adapter::push_api::PushApi;
use keywire::auth::RawKey;
use keywire::log::MemoryLog;
use warp::Filter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Two secrets while one replaces the other: `PUSH_SECRET=new,old`.
    let secrets = std::env::var("PUSH_SECRET").unwrap_or_default();
    let hub = Hub::builder(RawKey::from_path()).log(MemoryLog::new()).build();
    let api = PushApi::new(hub.clone(), secrets.split(','))?;

    let routes = keywire::adapter::warp::websocket("websocket", hub.clone())
        .or(keywire::adapter::warp::push_api("api", api));

    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8090".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!(
        "curl -H \"Authorization: Bearer $PUSH_SECRET\" --json '{{\"msg\":\"hello\"}}' http://{}/api/push/alice",
        listener.local_addr()?
    );
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    keywire::serve(listener, warp::service(routes)).graceful(&hub, stop).run().await;
    Ok(())
}

//! Progress of a long job: the reply comes at once, and pushes follow while the job works.
//!
//! Run with `cargo run --example progress`, open <http://127.0.0.1:8090/>, and press the button.

use std::time::Duration;

use keywire::adapter::BROWSER_CLIENT;
use keywire::auth::RawKey;
use keywire::{HandlerResult, Hub, Push, Reply, Session, Switch};
use warp::Filter;

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<button>Export</button> <progress max="100" value="0"></progress> <output></output>
<script type="module">
  import { Keywire } from '/keywire.js';

  const [bar, output] = document.querySelectorAll('progress, output');
  const wire = new Keywire('/websocket', { key: 'alice' }).connect();
  wire.on('export', ({ msg, data }) => {
    bar.value = data;
    output.value = msg;
  });
  document.querySelector('button').onclick = async () => {
    output.value = (await wire.request({ rows: 100 })).msg;
  };
</script>"#;

#[derive(serde::Deserialize)]
struct Export {
    rows: u32,
}

/// A handler must return within `Config::handler_timeout`. Work that takes longer goes to a task of its own.
async fn export(session: Session, export: Export) -> HandlerResult {
    if export.rows == 0 {
        return Ok(Reply::error("47", "nothing to export"));
    }
    tokio::spawn(async move {
        for row in (0..=export.rows).step_by(10) {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let percent = row * 100 / export.rows;
            let push = Push::data(percent).with_flag("export");
            // The tab that asked is gone: nobody waits for the result.
            if session.send(push).is_gone() {
                return;
            }
        }
        session.send(Push::message("exported").with_data(100).with_flag("export"));
    });
    Ok(Reply::ok("started"))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let hub = Hub::builder(RawKey::from_path()).handler(Switch::new().command(export)).build();

    let routes = keywire::adapter::warp::websocket("websocket", hub.clone())
        .or(warp::path::end().map(|| warp::reply::html(PAGE)))
        .or(warp::path!("keywire.js")
            .map(|| warp::reply::with_header(BROWSER_CLIENT, "content-type", "text/javascript")));

    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8090".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/", listener.local_addr()?);
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    keywire::serve(listener, warp::service(routes)).graceful(&hub, stop).run().await;
    Ok(())
}

//! Another way to authenticate is another argument of `Hub::builder`. Handlers, pages and everything that sends stay the same.
//!
//! Run with `cargo run --example swap_auth -- 127.0.0.1:8090 raw` (or `token`, `ticket`, `either`), and open the address that it prints.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use keywire::adapter::BROWSER_CLIENT;
use keywire::auth::{CredentialSource, JwtKey, KeyExtractor, RawKey, TicketKey, Tickets};
use keywire::{Hub, Identity, Key, Push, Reply, Session, Switch};
use serde_json::json;
use warp::Filter;

const SECRET: &[u8] = b"a secret of at least 32 random bytes";

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<p></p>
<script type="module">
  import { Keywire } from '/keywire.js';

  const wire = new Keywire('/websocket', { key: location.search.slice(1) });
  wire.on('*', ({ msg }) => (document.querySelector('p').textContent = msg));
  wire.connect();
</script>"#;

fn token() -> String {
    let ends = (SystemTime::now() + Duration::from_secs(300)).duration_since(UNIX_EPOCH).unwrap_or_default();
    let claims = json!({ "sub": "alice", "exp": ends.as_secs() });
    encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET)).unwrap_or_default()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let way = std::env::args().nth(2).unwrap_or("raw".to_owned());
    let tickets = Tickets::new();

    // Who is a client? The only lines that differ.
    let (keys, credential): (Arc<dyn KeyExtractor>, String) = match &*way {
        "raw" => (Arc::new(RawKey::from_path()), "alice".to_owned()),
        "token" => (Arc::new(JwtKey::hs256(SECRET)), token()),
        "ticket" => {
            let ticket = tickets.issue(Identity::new(Key::new("alice")?)).await?;
            (Arc::new(TicketKey::new(&tickets).sources([CredentialSource::Path])), ticket.as_str().to_owned())
        }
        // The first of several extractors that finds a credential decides.
        "either" => (Arc::new(RawKey::from_header("x-user").or(JwtKey::hs256(SECRET))), token()),
        other => return Err(format!("{other}: raw, token, ticket or either").into()),
    };

    let greet = |session: Session| async move {
        session.send(Push::message(format!("you are {}", session.key())));
        Ok(Reply::none())
    };
    let hub = Hub::builder(keys).handler(Switch::new().opened(greet)).build();
    let routes = keywire::adapter::warp::websocket("websocket", hub.clone())
        .or(warp::path::end().map(|| warp::reply::html(PAGE)))
        .or(warp::path!("keywire.js")
            .map(|| warp::reply::with_header(BROWSER_CLIENT, "content-type", "text/javascript")));
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8090".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/?{credential}", listener.local_addr()?);
    keywire::serve(listener, warp::service(routes)).run().await;
    Ok(())
}

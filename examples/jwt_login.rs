//! A login that issues tokens, and pages that connect with them.
//!
//! Run with `cargo run --example jwt_login`, open <http://127.0.0.1:8090/>, and log in as alice with the password "wonderland".

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use keywire::adapter::BROWSER_CLIENT;
use keywire::auth::JwtKey;
use keywire::{Hub, Push, Reply, Session, Switch};
use serde::Deserialize;
use serde_json::json;
use warp::Filter;
use warp::http::StatusCode;

/// In production: random, and not in the repository.
const SECRET: &[u8] = b"a secret of at least 32 random bytes";

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<form><input name="user" value="alice"> <input name="password" type="password"> <button>Log in</button></form>
<p></p>
<script type="module">
  import { Keywire } from '/keywire.js';

  const show = (text) => (document.querySelector('p').textContent = text);
  document.forms[0].onsubmit = async (event) => {
    event.preventDefault();
    const body = new URLSearchParams(new FormData(event.target));
    // Called at each attempt, so the token is always fresh. It travels as a subprotocol, not in the URL.
    const key = async (signal) => {
      const answer = await fetch('/login', { method: 'POST', body, signal });
      if (answer.status === 401) {
        show('not logged in');
        wire.close();
      }
      return (await answer.json()).token;
    };
    const wire = new Keywire('/websocket', { key, via: 'protocol' });
    wire.on('*', ({ msg }) => show(msg));
    wire.connect();
  };
</script>"#;

#[derive(Deserialize)]
struct Login {
    user: String,
    password: String,
}

/// A token for five minutes. The page asks for the next one before this one ends.
fn login(login: Login) -> impl warp::Reply {
    if (&*login.user, &*login.password) != ("alice", "wonderland") {
        return warp::reply::with_status(warp::reply::json(&json!({})), StatusCode::UNAUTHORIZED);
    }
    let ends = (SystemTime::now() + Duration::from_secs(300)).duration_since(UNIX_EPOCH).unwrap_or_default();
    let claims = json!({ "sub": login.user, "exp": ends.as_secs() });
    let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET)).unwrap_or_default();
    warp::reply::with_status(warp::reply::json(&json!({ "token": token })), StatusCode::OK)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let greet = |session: Session| async move {
        session.send(Push::message(format!("you are {}", session.key())));
        Ok(Reply::none())
    };
    let hub = Hub::builder(JwtKey::hs256(SECRET)).handler(Switch::new().opened(greet)).build();
    let routes = keywire::adapter::warp::websocket("websocket", hub.clone())
        .or(warp::post().and(warp::path!("login")).and(warp::body::form()).map(login))
        .or(warp::path::end().map(|| warp::reply::html(PAGE)))
        .or(warp::path!("keywire.js")
            .map(|| warp::reply::with_header(BROWSER_CLIENT, "content-type", "text/javascript")));
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8090".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/", listener.local_addr()?);
    keywire::serve(listener, warp::service(routes)).run().await;
    Ok(())
}

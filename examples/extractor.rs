//! An extractor of your own: the session cookie that the rest of the site uses.
//!
//! Run with `cargo run --example extractor`, open <http://127.0.0.1:8090/>, and press "Log in as alice".

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use keywire::adapter::{BROWSER_CLIENT, Handshake};
use keywire::auth::Rejection;
use keywire::{Hub, Identity, Key, KeyExtractor, Push, Reply, Session, Switch, async_trait};
use rand::distr::{Alphanumeric, SampleString as _};
use warp::Filter;

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<form method="post" action="/login/alice"><button>Log in as alice</button></form>
<p>not logged in</p>
<script type="module">
  import { Keywire } from '/keywire.js';

  // No credential here: the browser sends the cookie by itself.
  const wire = new Keywire('/websocket').connect();
  wire.on('*', ({ msg }) => (document.querySelector('p').textContent = msg));
</script>"#;

/// The site's own table of logins. In production: a database.
#[derive(Clone, Default)]
struct Logins(Arc<Mutex<HashMap<String, Key>>>);

impl Logins {
    fn log_in(&self, user: Key) -> String {
        let secret = Alphanumeric.sample_string(&mut rand::rng(), 32);
        self.0.lock().unwrap_or_else(|broken| broken.into_inner()).insert(secret.clone(), user);
        secret
    }

    fn user(&self, secret: &str) -> Option<Key> {
        self.0.lock().unwrap_or_else(|broken| broken.into_inner()).get(secret).cloned()
    }
}

#[async_trait]
impl KeyExtractor for Logins {
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
        let secret = handshake.cookie("login")?.ok_or(Rejection::Missing)?;
        let user = self.user(secret).ok_or_else(|| {
            handshake.explain("the login has ended"); // for the log
            Rejection::Invalid
        })?;
        Ok(Identity::new(user))
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let logins = Logins::default();
    let greet = |session: Session| async move {
        session.send(Push::message(format!("you are {}", session.key())));
        Ok(Reply::none())
    };
    let hub = Hub::builder(logins.clone()).handler(Switch::new().opened(greet)).build();

    let login = warp::post().and(warp::path!("login" / String)).map(move |user: String| {
        let cookie = Key::new(user).map_or_else(|_| String::new(), |user| logins.log_in(user));
        let cookie = format!("login={cookie}; HttpOnly; SameSite=Lax; Path=/");
        let home = warp::redirect::see_other(warp::http::Uri::from_static("/"));
        warp::reply::with_header(home, "set-cookie", cookie)
    });
    let routes = keywire::adapter::warp::websocket("websocket", hub.clone()).or(login);
    let routes = routes.or(warp::path::end().map(|| warp::reply::html(PAGE)));
    let routes = routes.or(warp::path!("keywire.js")
        .map(|| warp::reply::with_header(BROWSER_CLIENT, "content-type", "text/javascript")));
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8090".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/", listener.local_addr()?);
    keywire::serve(listener, warp::service(routes)).run().await;
    Ok(())
}
